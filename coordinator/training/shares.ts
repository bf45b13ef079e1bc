import { evenSplit, balancedSplit, slowestShardMs, type Assignment, type Candidate } from './schedule.ts';

interface CurrentSplit {
  /** Whom it was made for, in order. */
  readonly workerKey: string;
  readonly assignments: readonly Assignment[];
  /** How many times in a row others would have been clearly better. */
  readonly votes: number;
}

/** Other shares have to promise to be done in this part of the time. */
const MAX_TIME_RATIO = 0.9;
const VOTES_TO_CHANGE = 3;

/**
 * Who gets how much of a batch. Shares are equal unless others are clearly faster, and stay as they are until others
 * have been clearly faster for some steps: each new size has engines build something, and who is a little faster changes
 * from step to step.
 */
export class StablePartition {
  /** By the size of the batch. */
  readonly #current = new Map<number, CurrentSplit>();
  readonly #microShardSize: number | undefined;

  /** @param unit shares are multiples of it, if they have to be */
  constructor(unit?: number) {
    this.#microShardSize = unit;
  }

  /**
   * The shares of one step.
   * @param samples in the batch
   */
  next(samples: number, candidates: readonly Candidate[]): readonly Assignment[] {
    const held = this.#currentFor(samples, candidates);
    const best = bestSplit(samples, candidates, this.#microShardSize);
    const better = slowestShardMs(best, candidates) < MAX_TIME_RATIO * slowestShardMs(held.assignments, candidates);
    const votes = better ? held.votes + 1 : 0;
    const now = votes < VOTES_TO_CHANGE ? { ...held, votes } : { ...held, shares: best, votes: 0 };
    this.#current.set(samples, now);
    return now.assignments;
  }

  /** What next() will probably say for the step that follows. */
  predict(samples: number, candidates: readonly Candidate[]): readonly Assignment[] {
    return this.#currentFor(samples, candidates).assignments;
  }

  #currentFor(samples: number, candidates: readonly Candidate[]): CurrentSplit {
    const workerKey = candidates.map(({ worker }) => worker).join();
    const held = this.#current.get(samples);
    if (held?.workerKey === workerKey) return held;
    return { workerKey, assignments: bestSplit(samples, candidates, this.#microShardSize), votes: 0 };
  }
}

/** The fastest shares, or equal ones where those are hardly slower. */
function bestSplit(
  samples: number,
  candidates: readonly Candidate[],
  unit: number | undefined,
): Assignment[] {
  const workers = candidates.map(({ worker }) => worker);
  const equal = evenSplit(samples, workers, unit);
  const fastest = balancedSplit(samples, candidates, unit);
  return slowestShardMs(fastest, candidates) < MAX_TIME_RATIO * slowestShardMs(equal, candidates) ? fastest : equal;
}
