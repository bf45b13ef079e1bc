import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Range } from '../../shared/util/range.ts';
import { codecLabel } from '../links/codecs.ts';
import { describeLink } from '../links/describe-link.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Worker } from '../pool/worker.ts';
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
import { ProbationSchedule } from './probation.ts';
import { ShareTimes } from './share-times.ts';
import { forecastMs, ThroughputTracker } from './throughput.ts';

/** Which worker gets which shard of a batch. */
export interface BatchPartition {
  /** Workers that have a share. */
  readonly workers: readonly WorkerId[];
  /** Workers that get a shard only if no other is left, or to replace a straggler. */
  readonly standby: readonly WorkerId[];
  /** Shards that are sent at once. */
  readonly assignments: readonly Assignment[];
  /** Shards that wait for the first worker that is free. */
  readonly pending: readonly Range[];
  /** Assigned shards that an idle worker on probation gets too; the first answer counts. */
  readonly duplicates: readonly Assignment[];
  readonly splitRange: SplitRange;
  /** Shards that a worker may hold at a time. */
  readonly depth: number;
}

/** A shard is a straggler after this multiple of the forecast, and this much more. */
const STRAGGLER_FACTOR = 2;
const STRAGGLER_SLACK_MS = 20;
/** A worker that hangs keeps its share for this long, so that a short pause does not change all shares. */
const HANG_TIMEOUT_FACTOR = 5;
const HANG_TIMEOUT_MS = 1_000;
/** A gigabit per second: no step waits for such a link. */
const FAST_LINK_MS_PER_BYTE = 8e-6;

export interface BatchPartitionerOptions {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly mode: BatchSplitter;
}

/** Splits batches between workers by their measured throughput. */
export class BatchPartitioner {
  readonly throughput = new ThroughputTracker();
  readonly #options: BatchPartitionerOptions;
  readonly #stablePartition: StablePartition;
  readonly #shareTimes = new ShareTimes();
  readonly #probation = new ProbationSchedule();
  /** Workers that the last batch was split between. */
  #active: readonly WorkerId[] = [];

  constructor(options: BatchPartitionerOptions) {
    this.#options = options;
    this.#stablePartition = new StablePartition(options.mode.microShardSize);
  }

  /**
   * Splits a batch. Workers of unknown throughput compute duplicates, as long as there are others.
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
    this.#announceStandby(shares, candidates);

    const shards = mode.alignShares(shares, samples);
    this.#shareTimes.beginStep(shards);
    const sharing = new Set(shards.map(({ worker }) => worker));
    const busy = new Set(superseded.map(({ worker }) => worker));
    const assignments = shards.filter(({ worker }) => !busy.has(worker));
    const pending = shards.filter(({ worker }) => busy.has(worker)).map(({ from, to }) => ({ from, to }));
    const idle = available.filter((worker) => !sharing.has(worker) && !busy.has(worker));
    return {
      workers: workers.map(({ id }) => id).filter((id) => sharing.has(id)),
      standby: workers.map(({ id }) => id).filter((id) => !sharing.has(id)),
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
  record({ id, engine }: Worker, samples: number, busyMs: number): void {
    const share = this.#shareTimes.record(id, samples, busyMs);
    if (share !== null) this.throughput.record(id, engine, share.samples, share.busyMs);
  }

  /** A worker on standby is measured anew with its new codecs: the old ones may have kept it out. */
  onCodecChange({ id, isStandby }: Worker): void {
    if (isStandby || !this.#active.includes(id)) this.throughput.reset(id);
  }

  /** Time after which a shard is a straggler: by the worker's whole share, if it was assigned several shards. */
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

  /** Whether frames still wait to be sent to a worker, or it is busy with a shard that is no longer needed. */
  #isUnavailable(worker: Worker, superseded: readonly AssignedShard[]): boolean {
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

  /** Tells workers that they are on standby, or active again. */
  #announceStandby(shares: readonly Assignment[], candidates: readonly Candidate[]): void {
    const { pool } = this.#options;
    const sharing = new Set(shares.map(({ worker }) => worker));
    const stepMs = slowestShardMs(shares, candidates);
    const samples = shares.at(-1)?.to ?? 0;
    const equalShare = Math.ceil(samples / candidates.length);
    for (const { worker: id, throughput } of candidates) {
      const worker = pool.workers.get(id);
      if (worker === undefined || worker.isStandby === !sharing.has(id)) continue;
      if (sharing.has(id)) this.#probation.remove(id);
      pool.setStandby(
        worker,
        sharing.has(id)
          ? null
          : `Steps take ${formatMs(stepMs)} without this worker, which would need ${formatMs(forecastMs(throughput, equalShare))} for an equal share${describeSlowLink(worker)}. It is retried now and then.`,
      );
    }
  }
}

/** Workers of known throughput; if there are none, all that are available; if there are none either, all. */
function activeWorkers(
  candidates: readonly Candidate[],
  available: readonly WorkerId[],
  all: Iterable<WorkerId>,
): readonly WorkerId[] {
  if (candidates.length > 0) return candidates.map(({ worker }) => worker);
  return available.length > 0 ? available : [...all];
}

/** Phrase about a link that takes longer than its worker computes; empty for others. */
function describeSlowLink({ link }: Worker): string {
  const { stats } = link.meter;
  if (stats === null || stats.turnaroundMs < 2 * stats.computeMs) return '';
  const { rttMs, downMsPerByte, upMsPerByte } = stats;
  // A worker that has only just started, or that hangs, takes long too, however fast its link is.
  const isFast = Math.max(downMsPerByte, upMsPerByte) < FAST_LINK_MS_PER_BYTE;
  if (isFast && rttMs < (stats.turnaroundMs - stats.computeMs) / 4) return '';
  return ` (slow connection: ${describeLink(stats)}, codecs ${codecLabel(link)})`;
}

/** The smallest shards once more, by turns. */
function duplicateSmallest(assignments: readonly Assignment[], workers: readonly WorkerId[]): Assignment[] {
  const smallestFirst = assignments.toSorted((a, b) => a.to - a.from - (b.to - b.from));
  return workers.flatMap((worker, i) => {
    const shard = smallestFirst[i % smallestFirst.length];
    return shard === undefined ? [] : [{ ...shard, worker }];
  });
}

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);
