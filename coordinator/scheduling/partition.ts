import type { ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import { forecastMs, type Throughput } from './throughput.ts';

/** A part of a batch, in positions, not sample numbers. */
export interface Assignment extends Range {
  readonly worker: WorkerId;
}

/** A shard that a worker has been sent. */
export interface AssignedShard extends Range {
  readonly id: ShardId;
  readonly worker: WorkerId;
  readonly assignedAtMs: number;
  /** Time from which the shard is a straggler: an idle worker gets it too. */
  readonly stragglerAtMs: number;
  /** Speculative duplicate of another worker's shard: no worker is waited for because of it. */
  readonly isDuplicate: boolean;
}

/** Splits a range of samples into about so many parts. */
export type SplitRange = (range: Range, parts: number) => Range[];

/** Rules about where a batch may be split. */
export interface BatchSplitter {
  /** Samples that shares are multiples of; undefined if any number will do. */
  readonly microShardSize: number | undefined;
  /** Shards for these shares of a batch, a worker's largest first. */
  alignShares(shares: readonly Assignment[], samples: number): readonly Assignment[];
  /** Splits a range of samples that a worker left behind. */
  readonly splitRange: SplitRange;
}

/** Splits [from, to) into `parts` ranges whose lengths differ by one at most; fewer if there are not so many samples. */
export function splitEvenly({ from, to }: Range, parts: number): Range[] {
  const length = to - from;
  const ranges: Range[] = [];
  for (let part = 0; part < parts; part++) {
    const start = from + Math.floor((length * part) / parts);
    const end = from + Math.floor((length * (part + 1)) / parts);
    if (end > start) ranges.push({ from: start, to: end });
  }
  return ranges;
}

/**
 * Equal shares of a batch, in the order of the workers.
 * @param unit shares are multiples of it, the last one excepted
 */
export function evenSplit(samples: number, workers: readonly WorkerId[], unit = 1): Assignment[] {
  return splitEvenly({ from: 0, to: Math.ceil(samples / unit) }, workers.length).flatMap(
    ({ from, to }, i) => {
      const worker = workers[i];
      return worker === undefined ? [] : [{ worker, from: from * unit, to: Math.min(samples, to * unit) }];
    },
  );
}

/** Somebody who may get a share. */
export interface Candidate {
  readonly worker: WorkerId;
  readonly throughput: Throughput;
}

/** The finest cut of a batch: shares are multiples of a 64th of it, of one sample at least, so that sizes recur. */
const MAX_GRAINS = 64;

/**
 * The shares by which the slowest is done soonest, in the order of the workers: grain after grain to whoever would be
 * done with it first. Somebody who would make all others wait gets none.
 * @param unit shares are multiples of it, the last one excepted; without it, of a 64th
 */
export function balancedSplit(
  samples: number,
  candidates: readonly Candidate[],
  unit?: number,
): Assignment[] {
  const grain = unit ?? Math.max(1, Math.floor(samples / MAX_GRAINS));
  const sizes = candidates.map(() => 0);
  for (let left = samples; left > 0 && candidates.length > 0; left -= grain) {
    const more = Math.min(grain, left);
    let [soonest, soonestMs] = [0, Infinity];
    for (const [i, { throughput }] of candidates.entries()) {
      const doneMs = forecastMs(throughput, (sizes[i] ?? 0) + more);
      if (doneMs < soonestMs) [soonest, soonestMs] = [i, doneMs];
    }
    sizes[soonest] = (sizes[soonest] ?? 0) + more;
  }
  let to = 0;
  return candidates.flatMap(({ worker }, i) => {
    const from = to;
    to += sizes[i] ?? 0;
    return to > from ? [{ worker, from, to }] : [];
  });
}

/** How long the slowest share takes. */
export function slowestShardMs(shares: readonly Assignment[], candidates: readonly Candidate[]): number {
  const paces = new Map(candidates.map(({ worker, throughput }) => [worker, throughput]));
  return shares.reduce((longestMs, { worker, from, to }) => {
    const pace = paces.get(worker);
    return pace === undefined ? longestMs : Math.max(longestMs, forecastMs(pace, to - from));
  }, 0);
}

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
    const better =
      slowestShardMs(best, candidates) < MAX_TIME_RATIO * slowestShardMs(held.assignments, candidates);
    const votes = better ? held.votes + 1 : 0;
    const now = votes < VOTES_TO_CHANGE ? { ...held, votes } : { ...held, assignments: best, votes: 0 };
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
  return slowestShardMs(fastest, candidates) < MAX_TIME_RATIO * slowestShardMs(equal, candidates)
    ? fastest
    : equal;
}
