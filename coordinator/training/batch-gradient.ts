import { GradientSum } from './gradient-sum.ts';
import type { Range } from './schedule.ts';

/** Hears that a part of a batch's gradient is complete, as positions in the flat vector. */
export type OnSummed = (part: Range) => void;

/**
 * The gradient of a batch, put together from its shards': the tail of the flat vector, which may come ahead, and the
 * head. Each part counts every sample once: what comes for samples that it has already changes nothing.
 */
export class BatchGradient {
  readonly #tailFrom: number;
  readonly #head: GradientSum;
  readonly #tail: GradientSum;
  readonly #complete: (sum: GradientSum, part: Range) => void;

  /**
   * @param total room for the sum, overwritten
   * @param tailFrom where the tail starts; the vector's length if it has none
   * @param samples in the batch
   * @param onSummed called once for each part that is not empty, the tail first
   */
  constructor(total: Float32Array, tailFrom: number, samples: number, onSummed: OnSummed) {
    this.#tailFrom = tailFrom;
    this.#head = new GradientSum(total.subarray(0, tailFrom));
    this.#tail = new GradientSum(total.subarray(tailFrom));
    const told = new Set<GradientSum>();
    this.#complete = (sum, part) => {
      if (sum.samplesAdded < samples || part.from === part.to || told.has(sum)) return;
      told.add(sum);
      onSummed(part);
    };
  }

  /** @param tail of a shard's gradient; must not change any more */
  addTail(shard: Range, tail: Float32Array): void {
    this.#tail.add(shard, tail);
    this.#complete(this.#tail, { from: this.#tailFrom, to: this.#tailFrom + tail.length });
  }

  /** @param gradient all of a shard's, or its head alone if its tail came before; must not change any more */
  add(shard: Range, gradient: Float32Array): void {
    if (gradient.length > this.#tailFrom) this.addTail(shard, gradient.subarray(this.#tailFrom));
    this.#head.add(shard, gradient.subarray(0, this.#tailFrom));
    this.#complete(this.#head, { from: 0, to: this.#tailFrom });
  }
}
