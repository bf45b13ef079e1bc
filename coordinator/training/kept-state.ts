import type { OptimizerState } from './optimizer.ts';
import type { Undo } from './round-runner.ts';

/** Copies of an optimizer's vectors, for a step that may end half done. */
export class KeptState implements Undo {
  readonly #vectors: readonly Float32Array[];
  readonly #kept: readonly Float32Array[];
  /** Where what is kept starts; null if nothing is. */
  #from: number | null = null;

  constructor(state: OptimizerState) {
    this.#vectors = Object.values(state);
    this.#kept = this.#vectors.map(({ length }) => new Float32Array(length));
  }

  keep(from: number): void {
    this.#from = from;
    for (const [i, kept] of this.#kept.entries()) kept.set(this.#vectors[i]?.subarray(from) ?? [], from);
  }

  restore(): void {
    if (this.#from === null) return;
    for (const [i, kept] of this.#kept.entries())
      this.#vectors[i]?.set(kept.subarray(this.#from), this.#from);
  }

  /** A step is done: there is nothing to put back. */
  forget(): void {
    this.#from = null;
  }
}
