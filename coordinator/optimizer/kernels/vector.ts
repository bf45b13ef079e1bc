import { instantiate } from '../../../shared/kernels/instantiate.ts';
import { scalarKernels } from './scalar.ts';
import { vectorBytesBase64 } from './vector-bytes.ts';

export interface AdadeltaSettings {
  /** How many samples the gradient is the sum over. */
  readonly samples: number;
  readonly learningRate: number;
  readonly rho: number;
  readonly epsilon: number;
}

/** Passes over flat float32 vectors: a step makes a few, each over all parameters. Vectors of one call have one length. */
export interface VectorKernels {
  /**
   * The Euclidean norm, to some 1e-4 of it; null if a value is infinite or NaN. Infinity where squares are too large for
   * float32: beyond any gradient that is one.
   */
  finiteNorm(values: Float32Array): number | null;
  /** total += part */
  addInto(total: Float32Array, part: Float32Array): void;
  /** The rule that optimizer.ts gives; changes all but the gradient in place. */
  adadelta(
    weights: Float32Array,
    gradientSum: Float32Array,
    meanSquareGradient: Float32Array,
    meanSquareUpdate: Float32Array,
    settings: AdadeltaSettings,
  ): void;
}

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
/** As many as the longest of the kernels takes. */
const STAGED_BLOCKS = 4;
const BYTES = Float32Array.BYTES_PER_ELEMENT;

/** Kernels, and vectors that live with them: a pass moves those nowhere, which is half of its time. */
export interface ResidentVectors {
  readonly kernels: VectorKernels;
  /** Zeros at first. */
  readonly vectors: readonly Float32Array[];
}

/** The kernels that have vectors of a memory where they are. */
const kernelsByMemory = new WeakMap<ArrayBufferLike, VectorKernels>();

/** The kernels as SIMD WebAssembly, with room for `count` vectors of `length` values; null where there is none. */
export function simdKernels(count = 0, length = 0): ResidentVectors | null {
  const room = (length + 3) & ~3;
  const memory = instantiate(vectorBytesBase64, (BLOCK * STAGED_BLOCKS + count * room) * BYTES);
  if (memory === null) return null;
  const kernels = memory.exports as Exports;
  const blocks = Array.from(
    { length: STAGED_BLOCKS },
    (_, i) => new Float32Array(memory.buffer, i * BLOCK * BYTES, BLOCK),
  );
  const residents = Array.from(
    { length: count },
    (_, i) => new Float32Array(memory.buffer, (BLOCK * STAGED_BLOCKS + i * room) * BYTES, length),
  );

  /**
   * Runs the kernel over each block of the vectors: where they are if they live here, else brought in, and the first
   * `changed` of them taken back.
   */
  const pass = (
    vectors: readonly Float32Array[],
    changed: number,
    run: (pointers: readonly number[], n: number) => void,
  ): void => {
    const n = vectors[0]?.length ?? 0;
    for (let from = 0; from < n; from += BLOCK) {
      const to = Math.min(n, from + BLOCK);
      // Kernels go by fours: in place they would run into what follows.
      const whole = (to - from) % 4 === 0;
      const staged = vectors.map((vector) => !whole || vector.buffer !== memory.buffer);
      const pointers = vectors.map((vector, i) => {
        const block = blocks[i] as Float32Array;
        if (staged[i] !== true) return vector.byteOffset + from * BYTES;
        block.set(vector.subarray(from, to));
        // Beyond the vector's end lies what was there before.
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
      let [finite, sum] = [true, 0];
      pass([values], 0, ([x = 0], n) => {
        finite &&= kernels.allFinite(x, n) !== 0;
        sum += kernels.squares(x, n);
      });
      return finite ? Math.sqrt(sum) : null;
    },
    addInto: (total, part) => pass([total, part], 1, ([x = 0, y = 0], n) => kernels.add(x, y, n)),
    adadelta(weights, gradientSum, meanSquareGradient, meanSquareUpdate, settings) {
      const { samples, learningRate, rho, epsilon } = settings;
      // Those that change come first.
      const vectors = [weights, meanSquareGradient, meanSquareUpdate, gradientSum];
      pass(vectors, 3, ([w = 0, a = 0, d = 0, g = 0], n) =>
        kernels.adadelta(w, g, a, d, n, samples, learningRate, rho, 1 - rho, epsilon),
      );
    },
  };
  kernelsByMemory.set(memory.buffer, passes);
  return { vectors: residents, kernels: passes };
}

/** Zeros, with the fastest kernels that there are; all give the same bits. */
export const residentVectors = (count: number, length: number): ResidentVectors =>
  simdKernels(count, length) ?? {
    // No SIMD, or more than one memory holds.
    kernels: defaultKernels,
    vectors: Array.from({ length: count }, () => new Float32Array(length)),
  };

const defaultKernels: VectorKernels = simdKernels()?.kernels ?? scalarKernels;

/** For vectors that live anywhere; a vector that is changed is left in its memory, if kernels live there too. */
export const vectorKernels: VectorKernels = {
  finiteNorm: (values) => defaultKernels.finiteNorm(values),
  addInto: (total, part) => kernelsFor(total).addInto(total, part),
  adadelta: (weights, ...others) => kernelsFor(weights).adadelta(weights, ...others),
};

const kernelsFor = ({ buffer }: Float32Array): VectorKernels => kernelsByMemory.get(buffer) ?? defaultKernels;
