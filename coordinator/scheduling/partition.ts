import type { ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import { forecastMs, type Throughput } from './throughput.ts';

/** Part of a batch that a worker computes, as positions in the batch. */
export interface Assignment extends Range {
  readonly worker: WorkerId;
}

/** A shard that a worker has been sent. */
export interface AssignedShard extends Range {
  readonly id: ShardId;
  readonly worker: WorkerId;
  readonly assignedAtMs: number;
  /** Time from which the shard is a straggler: an idle worker gets a duplicate. */
  readonly stragglerAtMs: number;
  /** Speculative duplicate of another worker's shard; the round does not wait for it. */
  readonly isDuplicate: boolean;
}

/** Splits a range of samples into about this many parts. */
export type SplitRange = (range: Range, parts: number) => Range[];

/** Rules for where a batch may be split. */
export interface BatchSplitter {
  /** Number of samples that shares are multiples of; undefined if shares can have any size. */
  readonly microShardSize: number | undefined;
  /** Shards for the shares of a batch, each worker's largest first. */
  alignShares(shares: readonly Assignment[], samples: number): readonly Assignment[];
  /** Splits a range of samples that a worker left behind. */
  readonly splitRange: SplitRange;
}

/** Splits [from, to) into `parts` ranges whose lengths differ by one at most; into fewer if there are fewer samples. */
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
 * @param microShardSize shares are multiples of it, except for the last one
 */
export function evenSplit(samples: number, workers: readonly WorkerId[], microShardSize = 1): Assignment[] {
  return splitEvenly({ from: 0, to: Math.ceil(samples / microShardSize) }, workers.length).flatMap(
    ({ from, to }, i) => {
      const worker = workers[i];
      return worker === undefined
        ? []
        : [{ worker, from: from * microShardSize, to: Math.min(samples, to * microShardSize) }];
    },
  );
}

/** Worker that can get a share. */
export interface Candidate {
  readonly worker: WorkerId;
  readonly throughput: Throughput;
}

/** Maximum number of grains in a batch. Shares are multiples of a grain, so that the same shard sizes recur. */
const MAX_GRAINS = 64;

/**
 * Shares that minimize the time of the slowest worker, in the order of the workers. Assigns grain by grain to the worker that
 * would finish it first. A worker whose share would delay the step gets none.
 * @param microShardSize shares are multiples of it, except for the last one. @default a 64th of the batch, at least one sample
 */
export function balancedSplit(
  samples: number,
  candidates: readonly Candidate[],
  microShardSize?: number,
): Assignment[] {
  const grain = microShardSize ?? Math.max(1, Math.floor(samples / MAX_GRAINS));
  const sizes = candidates.map(() => 0);
  for (let left = samples; left > 0 && candidates.length > 0; left -= grain) {
    const added = Math.min(grain, left);
    let soonest = 0;
    let soonestMs = Infinity;
    for (const [i, { throughput }] of candidates.entries()) {
      const finishedMs = forecastMs(throughput, (sizes[i] ?? 0) + added);
      if (finishedMs < soonestMs) {
        soonest = i;
        soonestMs = finishedMs;
      }
    }
    sizes[soonest] = (sizes[soonest] ?? 0) + added;
  }
  let to = 0;
  return candidates.flatMap(({ worker }, i) => {
    const from = to;
    to += sizes[i] ?? 0;
    return to > from ? [{ worker, from, to }] : [];
  });
}

/** Forecast of the time that the slowest share takes. */
export function slowestShardMs(shares: readonly Assignment[], candidates: readonly Candidate[]): number {
  const throughputs = new Map(candidates.map(({ worker, throughput }) => [worker, throughput]));
  return shares.reduce((slowestMs, { worker, from, to }) => {
    const throughput = throughputs.get(worker);
    return throughput === undefined ? slowestMs : Math.max(slowestMs, forecastMs(throughput, to - from));
  }, 0);
}

interface CurrentSplit {
  /** Ids of the workers that the split was made for, in order. */
  readonly workerKey: string;
  readonly assignments: readonly Assignment[];
  /** Number of consecutive steps in which another split would have been clearly faster. */
  readonly votes: number;
}

/** Another split is clearly faster if its forecast is at most this part of the current one's. */
const MAX_TIME_RATIO = 0.9;
const VOTES_TO_CHANGE = 3;

/**
 * Splits batches into shares that seldom change. Shares are equal unless others are clearly faster, and change only after others
 * have been clearly faster for some steps: engines prepare for each new size, and small differences in throughput change from
 * step to step.
 */
export class StablePartition {
  /** Current split for each batch size. */
  readonly #current = new Map<number, CurrentSplit>();
  readonly #microShardSize: number | undefined;

  /** @param microShardSize shares are multiples of it. @default undefined: shares can have any size */
  constructor(microShardSize?: number) {
    this.#microShardSize = microShardSize;
  }

  /**
   * Shares of the next step.
   * @param samples number of samples in the batch
   */
  next(samples: number, candidates: readonly Candidate[]): readonly Assignment[] {
    const current = this.#currentFor(samples, candidates);
    const best = bestSplit(samples, candidates, this.#microShardSize);
    const isFaster =
      slowestShardMs(best, candidates) < MAX_TIME_RATIO * slowestShardMs(current.assignments, candidates);
    const votes = isFaster ? current.votes + 1 : 0;
    const updated =
      votes < VOTES_TO_CHANGE ? { ...current, votes } : { ...current, assignments: best, votes: 0 };
    this.#current.set(samples, updated);
    return updated.assignments;
  }

  /** Shares that next() will probably return for the following step. */
  predict(samples: number, candidates: readonly Candidate[]): readonly Assignment[] {
    return this.#currentFor(samples, candidates).assignments;
  }

  #currentFor(samples: number, candidates: readonly Candidate[]): CurrentSplit {
    const workerKey = candidates.map(({ worker }) => worker).join();
    const current = this.#current.get(samples);
    if (current?.workerKey === workerKey) return current;
    return { workerKey, assignments: bestSplit(samples, candidates, this.#microShardSize), votes: 0 };
  }
}

/** The balanced split, or the even one if the balanced one is not clearly faster. */
function bestSplit(
  samples: number,
  candidates: readonly Candidate[],
  microShardSize: number | undefined,
): Assignment[] {
  const workers = candidates.map(({ worker }) => worker);
  const even = evenSplit(samples, workers, microShardSize);
  const balanced = balancedSplit(samples, candidates, microShardSize);
  return slowestShardMs(balanced, candidates) < MAX_TIME_RATIO * slowestShardMs(even, candidates)
    ? balanced
    : even;
}
