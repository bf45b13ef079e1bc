import type { WorkerId } from '../../shared/protocol/messages.ts';

export interface SpotCheckScheduleOptions {
  /** The part of the time that recomputations may take. */
  readonly maxTimeFraction: number;
  /** In [0, 1): no worker shall know which answer is recomputed. */
  readonly random: () => number;
}

export interface SpotCheckCandidate {
  readonly worker: WorkerId;
  /** From AnswerScreen. */
  readonly suspicion: number;
}

/** Time that recomputations may take ahead of their share: at the beginning no worker is known. */
const INITIAL_BUDGET_MS = 500;
/** From this suspicion on a worker is recomputed before others, and in so many times the time. */
const MIN_SUSPICION = 0.6;
const SUSPICIOUS_BUDGET_FACTOR = 1.5;

/**
 * Says whose answer of a step is recomputed while the run goes on: workers of which none was yet, then the most unlike the
 * others or any, by turns at random. The time that this takes is bounded.
 */
export class SpotCheckSchedule {
  readonly #options: SpotCheckScheduleOptions;
  readonly #verified = new Set<WorkerId>();
  #startedMs: number | null = null;
  #spentMs = 0;

  constructor(options: SpotCheckScheduleOptions) {
    this.#options = options;
  }

  /** @returns the position of the answer that is to be recomputed; null if none is */
  next(candidates: readonly SpotCheckCandidate[], nowMs: number): number | null {
    if (candidates.length === 0) return null;
    const { maxTimeFraction } = this.#options;
    this.#startedMs ??= nowMs;
    const [most] = [...candidates.entries()].toSorted(([, a], [, b]) => b.suspicion - a.suspicion);
    const isSuspicious = most !== undefined && most[1].suspicion >= MIN_SUSPICION;
    const dueMs = INITIAL_BUDGET_MS + maxTimeFraction * (nowMs - this.#startedMs);
    if (this.#spentMs > (isSuspicious ? SUSPICIOUS_BUDGET_FACTOR * dueMs : dueMs)) return null;
    if (isSuspicious) return most[0];
    const unknown = [...candidates.entries()].filter(([, { worker }]) => !this.#verified.has(worker));
    if (unknown.length > 0) return this.#pickRandom(unknown)?.[0] ?? null;
    return this.#options.random() < 0.5
      ? (most?.[0] ?? null)
      : (this.#pickRandom([...candidates.keys()]) ?? null);
  }

  /** A recomputation has taken so long. */
  addTime(elapsedMs: number): void {
    this.#spentMs += elapsedMs;
  }

  /** A recomputation has confirmed an answer of this worker. */
  confirm(worker: WorkerId): void {
    this.#verified.add(worker);
  }

  isVerified(worker: WorkerId): boolean {
    return this.#verified.has(worker);
  }

  remove(worker: WorkerId): void {
    this.#verified.delete(worker);
  }

  #pickRandom<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#options.random() * items.length)];
  }
}
