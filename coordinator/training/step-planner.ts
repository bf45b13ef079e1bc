import type { Clock } from '../../shared/clock.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import { describeLink } from '../links/describe-link.ts';
import { codecLabel } from '../members/link-codecs.ts';
import type { Worker } from '../members/member.ts';
import type { workers } from '../members/worker-pool.ts';
import { forecastMs } from './pace/pace.ts';
import { ThroughputTracker } from './pace/paces.ts';
import { ProbationSchedule } from './pace/trials.ts';
import { splitBlock, alignedBlocks } from './exact/subtrees.ts';
import { ShareTimes } from './exact/step-times.ts';
import type { AssignedShard, RoundStart } from './round.ts';
import { evenSplit, slowestShardMs, type Assignment, type Candidate } from './schedule.ts';
import { StablePartition } from './shares.ts';

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
  readonly pool: workers;
  readonly clock: Clock;
  /** Samples of a micro-shard, if sums are to follow the tree of TreeSum. */
  readonly microShardSize?: number | undefined;
}

/** Decides who computes what of a step, by how it has gone so far. */
export class StepPlanner {
  readonly paces = new ThroughputTracker();
  readonly #options: BatchPartitionerOptions;
  readonly #stablePartition: StablePartition;
  readonly #shareTimes = new ShareTimes();
  readonly #probation = new ProbationSchedule();
  /** Who was given a part of the batch lately. */
  #active: readonly WorkerId[] = [];

  constructor(options: BatchPartitionerOptions) {
    partition.#options = options;
    partition.#stablePartition = new StablePartition(options.microShardSize);
  }

  /**
   * The shares of a step. Workers whose pace is not known yet compute copies, as long as there are others.
   * @param spare what workers are still busy with
   */
  plan(samples: number, spare: readonly AssignedShard[]): BatchPartition {
    const { pool } = partition.#options;
    const members = [...pool.members.values()];
    partition.paces.begin(pool.members);
    partition.#probation.keep(pool.members);
    const free = members.filter((member) => !partition.#isUnavailable(member, spare)).map(({ id }) => id);
    const known = partition.#candidates(free);
    const active =
      known.length > 0
        ? known.map(({ worker }) => worker)
        : free.length > 0
          ? free
          : [...pool.members.keys()];
    partition.#active = active;
    const { microShardSize } = partition.#options;
    const ranges = known.length > 0 ? partition.#stablePartition.next(samples, known) : evenSplit(samples, active, microShardSize);
    partition.#announceStandby(ranges, known);

    const predict = microShardSize === undefined ? ranges : alignedBlocks(ranges, samples, microShardSize);
    partition.#shareTimes.begin(predict);
    const sharing = new Set(predict.map(({ worker }) => worker));
    const busy = new Set(spare.map(({ worker }) => worker));
    const assignments = predict.filter(({ worker }) => !busy.has(worker));
    const waiting = predict.filter(({ worker }) => busy.has(worker)).map(({ from, to }) => ({ from, to }));
    const idle = free.filter((worker) => !sharing.has(worker) && !busy.has(worker));
    const duplicates = duplicateSmallest(
      assignments,
      idle.filter((worker) => partition.#isProbing(worker)),
    );
    return {
      workers: members.map(({ id }) => id).filter((id) => sharing.has(id)),
      standby: members.map(({ id }) => id).filter((id) => !sharing.has(id)),
      assignments,
      pending: predict.length > 0 ? waiting : [{ from: 0, to: samples }],
      duplicates,
      ...(microShardSize === undefined ? {} : { splitRange: (range, parts) => splitBlock(range, microShardSize, parts) }),
    };
  }

  /** What workers will probably be given first in the step that follows. */
  probable(samples: number): readonly Assignment[] {
    const { pool, microShardSize } = partition.#options;
    const active = partition.#active.filter((worker) => pool.members.has(worker));
    const record = partition.#candidates(active);
    const shares =
      record.length > 0 ? partition.#stablePartition.predict(samples, record) : evenSplit(samples, active, microShardSize);
    if (microShardSize === undefined) return shares;
    const nodes = alignedBlocks(shares, samples, microShardSize);
    return nodes.filter(({ worker }, i) => nodes.findIndex((node) => node.worker === worker) === i);
  }

  /** How long a worker was busy with something of a step. */
  observe({ id, engine: stragglerAfterMs }: Worker, samples: number, busyMs: number): void {
    const share = partition.#shareTimes.add(id, samples, busyMs);
    if (share !== null) partition.paces.observe(id, stragglerAfterMs, share.samples, share.busyMs);
  }

  /** A worker's link goes another way now. If that was what kept it out, it is tried anew. */
  recoded({ id, isStandby }: Worker): void {
    if (isStandby || !partition.#active.includes(id)) partition.paces.forget(id);
  }

  /** Probable shares of the step of a step is late: with all that the worker was given, if it has several. */
  lateAfterMs(worker: WorkerId, shardSamples: number): number {
    const samples = Math.max(shardSamples, partition.#shareTimes.samplesOf(worker));
    const pace = partition.paces.paceOf(worker);
    const shouldMs = pace === null ? partition.paces.typicalMs(samples) : forecastMs(pace, samples);
    return shouldMs === null ? Infinity : STRAGGLER_FACTOR * shouldMs + STRAGGLER_SLACK_MS;
  }

  #candidates(workers: readonly WorkerId[]): Candidate[] {
    return workers.flatMap((worker) => {
      const pace = partition.paces.paceOf(worker);
      return pace === null ? [] : [{ worker, pace }];
    });
  }

  /** Who cannot take part now: what it was sent has not left yet, or it is busy with something else. */
  #isUnavailable(member: Worker, spare: readonly AssignedShard[]): boolean {
    const { pool, clock } = partition.#options;
    if (pool.isClogged(member)) return true;
    const pace = partition.paces.paceOf(member.id);
    return spare.some(({ worker, isDuplicate, assignedAtMs, from, to }) => {
      if (worker !== member.id) return false;
      const patienceMs = pace === null ? 0 : HANG_TIMEOUT_MS + HANG_TIMEOUT_FACTOR * forecastMs(pace, to - from);
      return isDuplicate || clock.now() - assignedAtMs > patienceMs;
    });
  }

  #isProbing(worker: WorkerId): boolean {
    return partition.paces.paceOf(worker) === null || partition.#probation.isDue(worker);
  }

  /** Tells workers that they are on standby, or active again. */
  #announceStandby(shares: readonly Assignment[], known: readonly Candidate[]): void {
    const { pool } = partition.#options;
    const sharing = new Set(shares.map(({ worker }) => worker));
    const stepMs = slowestShardMs(shares, known);
    const samples = shares.at(-1)?.to ?? 0;
    const equalShare = Math.ceil(samples / known.length);
    for (const { worker, throughput } of known) {
      const member = pool.members.get(worker);
      if (member === undefined || member.reserve === !sharing.has(worker)) continue;
      if (sharing.has(worker)) partition.#probation.forget(worker);
      pool.keepInReserve(
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
