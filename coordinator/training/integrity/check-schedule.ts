import type { WorkerId } from '../../../shared/protocol/messages.ts';

export interface CheckScheduleOptions {
  /** The part of the time that recomputations may take. */
  readonly duty: number;
  /** In [0, 1): no worker shall know which answer is recomputed. */
  readonly random: () => number;
}

export interface CheckCandidate {
  readonly worker: WorkerId;
  /** From AnswerScreen. */
  readonly suspicion: number;
}

/** Time that recomputations may take ahead of their share: at the beginning no worker is known. */
const CREDIT_MS = 500;
/** From this suspicion on a worker is recomputed before others, and in so many times the time. */
const SUSPICIOUS = 0.6;
const SUSPICIOUS_TIMES = 1.5;

/**
 * Says whose answer of a step is recomputed while the run goes on: workers of which none was yet, then the most unlike the
 * others or any, by turns at random. The time that this takes is bounded.
 */
export class CheckSchedule {
  readonly #options: CheckScheduleOptions;
  readonly #verified = new Set<WorkerId>();
  #startedMs: number | null = null;
  #spentMs = 0;

  constructor(options: CheckScheduleOptions) {
    this.#options = options;
  }

  /** @returns the position of the answer that is to be recomputed; null if none is */
  next(candidates: readonly CheckCandidate[], nowMs: number): number | null {
    if (candidates.length === 0) return null;
    const { duty } = this.#options;
    this.#startedMs ??= nowMs;
    const [most] = [...candidates.entries()].toSorted(([, a], [, b]) => b.suspicion - a.suspicion);
    const isSuspicious = most !== undefined && most[1].suspicion >= SUSPICIOUS;
    const dueMs = CREDIT_MS + duty * (nowMs - this.#startedMs);
    if (this.#spentMs > (isSuspicious ? SUSPICIOUS_TIMES * dueMs : dueMs)) return null;
    if (isSuspicious) return most[0];
    const unknown = [...candidates.entries()].filter(([, { worker }]) => !this.#verified.has(worker));
    if (unknown.length > 0) return this.#oneOf(unknown)?.[0] ?? null;
    return this.#options.random() < 0.5 ? (most?.[0] ?? null) : (this.#oneOf([...candidates.keys()]) ?? null);
  }

  /** A recomputation has taken so long. */
  spent(elapsedMs: number): void {
    this.#spentMs += elapsedMs;
  }

  /** A recomputation has confirmed an answer of this worker. */
  confirmed(worker: WorkerId): void {
    this.#verified.add(worker);
  }

  isVerified(worker: WorkerId): boolean {
    return this.#verified.has(worker);
  }

  left(worker: WorkerId): void {
    this.#verified.delete(worker);
  }

  #oneOf<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#options.random() * items.length)];
  }
}
