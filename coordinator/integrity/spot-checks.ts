import type { WorkerId } from '../../shared/protocol/messages.ts';

export interface SpotCheckScheduleOptions {
  /** Fraction of the time that recomputations may take. */
  readonly maxTimeFraction: number;
  /** Random number in [0, 1), so that workers cannot predict which answer is recomputed. */
  readonly random: () => number;
}

export interface SpotCheckCandidate {
  readonly worker: WorkerId;
  /** Suspicion from OutlierFilter. */
  readonly suspicion: number;
}

/** Time in advance for recomputations, since no worker is verified at the start. */
const INITIAL_BUDGET_MS = 500;
/** Suspicion from which a worker is checked before others. */
const MIN_SUSPICION = 0.6;
/** Factor of the time budget for suspicious workers. */
const SUSPICIOUS_BUDGET_FACTOR = 1.5;

/**
 * Selects the answer of a step that is recomputed in the background, within a time budget: one of the most suspicious worker,
 * else one of an unverified worker, else at random the one of the highest suspicion or any.
 */
export class SpotCheckSchedule {
  readonly #options: SpotCheckScheduleOptions;
  readonly #verified = new Set<WorkerId>();
  #startedMs: number | null = null;
  #spentMs = 0;

  constructor(options: SpotCheckScheduleOptions) {
    this.#options = options;
  }

  /** @returns index of the answer to recompute; null for none */
  next(candidates: readonly SpotCheckCandidate[], nowMs: number): number | null {
    if (candidates.length === 0) return null;
    const { maxTimeFraction } = this.#options;
    this.#startedMs ??= nowMs;
    const [mostSuspicious] = [...candidates.entries()].toSorted(([, a], [, b]) => b.suspicion - a.suspicion);
    const isSuspicious = mostSuspicious !== undefined && mostSuspicious[1].suspicion >= MIN_SUSPICION;
    const budgetMs = INITIAL_BUDGET_MS + maxTimeFraction * (nowMs - this.#startedMs);
    if (this.#spentMs > (isSuspicious ? SUSPICIOUS_BUDGET_FACTOR * budgetMs : budgetMs)) return null;
    if (isSuspicious) return mostSuspicious[0];
    const unverified = [...candidates.entries()].filter(([, { worker }]) => !this.#verified.has(worker));
    if (unverified.length > 0) return this.#pickRandom(unverified)?.[0] ?? null;
    return this.#options.random() < 0.5
      ? (mostSuspicious?.[0] ?? null)
      : (this.#pickRandom([...candidates.keys()]) ?? null);
  }

  /** Adds the time of a recomputation. */
  addTime(elapsedMs: number): void {
    this.#spentMs += elapsedMs;
  }

  /** Records that a recomputation has confirmed an answer of this worker. */
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
