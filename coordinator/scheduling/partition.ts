import type { EngineInfo, ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Range } from '../../shared/util/range.ts';
import type { WorkerLink } from '../links/worker-link.ts';
import { explainStandby, ProbationSchedule } from './standby.ts';
import { forecastMs, ShareTimes, ThroughputTracker, type Throughput } from './throughput.ts';

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

/** Values of which the smallest is at hand. */
export class MinHeap<Value> {
  readonly #values: Value[] = [];
  readonly #isLess: (a: Value, b: Value) => boolean;

  constructor(isLess: (a: Value, b: Value) => boolean) {
    this.#isLess = isLess;
  }

  get size(): number {
    return this.#values.length;
  }

  push(value: Value): void {
    const values = this.#values;
    let at = values.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = values[parent] as Value;
      if (!this.#isLess(value, above)) break;
      values[at] = above;
      at = parent;
    }
    values[at] = value;
  }

  /** Removes the smallest value. @returns undefined if there is none */
  pop(): Value | undefined {
    const values = this.#values;
    const [smallest] = values;
    const last = values.pop();
    if (last === undefined || values.length === 0) return smallest;
    let at = 0;
    for (let child = 1; child < values.length; child = 2 * at + 1) {
      const right = values[child + 1];
      if (right !== undefined && this.#isLess(right, values[child] as Value)) child++;
      const below = values[child] as Value;
      if (!this.#isLess(below, last)) break;
      values[at] = below;
      at = child;
    }
    values[at] = last;
    return smallest;
  }
}

/** Worker that can get a share. */
export interface Candidate {
  readonly worker: WorkerId;
  readonly throughput: Throughput;
}

/** Number of grains in a batch. Shares are multiples of a grain, so that the same shard sizes recur. */
const GRAINS = 64;
/** With many workers there are more grains: shares of unequal workers are a few grains each. */
const GRAINS_PER_WORKER = 4;

/**
 * Shares that minimize the time of the slowest worker, in the order of the workers. Assigns grain by grain to the worker that
 * would finish it first. A worker whose share would delay the step gets none.
 * @param microShardSize shares are multiples of it, except for the last one. @default a 64th of the batch, or a quarter of a
 *   worker's equal share, at least one sample
 */
export function balancedSplit(
  samples: number,
  candidates: readonly Candidate[],
  microShardSize?: number,
): Assignment[] {
  const grains = Math.max(GRAINS, GRAINS_PER_WORKER * candidates.length);
  const grain = microShardSize ?? Math.max(1, Math.floor(samples / grains));
  const sizes = candidates.map(() => 0);
  const finished = new MinHeap<{ readonly i: number; readonly ms: number }>(
    (a, b) => a.ms < b.ms || (a.ms === b.ms && a.i < b.i),
  );
  const finish = (i: number): void => {
    const candidate = candidates[i];
    if (candidate === undefined) return;
    finished.push({ i, ms: forecastMs(candidate.throughput, (sizes[i] ?? 0) + grain) });
  };
  candidates.forEach((_, i) => finish(i));
  for (let left = samples; left > 0; left -= grain) {
    const soonest = finished.pop()?.i;
    if (soonest === undefined) break;
    sizes[soonest] = (sizes[soonest] ?? 0) + Math.min(grain, left);
    finish(soonest);
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

/** Worker of a pool, as far as partitioning needs it. */
interface PartitionWorker {
  readonly id: WorkerId;
  readonly engine: EngineInfo;
  readonly link: WorkerLink;
  readonly isStandby: boolean;
}

/** Worker pool, as far as partitioning needs it. */
interface PartitionPool<W extends PartitionWorker> {
  readonly workers: ReadonlyMap<WorkerId, W>;
  isBackpressured(worker: W): boolean;
  /** @param reason why the worker is on standby; null if it is active */
  setStandby(worker: W, reason: string | null): void;
}

/** Assignment of a batch's shards to workers. */
export interface BatchPartition {
  /** Workers that have a share. */
  readonly workers: readonly WorkerId[];
  /** Workers that get a shard only if no other is left, or to replace a straggler. */
  readonly standby: readonly WorkerId[];
  /** Shards that are sent at once. */
  readonly assignments: readonly Assignment[];
  /** Shards without a worker, for the first workers that are free. */
  readonly pending: readonly Range[];
  /** Duplicates of assigned shards for idle workers that are measured; the first answer counts. */
  readonly duplicates: readonly Assignment[];
  readonly splitRange: SplitRange;
  /** Maximum number of shards that a worker is assigned at a time. */
  readonly depth: number;
}

/** A shard is a straggler after this multiple of its forecast, plus the slack. */
const STRAGGLER_FACTOR = 2;
const STRAGGLER_SLACK_MS = 20;
/** A worker that hangs keeps its share until then, so that a short pause does not change all shares. */
const HANG_TIMEOUT_FACTOR = 5;
const HANG_TIMEOUT_MS = 1_000;

export interface BatchPartitionerOptions<W extends PartitionWorker> {
  readonly pool: PartitionPool<W>;
  readonly clock: Clock;
  readonly mode: BatchSplitter;
}

/** Splits batches between workers by their measured throughput. */
export class BatchPartitioner<W extends PartitionWorker = PartitionWorker> {
  readonly throughput = new ThroughputTracker();
  readonly #options: BatchPartitionerOptions<W>;
  readonly #stablePartition: StablePartition;
  readonly #shareTimes = new ShareTimes();
  readonly #probation = new ProbationSchedule();
  /** Workers that the last batch was split between. */
  #active: readonly WorkerId[] = [];

  constructor(options: BatchPartitionerOptions<W>) {
    this.#options = options;
    this.#stablePartition = new StablePartition(options.mode.microShardSize);
  }

  /**
   * Splits a batch. Workers of unknown throughput compute duplicates, unless there are no other workers.
   * @param superseded shards that workers still compute although their answers are no longer needed
   */
  partition(samples: number, superseded: readonly AssignedShard[]): BatchPartition {
    const { pool, mode } = this.#options;
    this.throughput.beginStep(pool.workers);

    const workers = [...pool.workers.values()];
    const hanging = this.#hanging(superseded);
    const available = workers
      .filter((worker) => !pool.isBackpressured(worker) && !hanging.has(worker.id))
      .map(({ id }) => id);
    const candidates = this.#candidates(available);
    this.#active = activeWorkers(candidates, available, pool.workers.keys());
    const shares = this.#split(samples, candidates, this.#active);
    this.#updateStandby(shares, candidates);

    const shards = mode.alignShares(shares, samples);
    this.#shareTimes.beginStep(shards);
    const withShare = new Set(shards.map(({ worker }) => worker));
    const busy = new Set(superseded.map(({ worker }) => worker));
    const assignments = shards.filter(({ worker }) => !busy.has(worker));
    const pending = shards.filter(({ worker }) => busy.has(worker)).map(({ from, to }) => ({ from, to }));
    const idle = available.filter((worker) => !withShare.has(worker) && !busy.has(worker));
    return {
      workers: workers.map(({ id }) => id).filter((id) => withShare.has(id)),
      standby: workers.map(({ id }) => id).filter((id) => !withShare.has(id)),
      assignments,
      pending: shards.length > 0 ? pending : [{ from: 0, to: samples }],
      duplicates: duplicateSmallest(
        assignments,
        idle.filter((worker) => this.#isProbing(worker)),
      ),
      splitRange: mode.splitRange,
      depth: 1,
    };
  }

  /** Shards that workers will probably be sent first in the next step. */
  predict(samples: number): readonly Assignment[] {
    const { pool, mode } = this.#options;
    const active = this.#active.filter((worker) => pool.workers.has(worker));
    const candidates = this.#candidates(active);
    const shares =
      candidates.length > 0
        ? this.#stablePartition.predict(samples, candidates)
        : evenSplit(samples, active, mode.microShardSize);
    const shards = mode.alignShares(shares, samples);
    const seen = new Set<WorkerId>();
    return shards.filter(({ worker }) => {
      const isFirst = !seen.has(worker);
      seen.add(worker);
      return isFirst;
    });
  }

  /** Records the time that a worker needed for a shard. */
  record({ id, engine }: PartitionWorker, samples: number, busyMs: number): void {
    const share = this.#shareTimes.record(id, samples, busyMs);
    if (share !== null) this.throughput.record(id, engine, share.samples, share.busyMs);
  }

  /** Discards the measurements of a worker on standby, since it may have been slow because of its old codecs. */
  onCodecChange({ id, isStandby }: PartitionWorker): void {
    if (isStandby || !this.#active.includes(id)) this.throughput.reset(id);
  }

  /** Time after which a shard is a straggler. If it is one of several in a share, the whole share's forecast counts. */
  stragglerAfterMs(worker: WorkerId, shardSamples: number): number {
    const samples = Math.max(shardSamples, this.#shareTimes.shareSamples(worker));
    const throughput = this.throughput.estimateFor(worker);
    const expectedMs =
      throughput === null ? this.throughput.medianForecastMs(samples) : forecastMs(throughput, samples);
    return expectedMs === null ? Infinity : STRAGGLER_FACTOR * expectedMs + STRAGGLER_SLACK_MS;
  }

  #split(
    samples: number,
    candidates: readonly Candidate[],
    active: readonly WorkerId[],
  ): readonly Assignment[] {
    return candidates.length > 0
      ? this.#stablePartition.next(samples, candidates)
      : evenSplit(samples, active, this.#options.mode.microShardSize);
  }

  #candidates(workers: readonly WorkerId[]): Candidate[] {
    return workers.flatMap((worker) => {
      const throughput = this.throughput.estimateFor(worker);
      return throughput === null ? [] : [{ worker, throughput }];
    });
  }

  /** Workers that compute a duplicate whose answer is no longer needed, or hang at another such shard. */
  #hanging(superseded: readonly AssignedShard[]): ReadonlySet<WorkerId> {
    const nowMs = this.#options.clock.now();
    const hanging = superseded.filter(({ worker, isDuplicate, assignedAtMs, from, to }) => {
      if (isDuplicate) return true;
      const throughput = this.throughput.estimateFor(worker);
      const timeoutMs =
        throughput === null ? 0 : HANG_TIMEOUT_MS + HANG_TIMEOUT_FACTOR * forecastMs(throughput, to - from);
      return nowMs - assignedAtMs > timeoutMs;
    });
    return new Set(hanging.map(({ worker }) => worker));
  }

  #isProbing(worker: WorkerId): boolean {
    return this.throughput.estimateFor(worker) === null || this.#probation.isProbeDue(worker);
  }

  /** Puts workers without a share on standby, and makes workers with a share active. */
  #updateStandby(shares: readonly Assignment[], candidates: readonly Candidate[]): void {
    const { pool } = this.#options;
    const active = new Set(shares.map(({ worker }) => worker));
    const stepMs = slowestShardMs(shares, candidates);
    const samples = shares.at(-1)?.to ?? 0;
    const equalShare = Math.ceil(samples / candidates.length);
    for (const { worker: id, throughput } of candidates) {
      const worker = pool.workers.get(id);
      const isActive = active.has(id);
      if (worker === undefined || worker.isStandby === !isActive) continue;
      this.#probation.retain(pool.workers);
      if (isActive) this.#probation.remove(id);
      const shareMs = forecastMs(throughput, equalShare);
      pool.setStandby(worker, isActive ? null : explainStandby(worker.link, stepMs, shareMs));
    }
  }
}

/** Workers of known throughput; without any, all available workers; without these, all workers. */
function activeWorkers(
  candidates: readonly Candidate[],
  available: readonly WorkerId[],
  all: Iterable<WorkerId>,
): readonly WorkerId[] {
  if (candidates.length > 0) return candidates.map(({ worker }) => worker);
  return available.length > 0 ? available : [...all];
}

/** Duplicates of the smallest shards, one for each worker, in turn. */
function duplicateSmallest(assignments: readonly Assignment[], workers: readonly WorkerId[]): Assignment[] {
  const smallestFirst = assignments.toSorted((a, b) => a.to - a.from - (b.to - b.from));
  return workers.flatMap((worker, i) => {
    const shard = smallestFirst[i % smallestFirst.length];
    return shard === undefined ? [] : [{ ...shard, worker }];
  });
}
