import type { Range } from '../../shared/util/range.ts';
import { vectorKernels } from '../optimizer/kernels/vector.ts';

/**
 * Adds the gradients of a round's shards in the order of their samples, whoever answers first: float32 addition is
 * not associative, so the order is part of the result. A gradient whose turn has come is added at once, the others
 * are kept until then.
 */
export class GradientSum {
  readonly total: Float32Array;
  readonly #pending = new Map<number, { readonly to: number; readonly gradient: Float32Array }>();
  #nextSample = 0;

  /** @param total room for the sum, overwritten; kept from round to round */
  constructor(total: Float32Array) {
    this.total = total;
  }

  /**
   * @param range lies within what was added before, or apart from it; in the first case nothing happens
   * @param gradient the sum over the samples of `range`; kept until its turn, so it must not change
   */
  add({ from, to }: Range, gradient: Float32Array): void {
    if (this.#has(from)) return;
    this.#pending.set(from, { to, gradient });
    for (
      let part = this.#pending.get(this.#nextSample);
      part !== undefined;
      part = this.#pending.get(this.#nextSample)
    ) {
      if (this.#nextSample === 0) this.total.set(part.gradient);
      else vectorKernels.addInto(this.total, part.gradient);
      this.#pending.delete(this.#nextSample);
      this.#nextSample = part.to;
    }
  }

  #has(position: number): boolean {
    if (position < this.#nextSample) return true;
    return [...this.#pending].some(([from, { to }]) => from <= position && position < to);
  }

  /** Positions [0, samplesAdded) are in the total. */
  get samplesAdded(): number {
    return this.#nextSample;
  }
}

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
