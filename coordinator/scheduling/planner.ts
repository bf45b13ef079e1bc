import type { EngineInfo, WorkerId } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Range } from '../../shared/util/range.ts';
import { codecLabel } from '../links/codecs.ts';
import { describeLink } from '../links/describe-link.ts';
import type { WorkerLink } from '../links/worker-link.ts';
import {
  evenSplit,
  slowestShardMs,
  StablePartition,
  type AssignedShard,
  type Assignment,
  type BatchSplitter,
  type Candidate,
  type SplitRange,
} from './partition.ts';
import { forecastMs, ShareTimes, ThroughputTracker } from './throughput.ts';

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
/** A gigabit per second, which never delays a step. */
const FAST_LINK_MS_PER_BYTE = 8e-6;

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
    this.#probation.retain(pool.workers);

    const workers = [...pool.workers.values()];
    const available = workers
      .filter((worker) => !this.#isUnavailable(worker, superseded))
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
    return shards.filter(({ worker }, i) => shards.findIndex((shard) => shard.worker === worker) === i);
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

  /** Whether the worker's connection is backpressured, or the worker is busy with a superseded shard. */
  #isUnavailable(worker: W, superseded: readonly AssignedShard[]): boolean {
    const { pool, clock } = this.#options;
    if (pool.isBackpressured(worker)) return true;
    const throughput = this.throughput.estimateFor(worker.id);
    return superseded.some((shard) => {
      if (shard.worker !== worker.id) return false;
      const timeoutMs =
        throughput === null
          ? 0
          : HANG_TIMEOUT_MS + HANG_TIMEOUT_FACTOR * forecastMs(throughput, shard.to - shard.from);
      return shard.isDuplicate || clock.now() - shard.assignedAtMs > timeoutMs;
    });
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
      if (worker === undefined || worker.isStandby === !active.has(id)) continue;
      if (active.has(id)) this.#probation.remove(id);
      pool.setStandby(
        worker,
        active.has(id)
          ? null
          : `Steps take ${formatMs(stepMs)} without this worker, which would need ${formatMs(forecastMs(throughput, equalShare))} for an equal share${describeSlowLink(worker)}. It is measured again from time to time.`,
      );
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

/** Phrase about a link that takes longer than its worker's computation; empty for a fast link. */
function describeSlowLink({ link }: PartitionWorker): string {
  const { stats } = link.meter;
  if (stats === null || stats.turnaroundMs < 2 * stats.computeMs) return '';
  const { rttMs, downMsPerByte, upMsPerByte } = stats;
  // A worker that has just started or hangs has a long turnaround on any link.
  const isFast = Math.max(downMsPerByte, upMsPerByte) < FAST_LINK_MS_PER_BYTE;
  if (isFast && rttMs < (stats.turnaroundMs - stats.computeMs) / 4) return '';
  return ` (slow connection: ${describeLink(stats)}, codecs ${codecLabel(link)})`;
}

/** Duplicates of the smallest shards, one for each worker, in turn. */
function duplicateSmallest(assignments: readonly Assignment[], workers: readonly WorkerId[]): Assignment[] {
  const smallestFirst = assignments.toSorted((a, b) => a.to - a.from - (b.to - b.from));
  return workers.flatMap((worker, i) => {
    const shard = smallestFirst[i % smallestFirst.length];
    return shard === undefined ? [] : [{ ...shard, worker }];
  });
}

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

interface Probation {
  /** Number of steps until the next probe. */
  stepsToWait: number;
  /** Number of steps from one probe to the next. */
  intervalSteps: number;
  /** Number of shards left in the current probe. */
  shardsLeft: number;
}

const INITIAL_INTERVAL_STEPS = 50;
const MAX_INTERVAL_STEPS = 800;
/** Number of answers that a throughput estimate needs to follow a change. */
const SHARDS_PER_PROBE = 4;

/** Schedules the probes of workers on standby, at intervals that double after each probe. */
export class ProbationSchedule {
  readonly #probations = new Map<WorkerId, Probation>();

  /** Called once a step for each idle worker on standby. @returns whether the worker is measured in this step */
  isProbeDue(worker: WorkerId): boolean {
    const probation = this.#probations.get(worker) ?? {
      stepsToWait: INITIAL_INTERVAL_STEPS,
      intervalSteps: INITIAL_INTERVAL_STEPS,
      shardsLeft: SHARDS_PER_PROBE,
    };
    this.#probations.set(worker, probation);
    if (probation.stepsToWait > 0) {
      probation.stepsToWait--;
      return false;
    }
    if (--probation.shardsLeft === 0) {
      probation.intervalSteps = Math.min(MAX_INTERVAL_STEPS, 2 * probation.intervalSteps);
      probation.stepsToWait = probation.intervalSteps;
      probation.shardsLeft = SHARDS_PER_PROBE;
    }
    return true;
  }

  /** Discards the schedules of all other workers. */
  retain(workers: { has(worker: WorkerId): boolean }): void {
    for (const worker of this.#probations.keys()) if (!workers.has(worker)) this.#probations.delete(worker);
  }

  /** Discards the schedule of a worker that is active again. */
  remove(worker: WorkerId): void {
    this.#probations.delete(worker);
  }
}
