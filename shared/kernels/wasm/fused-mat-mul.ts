import type { KernelFunc, TensorInfo, Tf, WasmBackend } from './backend.ts';
import { callKernel, kernelFunc, pointerOf } from './backend.ts';
import { sizeOf } from '../../model/layout.ts';
import type { SimdKernels } from './simd.ts';

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

/** tfjs' own packs all of b anew whenever that has changed, which is more than the product of a few rows with it. */
const MAX_SMALL_ROWS = 8;

/**
 * _FusedMatMul: a [..., m, k] times b [..., k, n], a bias [n] and an activation, as tfjs' layers call it when they predict.
 * For a few rows, no activation and ReLU; everything else goes to tfjs' own.
 */
export function fusedMatMul(
  tf: Tf,
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
    // tfjs' own leaves the output as it finds it where there is nothing to sum.
    const empty = sizeOf(a.shape) * sizeOf(b.shape) === 0;
    if (kernels === null || !plain || (rows > MAX_SMALL_ROWS && !empty)) {
      return stock(call as unknown as Parameters<KernelFunc>[0]);
    }
    const out = callKernel(tf, 'BatchMatMul', backend, { a, b }, { transposeA, transposeB });
    if (bias !== undefined && sizeOf(out.shape) > 0) {
      const [at, biasAt] = [pointerOf(backend, out), pointerOf(backend, bias)];
      kernels.addRow(at, biasAt, at, sizeOf(out.shape) / columns, columns);
    }
    if (activation === 'linear') return out;
    const activated = callKernel(tf, 'Relu', backend, { x: out });
    backend.disposeData(out.dataId);
    return activated;
  });
}
