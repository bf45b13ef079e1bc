import { equalShares, fastestShares, slowestMs, type Assignment, type Candidate } from './schedule.ts';

interface Held {
  /** Whom it was made for, in order. */
  readonly workers: string;
  readonly shares: readonly Assignment[];
  /** How many times in a row others would have been clearly better. */
  readonly votes: number;
}

/** Other shares have to promise to be done in this part of the time. */
const WORTH_WHILE = 0.9;
const IN_A_ROW = 3;

/**
 * Who gets how much of a batch. Shares are equal unless others are clearly faster, and stay as they are until others
 * have been clearly faster for some steps: each new size has engines build something, and who is a little faster changes
 * from step to step.
 */
export class Shares {
  /** By the size of the batch. */
  readonly #held = new Map<number, Held>();
  readonly #unit: number | undefined;

  /** @param unit shares are multiples of it, if they have to be */
  constructor(unit?: number) {
    this.#unit = unit;
  }

  /**
   * The shares of one step.
   * @param samples in the batch
   */
  next(samples: number, candidates: readonly Candidate[]): readonly Assignment[] {
    const held = this.#of(samples, candidates);
    const best = bestShares(samples, candidates, this.#unit);
    const better = slowestMs(best, candidates) < WORTH_WHILE * slowestMs(held.shares, candidates);
    const votes = better ? held.votes + 1 : 0;
    const now = votes < IN_A_ROW ? { ...held, votes } : { ...held, shares: best, votes: 0 };
    this.#held.set(samples, now);
    return now.shares;
  }

  /** What next() will probably say for the step that follows. */
  probable(samples: number, candidates: readonly Candidate[]): readonly Assignment[] {
    return this.#of(samples, candidates).shares;
  }

  #of(samples: number, candidates: readonly Candidate[]): Held {
    const workers = candidates.map(({ worker }) => worker).join();
    const held = this.#held.get(samples);
    if (held?.workers === workers) return held;
    return { workers, shares: bestShares(samples, candidates, this.#unit), votes: 0 };
  }
}

/** The fastest shares, or equal ones where those are hardly slower. */
function bestShares(
  samples: number,
  candidates: readonly Candidate[],
  unit: number | undefined,
): Assignment[] {
  const workers = candidates.map(({ worker }) => worker);
  const equal = equalShares(samples, workers, unit);
  const fastest = fastestShares(samples, candidates, unit);
  return slowestMs(fastest, candidates) < WORTH_WHILE * slowestMs(equal, candidates) ? fastest : equal;
}
