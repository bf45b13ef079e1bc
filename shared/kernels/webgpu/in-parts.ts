import type { NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs';
import { product, reshaped, type Call, type Run } from './kernel-run.ts';
import { ADVICE } from './memory.ts';

// Kernels of tfjs' WebGPU backend (4.22) that need more workgroups along an axis, or more buffers, than WebGPU allows for large
// tensors. They run for parts of them.

/** Workgroups that WebGPU allows along an axis. */
export const MAX_WORKGROUPS = 65_535;
/** Values that a workgroup of the transpose has along an axis. */
const TRANSPOSED_TILE = 16;
/** Rows of pixels that a workgroup of the convolution's gradient has. */
const GRADIENT_ROWS = 4;
/** Tensors that a shader can read, of the eight buffers that every GPU allows it. */
const MAX_READ = 7;

/** Stock kernels that cut tensors and join them. */
export interface Pieces {
  readonly slice: Run;
  readonly concat: Run;
}

/**
 * Runs a kernel for a number of rows at a time.
 * @param names inputs that are divided along the first axis, as the output is
 * @param most rows of one run
 * @param attrsOf changes the attributes for a number of rows
 */
function byRows(
  stock: Run,
  { slice, concat }: Pieces,
  call: Call,
  names: readonly string[],
  most: number,
  attrsOf: (attrs: NamedAttrMap, rows: number) => NamedAttrMap = (attrs) => attrs,
): TensorInfo {
  const { inputs, attrs, backend } = call;
  const rows = inputs[names[0] ?? '']?.shape[0] ?? 0;
  if (rows <= most) return stock(call);
  const parts: TensorInfo[] = [];
  for (let from = 0; from < rows; from += most) {
    const count = Math.min(most, rows - from);
    const cut = names.map((name): [string, TensorInfo] => {
      const x = inputs[name] as TensorInfo;
      const begin = [from, ...x.shape.slice(1).map(() => 0)];
      return [name, slice({ inputs: { x }, attrs: { begin, size: [count, ...x.shape.slice(1)] }, backend })];
    });
    const own: NamedTensorInfoMap = { ...inputs, ...Object.fromEntries(cut) };
    parts.push(stock({ inputs: own, attrs: attrsOf(attrs, count), backend }));
    for (const [, { dataId }] of cut) backend.disposeData(dataId);
  }
  const output = concat({ inputs: parts as never, attrs: { axis: 0 }, backend });
  for (const { dataId } of parts) backend.disposeData(dataId);
  return output;
}

/** Softmax of at most 65,535 rows at a time. The stock shader for more computes rows that there are not, into the last one. */
export const softmaxInParts =
  (stock: Run, pieces: Pieces): Run =>
  (call) => {
    const x = call.inputs.logits as TensorInfo;
    const columns = x.shape.at(-1) ?? 1;
    const rows = product(x.shape) / columns;
    if (rows <= MAX_WORKGROUPS) return stock(call);
    const matrix = { logits: reshaped(x, [rows, columns]) };
    const own = { ...call, inputs: matrix, attrs: { ...call.attrs, dim: 1 } };
    return reshaped(byRows(stock, pieces, own, ['logits'], MAX_WORKGROUPS), x.shape);
  };

/** Products of many pairs of matrices, or of many matrices and one. */
export const productInParts =
  (stock: Run, pieces: Pieces): Run =>
  (call) => {
    const pair = Object.entries(call.inputs).map(([name, input]): [string, TensorInfo] => [
      name,
      input as TensorInfo,
    ]);
    const before = pair.map(([, { shape }]) => shape.slice(0, -2));
    const count = Math.max(...before.map(product));
    if (count <= MAX_WORKGROUPS) return stock(call);
    const matrices = pair.map(([name, x]): [string, TensorInfo] => [
      name,
      reshaped(x, [product(x.shape.slice(0, -2)), ...x.shape.slice(-2)]),
    ]);
    const names = matrices.flatMap(([name, { shape }]) => (shape[0] === count ? [name] : []));
    const output = byRows(
      stock,
      pieces,
      { ...call, inputs: Object.fromEntries(matrices) },
      names,
      MAX_WORKGROUPS,
    );
    const outer = before.find((shape) => product(shape) === count) ?? [];
    return reshaped(output, [...outer, ...output.shape.slice(-2)]);
  };

/** Convolution of at most 65,535 images at a time. */
export const convolutionInParts =
  (stock: Run, pieces: Pieces): Run =>
  (call) =>
    byRows(stock, pieces, call, ['x'], MAX_WORKGROUPS);

/** Gradient of a convolution's input, of as many images at a time as have 262,140 rows of pixels. */
export const convolutionGradientInParts =
  (stock: Run, pieces: Pieces): Run =>
  (call) => {
    const [, height = 1] = call.attrs.inputShape as number[];
    const most = Math.max(1, Math.floor((MAX_WORKGROUPS * GRADIENT_ROWS) / height));
    return byRows(stock, pieces, call, ['dy'], most, (attrs, images) => ({
      ...attrs,
      inputShape: [images, ...(attrs.inputShape as number[]).slice(1)],
    }));
  };

/** Sum of tensors, as many at a time as a shader may read. */
export const addInParts =
  (stock: Run): Run =>
  (call) => {
    const { attrs, backend } = call;
    const [first, ...others] = Object.values(call.inputs) as TensorInfo[];
    if (first === undefined || others.length < MAX_READ) return stock(call);
    let sum = first;
    for (let from = 0; from < others.length; from += MAX_READ - 1) {
      const next = stock({
        inputs: [sum, ...others.slice(from, from + MAX_READ - 1)] as never,
        attrs,
        backend,
      });
      if (from > 0) backend.disposeData(sum.dataId);
      sum = next;
    }
    return sum;
  };

/** Transposes a long matrix with the shader for three axes. That for two has a limit to the workgroups along each. */
export const transposeLong =
  (stock: Run): Run =>
  (call) => {
    const x = call.inputs.x as TensorInfo;
    const [rows = 0, columns = 0] = x.shape;
    const isLong = Math.max(rows, columns) > MAX_WORKGROUPS * TRANSPOSED_TILE;
    if (x.shape.length !== 2 || !isLong || (call.attrs.perm as number[])[0] === 0) return stock(call);
    const output = stock({
      ...call,
      inputs: { x: reshaped(x, [1, rows, columns]) },
      attrs: { perm: [0, 2, 1] },
    });
    return reshaped(output, [columns, rows]);
  };

/** Used part of a program of tfjs. */
interface Program {
  readonly outputShape: readonly number[];
  /** Workgroups along each axis. */
  readonly dispatch: readonly number[];
  /** Axes of the output along which there are workgroups; tfjs folds those of x alone. */
  readonly dispatchLayout: { readonly y?: readonly number[]; readonly z?: readonly number[] };
}

/** Backend that runs programs of tfjs. */
export interface ProgramBackend {
  runWebGPUProgram(program: Program, ...others: unknown[]): TensorInfo;
}

/** Makes a program that needs more workgroups than WebGPU allows fail with a sentence about its result. */
export function refuseLargeDispatches(backend: ProgramBackend): void {
  const run = backend.runWebGPUProgram.bind(backend);
  backend.runWebGPUProgram = (program, ...others) => {
    const { outputShape, dispatch, dispatchLayout } = program;
    const most = Math.max(...dispatch);
    const isFolded = dispatchLayout.y === undefined && dispatchLayout.z === undefined;
    if (most <= MAX_WORKGROUPS || isFolded) return run(program, ...others);
    const limit = MAX_WORKGROUPS.toLocaleString('en');
    throw new Error(
      `An operation whose result has the shape [${outputShape.join(', ')}] needs ${most.toLocaleString('en')} workgroups along an axis, and WebGPU takes ${limit} at most. ${ADVICE}.`,
    );
  };
}
