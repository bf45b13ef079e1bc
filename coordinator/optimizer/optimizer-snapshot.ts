import type { OptimizerState } from './optimizer.ts';
import type { StepTransaction } from '../training/step.ts';

/** Copies of an optimizer's vectors, for a step that may end half done. */
export class OptimizerSnapshot implements StepTransaction {
  readonly #vectors: readonly Float32Array[];
  readonly #copies: readonly Float32Array[];
  /** Where what is kept starts; null if nothing is. */
  #from: number | null = null;

  constructor(state: OptimizerState) {
    this.#vectors = Object.values(state);
    this.#copies = this.#vectors.map(({ length }) => new Float32Array(length));
  }

  snapshot(from: number): void {
    this.#from = from;
    for (const [i, kept] of this.#copies.entries()) kept.set(this.#vectors[i]?.subarray(from) ?? [], from);
  }

  rollback(): void {
    if (this.#from === null) return;
    for (const [i, kept] of this.#copies.entries())
      this.#vectors[i]?.set(kept.subarray(this.#from), this.#from);
  }

  /** A step is done: there is nothing to put back. */
  commit(): void {
    this.#from = null;
  }
}
