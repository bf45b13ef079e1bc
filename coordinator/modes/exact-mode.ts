import { codecKernels } from '../../shared/codec/kernels/simd.ts';
import { addScores, type Score } from '../../shared/model/scoring.ts';
import { microShardCount, splitBlock } from '../../shared/model/micro-shard-blocks.ts';
import { PairwiseSum } from '../../shared/model/pairwise-sum.ts';
import type { Range } from '../../shared/util/range.ts';
import { alignedBlocks } from './aligned-blocks.ts';
import type { EngineFingerprints } from './fingerprints.ts';
import { SAMPLES_PER_EVALUATION_SHARD, type GradientSum, type RunMode } from './run-mode.ts';

/**
 * Mode that gives the same bits for any number of workers: shards are whole micro-shards, summed along one fixed binary tree.
 * @param microShardSize samples of a micro-shard
 * @param fingerprints fingerprints of the engines that may take part
 */
export function exactMode(microShardSize: number, fingerprints: EngineFingerprints): RunMode {
  /** Vectors of partial sums, reused by every step. */
  const buffers: Float32Array[] = [];
  return {
    bucketOffsets: [0],
    microShardSize,
    hasChecksums: true,
    mayArrange: false,
    fingerprints,
    alignShares: (shares, samples) => alignedBlocks(shares, samples, microShardSize),
    splitRange: (range, parts) => splitBlock(range, microShardSize, parts),
    splitEvaluation(samples, workers) {
      const wanted = Math.min(SAMPLES_PER_EVALUATION_SHARD, samples / workers);
      const size = microShardSize * 2 ** Math.max(0, Math.floor(Math.log2(wanted / microShardSize)));
      return Array.from({ length: Math.ceil(samples / size) }, (_, i) => ({
        from: i * size,
        to: Math.min(samples, (i + 1) * size),
      }));
    },
    createSum: (total, samples) => new PairwiseReducer(total, samples, microShardSize, buffers),
    sumScores(scores) {
      const sum = new PairwiseSum<Score>(addScores);
      for (const { lossSum, metrics, ...range } of scores.toSorted((a, b) => a.from - b.from)) {
        sum.push({ lossSum, metrics }, microShardCount(range, microShardSize));
      }
      return sum.total();
    },
  };
}

/** Sums the gradients of a batch's blocks with PairwiseSum, in reused vectors. */
export class PairwiseReducer implements GradientSum {
  readonly #total: Float32Array;
  readonly #microShardSize: number;
  readonly #sum: PairwiseSum<Float32Array>;
  /** Vectors of this reducer, which it may overwrite. */
  readonly #ownBuffers: Set<Float32Array>;
  readonly #freeBuffers: Float32Array[];

  /**
   * @param total vector for the sum, overwritten
   * @param samples samples of the batch
   * @param buffers free vectors of earlier sums; this sum's vectors are returned to it
   */
  constructor(total: Float32Array, samples: number, microShardSize: number, buffers: Float32Array[]) {
    this.#total = total;
    this.#microShardSize = microShardSize;
    const microShards = microShardCount({ from: 0, to: samples }, microShardSize);
    this.#sum = new PairwiseSum((left, right) => this.#addPair(left, right), microShards);
    this.#freeBuffers = buffers;
    this.#ownBuffers = new Set(buffers);
  }

  add({ from, to }: Range, gradient: Float32Array): Range[] {
    const size = this.#microShardSize;
    const sum = this.#sum.add({ from: from / size, to: Math.ceil(to / size) }, gradient);
    if (sum === null) return [];
    this.#total.set(sum);
    this.#releaseBuffer(sum);
    return [{ from: 0, to: this.#total.length }];
  }

  #addPair(left: Float32Array, right: Float32Array): Float32Array {
    const sum = [left, right].find((vector) => this.#ownBuffers.has(vector)) ?? this.#acquireBuffer();
    codecKernels.addFlushToZero(left, right, sum);
    for (const vector of [left, right]) if (vector !== sum) this.#releaseBuffer(vector);
    return sum;
  }

  #acquireBuffer(): Float32Array {
    const buffer = this.#freeBuffers.pop() ?? new Float32Array(this.#total.length);
    this.#ownBuffers.add(buffer);
    return buffer;
  }

  #releaseBuffer(vector: Float32Array): void {
    if (this.#ownBuffers.has(vector)) this.#freeBuffers.push(vector);
  }
}
