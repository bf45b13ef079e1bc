import { instantiate } from '../../../shared/kernels/own-memory.ts';
import { scalarKernels } from './scalar.ts';
import { vectorBytesBase64 } from './vector-bytes.ts';

export interface AdadeltaStep {
  /** How many samples the gradient is the sum over. */
  readonly samples: number;
  readonly learningRate: number;
  readonly rho: number;
  readonly epsilon: number;
}

/** Passes over flat float32 vectors: a step makes a few, each over all parameters. Vectors of one call have one length. */
export interface VectorKernels {
  /** Whether no value is infinite or NaN. */
  allFinite(values: Float32Array): boolean;
  /** total += part */
  addInto(total: Float32Array, part: Float32Array): void;
  /** The rule that optimizer.ts gives; changes all but the gradient in place. */
  adadelta(
    weights: Float32Array,
    gradientSum: Float32Array,
    meanSquareGradient: Float32Array,
    meanSquareUpdate: Float32Array,
    settings: AdadeltaStep,
  ): void;
}

/** The functions of vector.as: pointers in bytes, n in values. */
interface Exports {
  allFinite(x: number, n: number): number;
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
const BLOCKS = 4;

/** The kernels as SIMD WebAssembly, or null where there is none. */
export function simdKernels(): VectorKernels | null {
  const memory = instantiate(vectorBytesBase64, BLOCK * BLOCKS * 4);
  if (memory === null) return null;
  const kernels = memory.exports as Exports;
  const blocks = Array.from(
    { length: BLOCKS },
    (_, i) => new Float32Array(memory.buffer, i * BLOCK * 4, BLOCK),
  );
  const pointer = (i: number): number => i * BLOCK * 4;

  /** Brings each block of the vectors in, runs the kernel over it, and takes the first `changed` of them back. */
  const pass = (
    vectors: readonly Float32Array[],
    changed: number,
    run: (padded: number, n: number) => void,
  ): void => {
    const length = vectors[0]?.length ?? 0;
    for (let from = 0; from < length; from += BLOCK) {
      const n = Math.min(BLOCK, length - from);
      vectors.forEach((vector, i) => blocks[i]?.set(vector.subarray(from, from + n)));
      run((n + 3) & ~3, n);
      for (let i = 0; i < changed; i++) vectors[i]?.set((blocks[i] as Float32Array).subarray(0, n), from);
    }
  };

  return {
    allFinite(values) {
      let finite = true;
      pass([values], 0, (padded, n) => {
        // Beyond the vector's end lies what was there before.
        blocks[0]?.fill(0, n, padded);
        finite &&= kernels.allFinite(pointer(0), padded) !== 0;
      });
      return finite;
    },
    addInto: (total, part) => pass([total, part], 1, (n) => kernels.add(pointer(0), pointer(1), n)),
    adadelta(weights, gradientSum, meanSquareGradient, meanSquareUpdate, settings) {
      const { samples, learningRate, rho, epsilon } = settings;
      // Those that change come first.
      const vectors = [weights, meanSquareGradient, meanSquareUpdate, gradientSum];
      pass(vectors, 3, (n) =>
        kernels.adadelta(
          ...([pointer(0), pointer(3), pointer(1), pointer(2)] as const),
          n,
          ...([samples, learningRate, rho, 1 - rho, epsilon] as const),
        ),
      );
    },
  };
}

/** The fastest that there are; all give the same bits. */
export const vectorKernels: VectorKernels = simdKernels() ?? scalarKernels;
