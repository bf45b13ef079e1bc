import { instantiate } from '../../../shared/kernels/instantiate.ts';
import { vectorBytesBase64 } from './vector-bytes.ts';

export interface AdadeltaSettings {
  /** Number of samples that the gradient is summed over. */
  readonly samples: number;
  readonly learningRate: number;
  readonly rho: number;
  readonly epsilon: number;
}

/** Passes over flat float32 vectors. A step makes a few, each over all parameters. All vectors of a call have the same length. */
export interface VectorKernels {
  /**
   * Euclidean norm, with a relative error of about 1e-4; null if a value is infinite or NaN. May be Infinity if the sum of
   * squares exceeds float32, which no valid gradient does.
   */
  finiteNorm(values: Float32Array): number | null;
  /** total += part */
  addInto(total: Float32Array, part: Float32Array): void;
  /** Adadelta as described in adadelta.ts; changes every vector except the gradient in place. */
  adadelta(
    weights: Float32Array,
    gradientSum: Float32Array,
    meanSquareGradient: Float32Array,
    meanSquareUpdate: Float32Array,
    settings: AdadeltaSettings,
  ): void;
}

/**
 * Reference implementation of vector.as, with the same roundings. Used where WebAssembly has no SIMD, and by tests as the
 * expected result.
 */
export const scalarKernels: VectorKernels = {
  finiteNorm(values) {
    let sum = 0;
    for (const value of values) {
      if (!Number.isFinite(value)) return null;
      sum += value * value;
    }
    return Math.sqrt(sum);
  },

  addInto(total, part) {
    for (let i = 0; i < total.length; i++) total[i] = (total[i] as number) + (part[i] as number);
  },

  adadelta(weights, gradientSum, meanSquareGradient, meanSquareUpdate, settings) {
    const f = Math.fround;
    const samples = f(settings.samples);
    const rate = f(settings.learningRate);
    const rho = f(settings.rho);
    const fresh = f(1 - settings.rho);
    const epsilon = f(settings.epsilon);
    for (let i = 0; i < weights.length; i++) {
      const g = f((gradientSum[i] as number) / samples);
      const a = f(f(rho * (meanSquareGradient[i] as number)) + f(fresh * f(g * g)));
      const d = meanSquareUpdate[i] as number;
      const u = f(f(g * f(Math.sqrt(f(d + epsilon)))) / f(Math.sqrt(f(a + epsilon))));
      meanSquareGradient[i] = a;
      meanSquareUpdate[i] = f(f(rho * d) + f(fresh * f(u * u)));
      weights[i] = (weights[i] as number) - f(rate * u);
    }
  },
};

/** The functions of vector.as: pointers in bytes, n in values. */
interface Exports {
  allFinite(x: number, n: number): number;
  squares(x: number, n: number): number;
  add(total: number, part: number, n: number): void;
  adadelta(
    ...args: [
      ...pointers: [
        weights: number,
        gradientSum: number,
        meanSquareGradient: number,
        meanSquareUpdate: number,
      ],
      n: number,
      ...settings: [samples: number, learningRate: number, rho: number, fresh: number, epsilon: number],
    ]
  ): void;
}

/** Vectors pass through WebAssembly's memory in blocks of this many values, small enough to stay in the cache. */
const BLOCK = 8192;
/** Maximum number of vectors that a kernel takes. */
const STAGED_BLOCKS = 4;
const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Kernels and vectors in the same memory: a pass over these vectors copies nothing, which saves half of its time. */
export interface ResidentVectors {
  readonly kernels: VectorKernels;
  /** Initially zeros. */
  readonly vectors: readonly Float32Array[];
}

/** Kernels that share each memory. */
const kernelsByMemory = new WeakMap<ArrayBufferLike, VectorKernels>();

/** Kernels in SIMD WebAssembly, with `count` vectors of `length` values in the same memory; null if SIMD is not available. */
export function simdKernels(count = 0, length = 0): ResidentVectors | null {
  const paddedLength = (length + 3) & ~3;
  const memory = instantiate(vectorBytesBase64, (BLOCK * STAGED_BLOCKS + count * paddedLength) * BYTES);
  if (memory === null) return null;
  const kernels = memory.exports as Exports;
  const blocks = Array.from(
    { length: STAGED_BLOCKS },
    (_, i) => new Float32Array(memory.buffer, i * BLOCK * BYTES, BLOCK),
  );
  const residents = Array.from(
    { length: count },
    (_, i) => new Float32Array(memory.buffer, (BLOCK * STAGED_BLOCKS + i * paddedLength) * BYTES, length),
  );

  /**
   * Runs a kernel over each block of the vectors: in place for vectors of this memory, otherwise on copies. The first `changed`
   * vectors are copied back.
   */
  const pass = (
    vectors: readonly Float32Array[],
    changed: number,
    run: (pointers: readonly number[], n: number) => void,
  ): void => {
    const n = vectors[0]?.length ?? 0;
    for (let from = 0; from < n; from += BLOCK) {
      const to = Math.min(n, from + BLOCK);
      // Kernels process four values at a time; in place they would overwrite the values behind an incomplete group.
      const whole = (to - from) % 4 === 0;
      const staged = vectors.map((vector) => !whole || vector.buffer !== memory.buffer);
      const pointers = vectors.map((vector, i) => {
        const block = blocks[i] as Float32Array;
        if (staged[i] !== true) return vector.byteOffset + from * BYTES;
        block.set(vector.subarray(from, to));
        // Otherwise the padding would contain values of an earlier block.
        if (!whole) block.fill(0, to - from, (to - from + 3) & ~3);
        return block.byteOffset;
      });
      run(pointers, (to - from + 3) & ~3);
      for (let i = 0; i < changed; i++) {
        if (staged[i] === true) vectors[i]?.set((blocks[i] as Float32Array).subarray(0, to - from), from);
      }
    }
  };

  const passes: VectorKernels = {
    finiteNorm(values) {
      let nonFiniteBlocks = 0;
      let sum = 0;
      pass([values], 0, ([x = 0], n) => {
        if (kernels.allFinite(x, n) === 0) nonFiniteBlocks++;
        sum += kernels.squares(x, n);
      });
      return nonFiniteBlocks === 0 ? Math.sqrt(sum) : null;
    },
    addInto: (total, part) => pass([total, part], 1, ([x = 0, y = 0], n) => kernels.add(x, y, n)),
    adadelta(weights, gradientSum, meanSquareGradient, meanSquareUpdate, settings) {
      const { samples, learningRate, rho, epsilon } = settings;
      // The changed vectors come first.
      const vectors = [weights, meanSquareGradient, meanSquareUpdate, gradientSum];
      pass(vectors, 3, ([w = 0, a = 0, d = 0, g = 0], n) =>
        kernels.adadelta(w, g, a, d, n, samples, learningRate, rho, 1 - rho, epsilon),
      );
    },
  };
  kernelsByMemory.set(memory.buffer, passes);
  return { vectors: residents, kernels: passes };
}

/** Vectors of zeros with the fastest available kernels; all kernels give the same bits. */
export const residentVectors = (count: number, length: number): ResidentVectors =>
  simdKernels(count, length) ?? {
    // SIMD is not available, or the vectors do not fit into one memory.
    kernels: defaultKernels,
    vectors: Array.from({ length: count }, () => new Float32Array(length)),
  };

const defaultKernels: VectorKernels = simdKernels()?.kernels ?? scalarKernels;

/** Kernels for any vectors. A changed vector is not copied if its memory has kernels of its own. */
export const vectorKernels: VectorKernels = {
  finiteNorm: (values) => defaultKernels.finiteNorm(values),
  addInto: (total, part) => kernelsFor(total).addInto(total, part),
  adadelta: (weights, ...others) => kernelsFor(weights).adadelta(weights, ...others),
};

const kernelsFor = ({ buffer }: Float32Array): VectorKernels => kernelsByMemory.get(buffer) ?? defaultKernels;
