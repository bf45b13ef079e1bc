import { instantiate } from '../../../shared/kernels/instantiate.ts';
import { vectorBytesBase64 } from './vector-bytes.ts';

/** Passes of rules.as and gradient.as over vectors of one length. */
export type Pass =
  | 'adadelta'
  | 'adagrad'
  | 'adam'
  | 'adamAmsgrad'
  | 'adamax'
  | 'average'
  | 'clip'
  | 'decay'
  | 'lambDirection'
  | 'lion'
  | 'mean'
  | 'meanOfSteps'
  | 'muonMomentum'
  | 'nadam'
  | 'penalize'
  | 'rmsprop'
  | 'rmspropCentered'
  | 'rmspropMomentum'
  | 'scale'
  | 'sgd'
  | 'sgdMomentum'
  | 'subtractScaled';

/** Vectors of a pass, all of the same length. */
export interface PassVectors {
  /** Vectors that the pass changes in place. */
  readonly changed: readonly Float32Array[];
  /** Vectors that it only reads. @default none */
  readonly read?: readonly Float32Array[];
}

/** Passes over flat float32 vectors. A step makes a few, each over all parameters. All vectors of a call have the same length. */
export interface VectorKernels {
  /**
   * Euclidean norm, with a relative error of about 1e-4; null if a value is infinite or NaN. May be Infinity if the sum of
   * squares exceeds float32, which no valid gradient does.
   */
  finiteNorm(values: Float32Array): number | null;
  /** Sum of the squares, each rounded to float32, added in float64. */
  sumSquares(values: Float32Array): number;
  /** Sum of the magnitudes, added in float64. */
  sumMagnitudes(values: Float32Array): number;
  /** total += part */
  addInto(total: Float32Array, part: Float32Array): void;
  /**
   * Runs a pass of rules.as or gradient.as.
   * @param scalars the pass' scalars, in order; they are rounded to float32
   */
  run(pass: Pass, vectors: PassVectors, scalars: readonly number[]): void;
  /** Runs a product of matrices in the vectors' own memory. */
  multiply(product: MatrixProduct): void;
}

/** product = left right + factor addend, all row-major; rows of `columns` values, a multiple of four, and of `leftStride` in `left`. */
export interface MatrixProduct {
  readonly product: Float32Array;
  readonly left: Float32Array;
  readonly right: Float32Array;
  /** @default none */
  readonly addend?: Float32Array;
  readonly factor?: number;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly leftStride: number;
}

/** The functions of index.as: pointers in bytes, n in values. */
interface Exports extends Record<Pass, (...args: number[]) => void> {
  allFinite(x: number, n: number): number;
  squares(x: number, n: number): number;
  sumSquares(x: number, n: number): number;
  sumMagnitudes(x: number, n: number): number;
  add(total: number, part: number, n: number): void;
  multiply(...args: number[]): void;
}

/** Vectors pass through WebAssembly's memory in blocks of this many values, small enough to stay in the cache. */
const BLOCK = 8192;
/** Maximum number of vectors that a pass takes. */
const STAGED_BLOCKS = 5;
const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Kernels and vectors in the same memory: a pass over these vectors copies nothing, which saves half of its time. */
export interface ResidentVectors {
  readonly kernels: VectorKernels;
  /** Initially zeros. */
  readonly vectors: readonly Float32Array[];
}

/** Kernels that share each memory. */
const kernelsByMemory = new WeakMap<ArrayBufferLike, VectorKernels>();

/** Kernels with vectors of these lengths in the same memory; null if the memory cannot be had, or there is no SIMD. */
function createKernels(lengths: readonly number[]): ResidentVectors | null {
  const offsets = [BLOCK * STAGED_BLOCKS];
  for (const [i, length] of lengths.entries()) offsets.push((offsets[i] as number) + ((length + 3) & ~3));
  const memory = instantiate(vectorBytesBase64, (offsets.at(-1) as number) * BYTES);
  if (memory === null) return null;
  const exports = memory.exports as Exports;
  const blocks = Array.from(
    { length: STAGED_BLOCKS },
    (_, i) => new Float32Array(memory.buffer, i * BLOCK * BYTES, BLOCK),
  );
  const vectors = lengths.map(
    (length, i) => new Float32Array(memory.buffer, (offsets[i] as number) * BYTES, length),
  );

  /**
   * Runs a kernel over each block of the vectors: in place for vectors of this memory, otherwise on copies. The first `changed`
   * vectors are copied back.
   */
  const pass = (
    passed: readonly Float32Array[],
    changed: number,
    run: (pointers: readonly number[], n: number) => void,
  ): void => {
    const n = passed[0]?.length ?? 0;
    for (let from = 0; from < n; from += BLOCK) {
      const to = Math.min(n, from + BLOCK);
      // Kernels process four values at a time; in place they would overwrite the values behind an incomplete group.
      const whole = (to - from) % 4 === 0;
      const staged = passed.map((vector) => !whole || vector.buffer !== memory.buffer);
      const pointers = passed.map((vector, i) => {
        const block = blocks[i] as Float32Array;
        if (staged[i] !== true) return vector.byteOffset + from * BYTES;
        block.set(vector.subarray(from, to));
        // Otherwise the padding would contain values of an earlier block.
        if (!whole) block.fill(0, to - from, (to - from + 3) & ~3);
        return block.byteOffset;
      });
      run(pointers, (to - from + 3) & ~3);
      for (let i = 0; i < changed; i++) {
        if (staged[i] === true) passed[i]?.set((blocks[i] as Float32Array).subarray(0, to - from), from);
      }
    }
  };
  const sum = (values: Float32Array, add: (x: number, n: number) => number): number => {
    let total = 0;
    pass([values], 0, ([x = 0], n) => (total += add(x, n)));
    return total;
  };

  const kernels: VectorKernels = {
    finiteNorm(values) {
      let nonFiniteBlocks = 0;
      let total = 0;
      pass([values], 0, ([x = 0], n) => {
        if (exports.allFinite(x, n) === 0) nonFiniteBlocks++;
        total += exports.squares(x, n);
      });
      return nonFiniteBlocks === 0 ? Math.sqrt(total) : null;
    },
    sumSquares: (values) => sum(values, (x, n) => exports.sumSquares(x, n)),
    sumMagnitudes: (values) => sum(values, (x, n) => exports.sumMagnitudes(x, n)),
    addInto: (total, part) => pass([total, part], 1, ([x = 0, y = 0], n) => exports.add(x, y, n)),
    run: (name, { changed, read = [] }, scalars) =>
      pass([...changed, ...read], changed.length, (pointers, n) => exports[name](...pointers, n, ...scalars)),
    multiply({ product, left, right, addend, factor = 0, rows, inner, columns, leftStride }) {
      const sides = [product, left, right].map(({ byteOffset }) => byteOffset);
      exports.multiply(...sides, addend?.byteOffset ?? 0, rows, inner, columns, leftStride, factor);
    },
  };
  kernelsByMemory.set(memory.buffer, kernels);
  return { vectors, kernels };
}

/**
 * Vectors of zeros with their kernels, in one memory if they fit into one.
 * @param count vectors of `length` values
 * @throws Error with a sentence if the platform has no WebAssembly with SIMD
 */
export function residentVectors(count: number, length: number): ResidentVectors {
  const lengths = Array.from({ length: count }, () => length);
  return (
    createKernels(lengths) ?? {
      // The vectors do not fit into one memory: passes copy them block by block.
      kernels: sharedKernels(),
      vectors: lengths.map((values) => new Float32Array(values)),
    }
  );
}

/**
 * Vectors of zeros of these lengths in one memory, for products of matrices.
 * @throws Error with a sentence if they do not fit into one memory
 */
export function residentMatrices(lengths: readonly number[]): ResidentVectors {
  const resident = createKernels(lengths);
  if (resident !== null) return resident;
  throw new Error('The matrices of the model are too large for this optimizer. Use another one.');
}

let shared: VectorKernels | null = null;

/** Kernels for vectors outside of their memory. */
function sharedKernels(): VectorKernels {
  shared ??= createKernels([])?.kernels ?? null;
  if (shared !== null) return shared;
  throw new Error(
    'The coordinator needs WebAssembly with SIMD, which this machine or its Node does not have. Run it on another machine.',
  );
}

/** Kernels for any vectors. A changed vector is not copied if its memory has kernels of its own. */
export const vectorKernels: Omit<VectorKernels, 'multiply'> = {
  finiteNorm: (values) => sharedKernels().finiteNorm(values),
  sumSquares: (values) => sharedKernels().sumSquares(values),
  sumMagnitudes: (values) => sharedKernels().sumMagnitudes(values),
  addInto: (total, part) => (kernelsByMemory.get(total.buffer) ?? sharedKernels()).addInto(total, part),
  run: (pass, vectors, scalars) => {
    const [first] = vectors.changed;
    const kernels = first === undefined ? undefined : kernelsByMemory.get(first.buffer);
    (kernels ?? sharedKernels()).run(pass, vectors, scalars);
  },
};
