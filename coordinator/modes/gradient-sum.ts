import type { Range } from '../../shared/util/range.ts';
import { vectorKernels } from '../optimizer/kernels/vector.ts';

/** The sum of a batch's gradients, in an order that does not depend on which worker answers first. */
export interface GradientSum {
  /**
   * Adds a bucket of a shard's gradient. Samples that were added before change nothing.
   * @param shard positions in the batch
   * @param values sum over the shard's samples; must not change any more
   * @param offset position of the first value in the flat vector
   * @returns ranges of the flat vector whose sum is complete now, back to front
   */
  add(shard: Range, values: Float32Array, offset: number): Range[];
}

/**
 * Adds gradients in the order of their samples: float32 addition is not associative, so the order is part of the result. A
 * gradient that comes before its turn is kept until then.
 */
export class OrderedSum {
  readonly total: Float32Array;
  readonly #pending = new Map<number, { readonly to: number; readonly gradient: Float32Array }>();
  #nextSample = 0;

  /** @param total vector for the sum, overwritten */
  constructor(total: Float32Array) {
    this.total = total;
  }

  /**
   * @param range lies within what was added before, or apart from it; in the first case nothing happens
   * @param gradient sum over the samples of `range`; kept until its turn, so it must not change
   */
  add({ from, to }: Range, gradient: Float32Array): void {
    if (this.#has(from)) return;
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

  #has(position: number): boolean {
    if (position < this.#nextSample) return true;
    return [...this.#pending].some(([from, { to }]) => from <= position && position < to);
  }

  /** Number of samples in the total: those at positions [0, samplesAdded). */
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
        return { from, to, sum: new OrderedSum(total.subarray(from, to)), isReported: false };
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
