import type { WorkerId } from '../../../shared/protocol/messages.ts';

interface Suspicion {
  /** Whose answers were others. */
  readonly disagreed: Set<WorkerId>;
  /** Whose answers were the same since. */
  readonly agreed: Set<WorkerId>;
}

const WITNESSES = 2;

/**
 * Who is to be believed. Of two that disagree, either may be wrong; whoever disagrees with a second one, and with more
 * than it agrees with, is.
 */
export class Suspicions {
  readonly #suspicions = new Map<WorkerId, Suspicion>();

  isSuspect(worker: WorkerId): boolean {
    return this.#suspicions.has(worker);
  }

  /** Whose word against this worker has been heard. */
  against(worker: WorkerId): ReadonlySet<WorkerId> {
    return this.#suspicions.get(worker)?.disagreed ?? new Set();
  }

  agreed(a: WorkerId, b: WorkerId): void {
    for (const [worker, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const suspicion = this.#suspicions.get(worker);
      if (suspicion === undefined) continue;
      suspicion.agreed.add(other);
      if (suspicion.agreed.size > suspicion.disagreed.size) this.#suspicions.delete(worker);
    }
  }

  /** @returns who of the two is wrong, if that is clear now */
  disagreed(a: WorkerId, b: WorkerId): WorkerId | null {
    const [ofA, ofB] = [this.#of(a), this.#of(b)];
    ofA.disagreed.add(b);
    ofB.disagreed.add(a);
    const [wrongA, wrongB] = [isWrong(ofA), isWrong(ofB)];
    // Both: somebody lies who stands behind both counts. Who stands alone more clearly goes first.
    if (wrongA && wrongB) return balance(ofA) === balance(ofB) ? null : balance(ofA) > balance(ofB) ? a : b;
    return wrongA ? a : wrongB ? b : null;
  }

  /** It has gone, and its word with it. */
  forget(worker: WorkerId): void {
    this.#suspicions.delete(worker);
    for (const [other, { disagreed, agreed }] of this.#suspicions) {
      agreed.delete(worker);
      if (disagreed.delete(worker) && disagreed.size === 0) this.#suspicions.delete(other);
    }
  }

  #of(worker: WorkerId): Suspicion {
    const suspicion = this.#suspicions.get(worker) ?? { disagreed: new Set(), agreed: new Set() };
    this.#suspicions.set(worker, suspicion);
    return suspicion;
  }
}

const balance = ({ disagreed, agreed }: Suspicion): number => disagreed.size - agreed.size;
const isWrong = (suspicion: Suspicion): boolean =>
  suspicion.disagreed.size >= WITNESSES && balance(suspicion) > 0;
