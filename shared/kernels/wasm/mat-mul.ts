import {
  type KernelFunc,
  type TensorInfo,
  type WasmBackend,
  callKernel,
  kernelFunc,
  pointerOf,
  withScratch,
  zeros,
} from './backend.ts';
import type { TF } from '../../util/tf.ts';
import { sizeOf } from '../../model/layout.ts';
import type { SimdKernels } from './simd.ts';

interface BatchMatMulInputs {
  readonly a: TensorInfo;
  readonly b: TensorInfo;
}

interface BatchMatMulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/**
 * BatchMatMul: a [..., m, k] ([..., k, m] if transposeA) times b [..., k, n] ([..., n, k] if transposeB), the outer
 * dimensions broadcast. tfjs' own kernel falls back to a plain loop if an operand is transposed, as in both gradients of a
 * dense layer.
 */
export function batchMatMul(
  tf: TF,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  return kernelFunc<BatchMatMulInputs, BatchMatMulAttrs>((call) => {
    const { inputs, attrs, backend } = call;
    const { a, b } = inputs;
    const kernels = simd(backend);
    if (a.dtype === 'float32' && b.dtype === 'float32') {
      if (sizeOf(a.shape) * sizeOf(b.shape) === 0) return zeros(backend, productShape(tf, inputs, attrs));
      if (kernels !== null) return direct(tf, kernels, backend, inputs, attrs);
      if (attrs.transposeA || attrs.transposeB) return composed(tf, stock, backend, inputs, attrs);
    }
    return stock(call as unknown as Parameters<KernelFunc>[0]);
  });
}

function direct(
  tf: TF,
  simd: SimdKernels,
  backend: WasmBackend,
  { a, b }: BatchMatMulInputs,
  { transposeA, transposeB }: BatchMatMulAttrs,
): TensorInfo {
  const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
  const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [kB, n] = transposeB ? [columnsB, rowsB] : [rowsB, columnsB];
  if (k !== kB) {
    throw new Error(
      `Error in matMul: inner shapes (${k}) and (${kB}) of Tensors with shapes ${a.shape.join()} and ` +
        `${b.shape.join()} and transposeA=${transposeA} and transposeB=${transposeB} must match.`,
    );
  }
  const outerA = a.shape.slice(0, -2);
  const outerB = b.shape.slice(0, -2);
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(outerA, outerB);
  const out = backend.makeOutput([...outer, m, n], 'float32');
  const aIndex = broadcastIndices(outerA, outer);
  const bIndex = broadcastIndices(outerB, outer);
  const aPointer = pointerOf(backend, a);
  const bPointer = pointerOf(backend, b);
  const outPointer = pointerOf(backend, out);
  withScratch(backend, simd.gemmScratchBytes(m, n, k), (scratch) => {
    for (let i = 0; i < aIndex.length; i++) {
      simd.gemm(
        aPointer + (aIndex[i] as number) * m * k * 4,
        bPointer + (bIndex[i] as number) * k * n * 4,
        outPointer + i * m * n * 4,
        m,
        n,
        k,
        transposeA,
        transposeB,
        scratch,
      );
    }
  });
  return out;
}

function productShape(
  tf: TF,
  { a, b }: BatchMatMulInputs,
  { transposeA, transposeB }: BatchMatMulAttrs,
): number[] {
  const rows = a.shape.at(transposeA ? -1 : -2) ?? 0;
  const columns = b.shape.at(transposeB ? -2 : -1) ?? 0;
  const outer = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  return [...outer, rows, columns];
}

/** Index of the operand's matrix for each matrix of the result, in order. */
function broadcastIndices(operand: readonly number[], outer: readonly number[]): number[] {
  let indices = [0];
  const missing = outer.length - operand.length;
  outer.forEach((length, axis) => {
    const own = axis < missing ? 1 : (operand[axis - missing] as number);
    indices = indices.flatMap((index) => Array.from({ length }, (_, i) => index * own + (own === 1 ? 0 : i)));
  });
  return indices;
}

/** Product without SIMD: transposes, then tfjs' kernel, or for single matrices its 1 x 1 Conv2D, which is faster. */
function composed(
  tf: TF,
  stock: KernelFunc,
  backend: WasmBackend,
  { a, b }: BatchMatMulInputs,
  { transposeA, transposeB }: BatchMatMulAttrs,
): TensorInfo {
  const plainA = transposeA ? transposeLastTwo(tf, backend, a) : a;
  const plainB = transposeB ? transposeLastTwo(tf, backend, b) : b;
  const [m, k] = plainA.shape.slice(-2) as [number, number];
  const n = plainB.shape.at(-1) as number;
  let out: TensorInfo;
  if (m * k === sizeOf(a.shape) && k * n === sizeOf(b.shape)) {
    const attrs = { strides: [1, 1], pad: 'valid', dilations: [1, 1], dataFormat: 'NHWC' };
    const x = { ...plainA, shape: [m, 1, 1, k] };
    const filter = { ...plainB, shape: [1, 1, k, n] };
    out = callKernel(tf, 'Conv2D', backend, { x, filter }, attrs);
    const outer = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
    out.shape = [...outer, m, n];
  } else {
    const attrs = { transposeA: false, transposeB: false };
    out = stock({ inputs: { a: plainA, b: plainB }, attrs, backend }) as TensorInfo;
  }
  if (plainA !== a) backend.disposeData(plainA.dataId);
  if (plainB !== b) backend.disposeData(plainB.dataId);
  return out;
}

function transposeLastTwo(tf: TF, backend: WasmBackend, x: TensorInfo): TensorInfo {
  const rank = x.shape.length;
  const perm = x.shape.map((_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
  return callKernel(tf, 'Transpose', backend, { x }, { perm });
}

interface FusedMatMulInputs {
  readonly a: TensorInfo;
  readonly b: TensorInfo;
  readonly bias?: TensorInfo;
}

interface FusedMatMulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly activation: string;
}

/** Up to this many rows, packing all of b as tfjs' own kernel does after each change takes longer than the product. */
const MAX_SMALL_ROWS = 8;

/**
 * _FusedMatMul: a [..., m, k] times b [..., k, n], a bias [n] and an activation, as tfjs' layers call it when they predict.
 * Computed here for a few rows without an activation or with ReLU; tfjs' own kernel computes all other cases.
 */
export function fusedMatMul(
  tf: TF,
  stock: KernelFunc,
  simd: (backend: WasmBackend) => SimdKernels | null,
): KernelFunc {
  return kernelFunc<FusedMatMulInputs, FusedMatMulAttrs>((call) => {
    const { inputs, attrs, backend } = call;
    const { a, b, bias } = inputs;
    const { transposeA, transposeB, activation } = attrs;
    const kernels = simd(backend);
    const rows = a.shape.at(transposeA ? -1 : -2) ?? 0;
    const columns = b.shape.at(transposeB ? -2 : -1) ?? 0;
    const plain =
      ['linear', 'relu'].includes(activation) && (bias === undefined || sizeOf(bias.shape) === columns);
    // tfjs' own kernel does not write the output if the sums have no terms.
    const empty = sizeOf(a.shape) * sizeOf(b.shape) === 0;
    if (kernels === null || !plain || (rows > MAX_SMALL_ROWS && !empty)) {
      return stock(call as unknown as Parameters<KernelFunc>[0]);
    }
    const out = callKernel(tf, 'BatchMatMul', backend, { a, b }, { transposeA, transposeB });
    if (bias !== undefined && sizeOf(out.shape) > 0) {
      const pointer = pointerOf(backend, out);
      kernels.addBias(pointer, pointerOf(backend, bias), sizeOf(out.shape) / columns, columns, false);
    }
    if (activation === 'linear') return out;
    const activated = callKernel(tf, 'Relu', backend, { x: out });
    backend.disposeData(out.dataId);
    return activated;
  });
}
