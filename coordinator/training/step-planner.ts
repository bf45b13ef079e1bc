import type { Clock } from '../../shared/clock.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import { describeLink } from '../links/describe-link.ts';
import { inShort } from '../members/link-codecs.ts';
import type { Member } from '../members/member.ts';
import type { WorkerPool } from '../members/worker-pool.ts';
import { forecastMs } from './pace/pace.ts';
import { Paces } from './pace/paces.ts';
import { Trials } from './pace/trials.ts';
import { cutNode, inNodes } from './exact/subtrees.ts';
import { StepTimes } from './exact/step-times.ts';
import type { GivenShard, RoundStart } from './round.ts';
import { equalShares, slowestMs, type Assignment, type Candidate } from './schedule.ts';
import { Shares } from './shares.ts';

type Plan = Pick<RoundStart, 'workers' | 'reserve' | 'assignments' | 'waiting' | 'copies'> &
  Partial<Pick<RoundStart, 'cut'>>;

/** A shard is late after this many times what it should take, and this much more. */
const LATE_TIMES = 2;
const LATE_MS = 20;
/** A worker that hangs keeps its place for so long, so that a hiccup does not change everybody's share. */
const PATIENCE_TIMES = 5;
const PATIENCE_MS = 1_000;
/** A gigabit a second: no step waits for such a link. */
const WIDE_MS_PER_BYTE = 8e-6;

export interface StepPlannerOptions {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** Samples of a micro-shard, if sums are to follow the tree of TreeSum. */
  readonly unit?: number | undefined;
}

/** Decides who computes what of a step, by how it has gone so far. */
export class StepPlanner {
  readonly paces = new Paces();
  readonly #options: StepPlannerOptions;
  readonly #shares: Shares;
  readonly #times = new StepTimes();
  readonly #trials = new Trials();
  /** Who was given a part of the batch lately. */
  #active: readonly WorkerId[] = [];

  constructor(options: StepPlannerOptions) {
    this.#options = options;
    this.#shares = new Shares(options.unit);
  }

  /**
   * The shares of a step. Workers whose pace is not known yet compute copies, as long as there are others.
   * @param spare what workers are still busy with
   */
  plan(samples: number, spare: readonly GivenShard[]): Plan {
    const { pool } = this.#options;
    const members = [...pool.members.values()];
    this.paces.begin(pool.members);
    this.#trials.keep(pool.members);
    const free = members.filter((member) => !this.#isHeldBack(member, spare)).map(({ id }) => id);
    const known = this.#candidates(free);
    const active =
      known.length > 0
        ? known.map(({ worker }) => worker)
        : free.length > 0
          ? free
          : [...pool.members.keys()];
    this.#active = active;
    const { unit } = this.#options;
    const ranges = known.length > 0 ? this.#shares.next(samples, known) : equalShares(samples, active, unit);
    this.#tell(ranges, known);

    const shares = unit === undefined ? ranges : inNodes(ranges, samples, unit);
    this.#times.begin(shares);
    const sharing = new Set(shares.map(({ worker }) => worker));
    const busy = new Set(spare.map(({ worker }) => worker));
    const assignments = shares.filter(({ worker }) => !busy.has(worker));
    const waiting = shares.filter(({ worker }) => busy.has(worker)).map(({ from, to }) => ({ from, to }));
    const idle = free.filter((worker) => !sharing.has(worker) && !busy.has(worker));
    const copies = copiesOf(
      assignments,
      idle.filter((worker) => this.#isTried(worker)),
    );
    return {
      workers: members.map(({ id }) => id).filter((id) => sharing.has(id)),
      reserve: members.map(({ id }) => id).filter((id) => !sharing.has(id)),
      assignments,
      waiting: shares.length > 0 ? waiting : [{ from: 0, to: samples }],
      copies,
      ...(unit === undefined ? {} : { cut: (range, parts) => cutNode(range, unit, parts) }),
    };
  }

  /** What workers will probably be given first in the step that follows. */
  probable(samples: number): readonly Assignment[] {
    const { pool, unit } = this.#options;
    const active = this.#active.filter((worker) => pool.members.has(worker));
    const known = this.#candidates(active);
    const shares =
      known.length > 0 ? this.#shares.probable(samples, known) : equalShares(samples, active, unit);
    if (unit === undefined) return shares;
    const nodes = inNodes(shares, samples, unit);
    return nodes.filter(({ worker }, i) => nodes.findIndex((node) => node.worker === worker) === i);
  }

  /** How long a worker was busy with something of a step. */
  observe({ id, engine }: Member, samples: number, busyMs: number): void {
    const share = this.#times.add(id, samples, busyMs);
    if (share !== null) this.paces.observe(id, engine, share.samples, share.busyMs);
  }

  /** A worker's link goes another way now. If that was what kept it out, it is tried anew. */
  recoded({ id, reserve }: Member): void {
    if (reserve || !this.#active.includes(id)) this.paces.forget(id);
  }

  /** Probable shares of the step of a step is late: with all that the worker was given, if it has several. */
  lateAfterMs(worker: WorkerId, shardSamples: number): number {
    const samples = Math.max(shardSamples, this.#times.samplesOf(worker));
    const pace = this.paces.paceOf(worker);
    const shouldMs = pace === null ? this.paces.typicalMs(samples) : forecastMs(pace, samples);
    return shouldMs === null ? Infinity : LATE_TIMES * shouldMs + LATE_MS;
  }

  #candidates(workers: readonly WorkerId[]): Candidate[] {
    return workers.flatMap((worker) => {
      const pace = this.paces.paceOf(worker);
      return pace === null ? [] : [{ worker, pace }];
    });
  }

  /** Who cannot take part now: what it was sent has not left yet, or it is busy with something else. */
  #isHeldBack(member: Member, spare: readonly GivenShard[]): boolean {
    const { pool, clock } = this.#options;
    if (pool.isClogged(member)) return true;
    const pace = this.paces.paceOf(member.id);
    return spare.some(({ worker, copy, givenAtMs, from, to }) => {
      if (worker !== member.id) return false;
      const patienceMs = pace === null ? 0 : PATIENCE_MS + PATIENCE_TIMES * forecastMs(pace, to - from);
      return copy || clock.now() - givenAtMs > patienceMs;
    });
  }

  #isTried(worker: WorkerId): boolean {
    return this.paces.paceOf(worker) === null || this.#trials.isDue(worker);
  }

  /** Tells workers that they are on standby, or active again. */
  #tell(shares: readonly Assignment[], known: readonly Candidate[]): void {
    const { pool } = this.#options;
    const sharing = new Set(shares.map(({ worker }) => worker));
    const stepMs = slowestMs(shares, known);
    const samples = shares.at(-1)?.to ?? 0;
    const equalShare = Math.ceil(samples / known.length);
    for (const { worker, pace } of known) {
      const member = pool.members.get(worker);
      if (member === undefined || member.reserve === !sharing.has(worker)) continue;
      if (sharing.has(worker)) this.#trials.forget(worker);
      pool.keepInReserve(
        member,
        sharing.has(worker)
          ? null
          : `Steps take ${inMs(stepMs)} without this worker, which would need ${inMs(forecastMs(pace, equalShare))} for an equal share${becauseOfLink(member)}. It is retried now and then.`,
      );
    }
  }
}

/** What is to be said of a link that takes longer than its worker computes. */
function becauseOfLink(member: Member): string {
  const { figures } = member.link;
  if (figures === null || figures.turnaroundMs < 2 * figures.computeMs) return '';
  const { rttMs, downMsPerByte, upMsPerByte } = figures;
  // A worker that has only just started, or that hangs, takes long too, whatever its link can do.
  const isWide = Math.max(downMsPerByte, upMsPerByte) < WIDE_MS_PER_BYTE;
  if (isWide && rttMs < (figures.turnaroundMs - figures.computeMs) / 4) return '';
  return ` (slow connection: ${describeLink(figures)}, codecs ${inShort(member)})`;
}

/** The smallest shares once more, by turns. */
function copiesOf(assignments: readonly Assignment[], workers: readonly WorkerId[]): Assignment[] {
  const smallestFirst = assignments.toSorted((a, b) => a.to - a.from - (b.to - b.from));
  return workers.flatMap((worker, i) => {
    const share = smallestFirst[i % smallestFirst.length];
    return share === undefined ? [] : [{ ...share, worker }];
  });
}

const inMs = (ms: number): string => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);
