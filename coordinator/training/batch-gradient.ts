import { GradientSum } from './gradient-sum.ts';
import type { Range } from '../../shared/range.ts';

/** Hears that a part of a batch's gradient is complete, as positions in the flat vector. */
export type OnSummed = (part: Range) => void;

interface Part extends Range {
  readonly sum: GradientSum;
  told: boolean;
}

/**
 * The gradient of a batch, put together from its shards': the tail of the flat vector, which may come ahead and in
 * pieces, and the head. Each part counts every sample once: what comes for samples that it has already changes nothing.
 */
export class BatchGradient {
  /** From the back to the front. */
  readonly #parts: readonly Part[];
  readonly #samples: number;
  readonly #onSummed: OnSummed;

  /**
   * @param total room for the sum, overwritten
   * @param cuts where the tail's pieces start, none of them at 0; empty if it has none
   * @param samples in the batch
   * @param onSummed called once for each part, those behind before those ahead of them
   */
  constructor(total: Float32Array, cuts: readonly number[], samples: number, onSummed: OnSummed) {
    this.#parts = [0, ...cuts]
      .map((from, i) => {
        const to = cuts[i] ?? total.length;
        return { from, to, sum: new GradientSum(total.subarray(from, to)), told: false };
      })
      .reverse();
    this.#samples = samples;
    this.#onSummed = onSummed;
  }

  /**
   * Whoever sends a shard's gradient in parts sends them from the back to the front.
   * @param values of a shard's gradient, whole parts of it; must not change any more
   * @param at where they start in the flat vector
   */
  add(shard: Range, values: Float32Array, at = 0): void {
    for (const part of this.#parts) {
      if (part.from < at || part.to > at + values.length) continue;
      part.sum.add(shard, values.subarray(part.from - at, part.to - at));
      if (part.told || part.sum.samplesAdded < this.#samples) continue;
      part.told = true;
      this.#onSummed({ from: part.from, to: part.to });
    }
  }
}
