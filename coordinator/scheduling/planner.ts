import type { Clock } from '../../shared/util/clock.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import { describeLink } from '../links/describe-link.ts';
import { codecLabel } from '../links/codecs.ts';
import type { Worker } from '../pool/worker.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { forecastMs, ThroughputTracker } from './throughput.ts';
import { ProbationSchedule } from './probation.ts';
import { splitBlock, alignedBlocks } from '../exact/aligned-blocks.ts';
import type { AssignedShard, RoundStart } from '../training/round.ts';
import { evenSplit, slowestShardMs, type Assignment, type Candidate, StablePartition } from './partition.ts';
type BatchPartition = Pick<RoundStart, 'workers' | 'standby' | 'assignments' | 'pending' | 'duplicates'> &
  Partial<Pick<RoundStart, 'splitRange'>>;

/** A shard is late after this many times what it should take, and this much more. */
const STRAGGLER_FACTOR = 2;
const STRAGGLER_SLACK_MS = 20;
/** A worker that hangs keeps its place for so long, so that a hiccup does not change everybody's share. */
const HANG_TIMEOUT_FACTOR = 5;
const HANG_TIMEOUT_MS = 1_000;
/** A gigabit a second: no step waits for such a link. */
const FAST_LINK_MS_PER_BYTE = 8e-6;

export interface BatchPartitionerOptions {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** Samples of a micro-shard, if sums are to follow the tree of TreeSum. */
  readonly microShardSize?: number | undefined;
}

/** Decides who computes what of a step, by how it has gone so far. */
export class BatchPartitioner {
  readonly throughput = new ThroughputTracker();
  readonly #options: BatchPartitionerOptions;
  readonly #stablePartition: StablePartition;
  readonly #shareTimes = new ShareTimes();
  readonly #probation = new ProbationSchedule();
  /** Who was given a part of the batch lately. */
  #active: readonly WorkerId[] = [];

  constructor(options: BatchPartitionerOptions) {
    this.#options = options;
    this.#stablePartition = new StablePartition(options.microShardSize);
  }

  /**
   * The shares of a step. Workers whose pace is not known yet compute copies, as long as there are others.
   * @param spare what workers are still busy with
   */
  partition(samples: number, spare: readonly AssignedShard[]): BatchPartition {
    const { pool } = this.#options;
    const members = [...pool.workers.values()];
    this.throughput.beginStep(pool.workers);
    this.#probation.retain(pool.workers);
    const free = members.filter((member) => !this.#isUnavailable(member, spare)).map(({ id }) => id);
    const known = this.#candidates(free);
    const active =
      known.length > 0
        ? known.map(({ worker }) => worker)
        : free.length > 0
          ? free
          : [...pool.workers.keys()];
    this.#active = active;
    const { microShardSize } = this.#options;
    const ranges =
      known.length > 0
        ? this.#stablePartition.next(samples, known)
        : evenSplit(samples, active, microShardSize);
    this.#announceStandby(ranges, known);

    const shares = microShardSize === undefined ? ranges : alignedBlocks(ranges, samples, microShardSize);
    this.#shareTimes.beginStep(shares);
    const sharing = new Set(shares.map(({ worker }) => worker));
    const busy = new Set(spare.map(({ worker }) => worker));
    const assignments = shares.filter(({ worker }) => !busy.has(worker));
    const waiting = shares.filter(({ worker }) => busy.has(worker)).map(({ from, to }) => ({ from, to }));
    const idle = free.filter((worker) => !sharing.has(worker) && !busy.has(worker));
    const duplicates = duplicateSmallest(
      assignments,
      idle.filter((worker) => this.#isProbing(worker)),
    );
    return {
      workers: members.map(({ id }) => id).filter((id) => sharing.has(id)),
      standby: members.map(({ id }) => id).filter((id) => !sharing.has(id)),
      assignments,
      pending: shares.length > 0 ? waiting : [{ from: 0, to: samples }],
      duplicates,
      ...(microShardSize === undefined
        ? {}
        : { splitRange: (range, parts) => splitBlock(range, microShardSize, parts) }),
    };
  }

  /** What workers will probably be given first in the step that follows. */
  predict(samples: number): readonly Assignment[] {
    const { pool, microShardSize } = this.#options;
    const active = this.#active.filter((worker) => pool.workers.has(worker));
    const known = this.#candidates(active);
    const shares =
      known.length > 0
        ? this.#stablePartition.predict(samples, known)
        : evenSplit(samples, active, microShardSize);
    if (microShardSize === undefined) return shares;
    const nodes = alignedBlocks(shares, samples, microShardSize);
    return nodes.filter(({ worker }, i) => nodes.findIndex((node) => node.worker === worker) === i);
  }

  /** How long a worker was busy with something of a step. */
  record({ id, engine }: Worker, samples: number, busyMs: number): void {
    const share = this.#shareTimes.record(id, samples, busyMs);
    if (share !== null) this.throughput.record(id, engine, share.samples, share.busyMs);
  }

  /** A worker's link goes another way now. If that was what kept it out, it is tried anew. */
  onCodecChange({ id, isStandby }: Worker): void {
    if (isStandby || !this.#active.includes(id)) this.throughput.reset(id);
  }

  /** Probable shares of the step of a step is late: with all that the worker was given, if it has several. */
  stragglerAfterMs(worker: WorkerId, shardSamples: number): number {
    const samples = Math.max(shardSamples, this.#shareTimes.shareSamples(worker));
    const pace = this.throughput.estimateFor(worker);
    const shouldMs = pace === null ? this.throughput.medianForecastMs(samples) : forecastMs(pace, samples);
    return shouldMs === null ? Infinity : STRAGGLER_FACTOR * shouldMs + STRAGGLER_SLACK_MS;
  }

  #candidates(workers: readonly WorkerId[]): Candidate[] {
    return workers.flatMap((worker) => {
      const pace = this.throughput.estimateFor(worker);
      return pace === null ? [] : [{ worker, throughput: pace }];
    });
  }

  /** Who cannot take part now: what it was sent has not left yet, or it is busy with something else. */
  #isUnavailable(member: Worker, spare: readonly AssignedShard[]): boolean {
    const { pool, clock } = this.#options;
    if (pool.isBackpressured(member)) return true;
    const pace = this.throughput.estimateFor(member.id);
    return spare.some(({ worker, isDuplicate, assignedAtMs, from, to }) => {
      if (worker !== member.id) return false;
      const patienceMs =
        pace === null ? 0 : HANG_TIMEOUT_MS + HANG_TIMEOUT_FACTOR * forecastMs(pace, to - from);
      return isDuplicate || clock.now() - assignedAtMs > patienceMs;
    });
  }

  #isProbing(worker: WorkerId): boolean {
    return this.throughput.estimateFor(worker) === null || this.#probation.isProbeDue(worker);
  }

  /** Tells workers that they are on standby, or active again. */
  #announceStandby(shares: readonly Assignment[], known: readonly Candidate[]): void {
    const { pool } = this.#options;
    const sharing = new Set(shares.map(({ worker }) => worker));
    const stepMs = slowestShardMs(shares, known);
    const samples = shares.at(-1)?.to ?? 0;
    const equalShare = Math.ceil(samples / known.length);
    for (const { worker, throughput } of known) {
      const member = pool.workers.get(worker);
      if (member === undefined || member.isStandby === !sharing.has(worker)) continue;
      if (sharing.has(worker)) this.#probation.remove(worker);
      pool.setStandby(
        member,
        sharing.has(worker)
          ? null
          : `Steps take ${formatMs(stepMs)} without this worker, which would need ${formatMs(forecastMs(throughput, equalShare))} for an equal share${describeSlowLink(member)}. It is retried now and then.`,
      );
    }
  }
}

/** What is to be said of a link that takes longer than its worker computes. */
function describeSlowLink(member: Worker): string {
  const { stats } = member.link;
  if (stats === null || stats.turnaroundMs < 2 * stats.computeMs) return '';
  const { rttMs, downMsPerByte, upMsPerByte } = stats;
  // A worker that has only just started, or that hangs, takes long too, whatever its link can do.
  const isWide = Math.max(downMsPerByte, upMsPerByte) < FAST_LINK_MS_PER_BYTE;
  if (isWide && rttMs < (stats.turnaroundMs - stats.computeMs) / 4) return '';
  return ` (slow connection: ${describeLink(stats)}, codecs ${codecLabel(member)})`;
}

/** The smallest shares once more, by turns. */
function duplicateSmallest(assignments: readonly Assignment[], workers: readonly WorkerId[]): Assignment[] {
  const smallestFirst = assignments.toSorted((a, b) => a.to - a.from - (b.to - b.from));
  return workers.flatMap((worker, i) => {
    const share = smallestFirst[i % smallestFirst.length];
    return share === undefined ? [] : [{ ...share, worker }];
  });
}

const formatMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

/**
 * Puts together what a worker needed for a share that it was given in several nodes: its pace is that of the whole
 * share.
 */
export class ShareTimes {
  readonly #shares = new Map<WorkerId, { samples: number; left: number; busyMs: number }>();

  /** A step begins. */
  beginStep(nodes: readonly Assignment[]): void {
    this.#shares.clear();
    for (const { worker, from, to } of nodes) {
      const share = this.#shares.get(worker) ?? { samples: 0, left: 0, busyMs: 0 };
      share.samples += to - from;
      share.left += to - from;
      this.#shares.set(worker, share);
    }
  }

  /** Of the worker's share in this step; 0 if it has none. */
  shareSamples(worker: WorkerId): number {
    return this.#shares.get(worker)?.samples ?? 0;
  }

  /** @returns what is known of a whole share now; null while some of it is missing */
  record(worker: WorkerId, samples: number, busyMs: number): { samples: number; busyMs: number } | null {
    const share = this.#shares.get(worker);
    // Something besides its share, or of a step before.
    if (share === undefined || samples > share.left) return { samples, busyMs };
    share.left -= samples;
    share.busyMs += busyMs;
    return share.left === 0 ? share : null;
  }
}
