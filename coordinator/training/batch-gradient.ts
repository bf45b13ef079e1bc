import { GradientSum } from './gradient-sum.ts';
import type { Range } from '../../shared/range.ts';

/** Hears that a part of a batch's gradient is complete, as positions in the flat vector. */
export type OnBucketSummed = (part: Range) => void;

interface Bucket extends Range {
  readonly sum: GradientSum;
  reported: boolean;
}

/**
 * The gradient of a batch, put together from its shards': the tail of the flat vector, which may come ahead and in
 * pieces, and the head. Each part counts every sample once: what comes for samples that it has already changes nothing.
 */
export class BucketedGradientSum {
  /** From the back to the front. */
  readonly #buckets: readonly Bucket[];
  readonly #samples: number;
  readonly #onBucketSummed: OnBucketSummed;

  /**
   * @param total room for the sum, overwritten
   * @param cuts where the tail's pieces start, none of them at 0; empty if it has none
   * @param samples in the batch
   * @param onSummed called once for each part, those behind before those ahead of them
   */
  constructor(total: Float32Array, cuts: readonly number[], samples: number, onSummed: OnBucketSummed) {
    this.#buckets = [0, ...cuts]
      .map((from, i) => {
        const to = cuts[i] ?? total.length;
        return { from, to, sum: new GradientSum(total.subarray(from, to)), reported: false };
      })
      .reverse();
    this.#samples = samples;
    this.#onBucketSummed = onSummed;
  }

  /**
   * Whoever sends a shard's gradient in parts sends them from the back to the front.
   * @param values of a shard's gradient, whole parts of it; must not change any more
   * @param at where they start in the flat vector
   */
  add(shard: Range, values: Float32Array, at = 0): void {
    for (const part of this.#buckets) {
      if (part.from < at || part.to > at + values.length) continue;
      part.sum.add(shard, values.subarray(part.from - at, part.to - at));
      if (part.reported || part.sum.samplesAdded < this.#samples) continue;
      part.reported = true;
      this.#onBucketSummed({ from: part.from, to: part.to });
    }
  }
}
