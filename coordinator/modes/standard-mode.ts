import { addScores, type Score } from '../../shared/model/scoring.ts';
import type { Range } from '../../shared/util/range.ts';
import { vectorKernels } from '../optimizer/kernels/vector.ts';
import { splitEvenly } from '../scheduling/partition.ts';
import {
  MIN_SAMPLES_PER_EVALUATION_SHARD,
  SAMPLES_PER_EVALUATION_SHARD,
  type GradientSum,
  type RunMode,
} from './run-mode.ts';

/**
 * Fast mode: shards of any size, summed in the order of their samples, bucket by bucket.
 * @param bucketOffsets offsets where buckets begin, ascending from 0
 */
export function standardMode(bucketOffsets: readonly number[]): RunMode {
  return {
    bucketOffsets,
    microShardSize: undefined,
    hasChecksums: false,
    mayArrange: true,
    fingerprints: null,
    alignShares: (shares) => shares,
    splitRange: splitEvenly,
    splitEvaluation(samples, workers) {
      const parts = Math.min(workers, Math.floor(samples / MIN_SAMPLES_PER_EVALUATION_SHARD));
      const fewest = Math.ceil(samples / SAMPLES_PER_EVALUATION_SHARD);
      return splitEvenly({ from: 0, to: samples }, Math.max(parts, fewest));
    },
    createSum: (total, samples) => new BucketedSum(total, bucketOffsets, samples),
    sumScores(scores) {
      const [first, ...others] = scores.toSorted((a, b) => a.from - b.from);
      return others.reduce<Score>(addScores, first ?? { lossSum: 0, metrics: [] });
    },
  };
}

/**
 * Adds gradients in the order of their samples: float32 addition is not associative, so the order is part of the result. A
 * gradient that arrives before its turn is kept until then.
 */
export class OrderedSum {
  readonly total: Float32Array;
  readonly #pending = new Map<number, { readonly to: number; readonly gradient: Float32Array }>();
  /** Samples of gradients that were added: 1 at their positions. */
  readonly #added: Uint8Array;
  #nextSample = 0;

  /**
   * @param total vector for the sum, overwritten
   * @param samples samples of the batch
   */
  constructor(total: Float32Array, samples: number) {
    this.total = total;
    this.#added = new Uint8Array(samples);
  }

  /**
   * Adds a gradient, unless its samples were added before.
   * @param range lies within the samples added before, or apart from them
   * @param gradient sum over the samples of `range`; kept until its turn, so it must not change
   */
  add({ from, to }: Range, gradient: Float32Array): void {
    if (this.#added[from] === 1) return;
    this.#added.fill(1, from, to);
    this.#pending.set(from, { to, gradient });
    for (
      let next = this.#pending.get(this.#nextSample);
      next !== undefined;
      next = this.#pending.get(this.#nextSample)
    ) {
      if (this.#nextSample === 0) this.total.set(next.gradient);
      else vectorKernels.addInto(this.total, next.gradient);
      this.#pending.delete(this.#nextSample);
      this.#nextSample = next.to;
    }
  }

  /** Number of samples in the total: the samples at positions [0, samplesAdded). */
  get samplesAdded(): number {
    return this.#nextSample;
  }
}

interface Bucket extends Range {
  readonly sum: OrderedSum;
  isReported: boolean;
}

/** One ordered sum for each bucket of the flat vector. */
export class BucketedSum implements GradientSum {
  /** Back to front. */
  readonly #buckets: readonly Bucket[];
  readonly #samples: number;

  /**
   * @param total vector for the sum, overwritten
   * @param bucketOffsets ascending, from 0
   * @param samples samples of the batch
   */
  constructor(total: Float32Array, bucketOffsets: readonly number[], samples: number) {
    this.#buckets = bucketOffsets
      .map((from, i) => {
        const to = bucketOffsets[i + 1] ?? total.length;
        return { from, to, sum: new OrderedSum(total.subarray(from, to), samples), isReported: false };
      })
      .reverse();
    this.#samples = samples;
  }

  add(shard: Range, values: Float32Array, offset: number): Range[] {
    const complete: Range[] = [];
    for (const bucket of this.#buckets) {
      const { from, to, sum } = bucket;
      if (from < offset || to > offset + values.length) continue;
      sum.add(shard, values.subarray(from - offset, to - offset));
      if (bucket.isReported || sum.samplesAdded < this.#samples) continue;
      bucket.isReported = true;
      complete.push({ from, to });
    }
    return complete;
  }
}
