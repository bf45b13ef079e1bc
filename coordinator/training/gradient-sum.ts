import type { Range } from '../../shared/range.ts';
import { vectorKernels } from './vector/vector.ts';

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
    for (let part = this.#pending.get(this.#nextSample); part !== undefined; part = this.#pending.get(this.#nextSample)) {
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
