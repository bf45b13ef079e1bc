import type { ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import {
  splitEvenly,
  type AssignedShard,
  type Assignment,
  type SplitRange,
} from '../scheduling/partition.ts';

/**
 * One round: workers that join and leave compute a batch, and each sample counts exactly once. Pure: (state, event, now) -> state
 * and effects. Ranges are positions in the batch, not sample numbers.
 */
export interface Round {
  readonly samples: number;
  /** Maximum number of shards that a worker is assigned at a time. */
  readonly depth: number;
  readonly workers: readonly WorkerId[];
  /** Workers that are assigned shards only if no other worker is left, or if a shard is a straggler and no other worker is idle. */
  readonly standby: readonly WorkerId[];
  /** Shards without a worker, in the order of dispatch. */
  readonly pending: readonly PendingShard[];
  /** Shards that workers compute. Several may have the same range: the first answer counts. */
  readonly assigned: readonly AssignedShard[];
  /** Shards of this or an earlier round whose range another worker has answered. They occupy their worker until it answers. */
  readonly superseded: readonly AssignedShard[];
  /** Number of samples whose answer has been accepted. */
  readonly samplesDone: number;
  readonly stragglerAfterMs: (worker: WorkerId, samples: number) => number;
  readonly splitRange: SplitRange;
  /** Whether a worker has the samples of a range, so that it is assigned that range before others. */
  readonly hasSamples: (worker: WorkerId, range: Range) => boolean;
  readonly nextId: number;
}

export interface PendingShard extends Range {
  /** Worker that failed at this range: assigned it again only if there is no other worker. */
  readonly avoid: WorkerId | null;
}

export type RoundEvent =
  | { readonly type: 'joined'; readonly worker: WorkerId }
  | { readonly type: 'left'; readonly worker: WorkerId }
  | { readonly type: 'answered'; readonly shard: ShardId }
  | { readonly type: 'failed'; readonly shard: ShardId }
  /** Time has passed. */
  | { readonly type: 'tick' };

export type RoundEffect =
  { readonly type: 'assign'; readonly shard: AssignedShard } | { readonly type: 'complete' };

export type RoundTransition = readonly [Round, readonly RoundEffect[]];

export interface RoundStart {
  readonly samples: number;
  readonly workers: readonly WorkerId[];
  /** Shards that are assigned at once. */
  readonly assignments: readonly Assignment[];
  /** Ranges that are dispatched to workers with less than `depth` shards. */
  readonly pending: readonly Range[];
  readonly depth: number;
  /** Greater than the id of every shard of earlier rounds. */
  readonly nextId: number;
  readonly standby?: readonly WorkerId[];
  /** Shards of earlier rounds that workers have not answered. */
  readonly superseded?: readonly AssignedShard[];
  /** Speculative duplicates: assigned ranges that other workers compute too, from the beginning. */
  readonly duplicates?: readonly Assignment[];
  /** Time after which a worker's shard is a straggler. @default never */
  readonly stragglerAfterMs?: (worker: WorkerId, samples: number) => number;
  /** Splits the shard of a worker that left. @default into equal parts */
  readonly splitRange?: SplitRange;
  /** @default no worker has any */
  readonly hasSamples?: (worker: WorkerId, range: Range) => boolean;
}

export function startRound(start: RoundStart, nowMs: number): RoundTransition {
  const empty: Round = {
    samples: start.samples,
    depth: start.depth,
    workers: start.workers,
    pending: start.pending.map((range) => ({ ...range, avoid: null })),
    assigned: [],
    samplesDone: 0,
    nextId: start.nextId,
    standby: start.standby ?? [],
    superseded: start.superseded ?? [],
    stragglerAfterMs: start.stragglerAfterMs ?? (() => Infinity),
    splitRange: start.splitRange ?? splitEvenly,
    hasSamples: start.hasSamples ?? (() => false),
  };
  const primaries = start.assignments.map((assignment) => ({ ...assignment, isDuplicate: false }));
  const duplicates = (start.duplicates ?? []).map((assignment) => ({ ...assignment, isDuplicate: true }));
  const assigned = [...primaries, ...duplicates].map(({ worker, isDuplicate, ...range }, i) =>
    createShard(empty, i, range, worker, nowMs, isDuplicate),
  );
  const round = { ...empty, assigned, nextId: empty.nextId + assigned.length };
  const [next, dispatched] = dispatchPending(round, nowMs);
  return [next, [...assigned.map((shard) => ({ type: 'assign', shard }) as const), ...dispatched]];
}

export function advanceRound(round: Round, event: RoundEvent, nowMs: number): RoundTransition {
  switch (event.type) {
    case 'joined':
      return dispatchPending({ ...round, workers: [...round.workers, event.worker] }, nowMs);
    case 'left':
      return removeWorker(round, event.worker, nowMs);
    case 'answered': {
      const shard = round.assigned.find(({ id }) => id === event.shard);
      if (shard === undefined) return release(round, event.shard, nowMs);
      const samplesDone = round.samplesDone + shard.to - shard.from;
      const assigned: AssignedShard[] = [];
      const superseded = [...round.superseded];
      for (const other of round.assigned) {
        if (!isSameRange(other, shard)) assigned.push(other);
        else if (other !== shard) superseded.push(other);
      }
      const next: Round = { ...round, assigned, superseded, samplesDone };
      return samplesDone === round.samples ? [next, [{ type: 'complete' }]] : dispatchPending(next, nowMs);
    }
    case 'failed': {
      const shard = round.assigned.find(({ id }) => id === event.shard);
      if (shard === undefined) return release(round, event.shard, nowMs);
      const others = round.assigned.filter((other) => other !== shard);
      const { from, to, worker: avoid } = shard;
      const retried = others.some((other) => isSameRange(other, shard)) ? [] : [{ from, to, avoid }];
      const assigned = promoteDuplicates(others, nowMs);
      return dispatchPending({ ...round, assigned, pending: [...retried, ...round.pending] }, nowMs);
    }
    case 'tick':
      return dispatchPending(
        { ...round, assigned: round.assigned.map((shard) => updateStragglerTime(round, shard)) },
        nowMs,
      );
  }
}

/** Removes a worker. Its shards are split for all remaining workers, so that no single worker makes the others wait. */
function removeWorker(round: Round, worker: WorkerId, nowMs: number): RoundTransition {
  const isRemaining = (shard: AssignedShard): boolean => shard.worker !== worker;
  const workers = round.workers.filter((other) => other !== worker);
  const remaining = round.assigned.filter(isRemaining);
  const lost = round.assigned.filter(
    (shard) => !isRemaining(shard) && !remaining.some((other) => isSameRange(other, shard)),
  );
  const parts = lost.flatMap(({ from, to }) => round.splitRange({ from, to }, Math.max(1, workers.length)));
  return dispatchPending(
    {
      ...round,
      workers,
      standby: round.standby.filter((other) => other !== worker),
      assigned: promoteDuplicates(remaining, nowMs),
      superseded: round.superseded.filter(isRemaining),
      pending: [...parts.map((range) => ({ ...range, avoid: null })), ...round.pending],
    },
    nowMs,
  );
}

/** Repeats the forecast for a shard if none was possible when it was assigned. */
const updateStragglerTime = (round: Round, shard: AssignedShard): AssignedShard =>
  Number.isFinite(shard.stragglerAtMs)
    ? shard
    : {
        ...shard,
        stragglerAtMs: shard.assignedAtMs + round.stragglerAfterMs(shard.worker, shard.to - shard.from),
      };

/** Removes a superseded shard: its worker is idle again. */
function release(round: Round, id: ShardId, nowMs: number): RoundTransition {
  const superseded = round.superseded.filter((shard) => shard.id !== id);
  return superseded.length === round.superseded.length
    ? [round, []]
    : dispatchPending({ ...round, superseded }, nowMs);
}

/** If only a duplicate of a range is left, it becomes the primary assignment, already a straggler. */
function promoteDuplicates(assigned: readonly AssignedShard[], nowMs: number): AssignedShard[] {
  return assigned.map((shard) =>
    shard.isDuplicate && !assigned.some((other) => !other.isDuplicate && isSameRange(other, shard))
      ? { ...shard, isDuplicate: false, stragglerAtMs: nowMs }
      : shard,
  );
}

/** Workers that have not answered a shard for longer than `deadlineMs`. */
export function overdueWorkers(round: Round, nowMs: number, deadlineMs: number): WorkerId[] {
  const overdue = [...round.assigned, ...round.superseded].filter(
    ({ assignedAtMs }) => nowMs - assignedAtMs > deadlineMs,
  );
  return [...new Set(overdue.map(({ worker }) => worker))];
}

/** Assigns pending shards to workers that have their samples, then to the least loaded ones; then stragglers to idle workers. */
export function dispatchPending(round: Round, nowMs: number): RoundTransition {
  const isDue = ({ isDuplicate, stragglerAtMs }: AssignedShard): boolean =>
    !isDuplicate && stragglerAtMs <= nowMs;
  if (round.pending.length === 0 && !round.assigned.some(isDue)) return [round, []];
  const dispatch = new Dispatch(round, nowMs);
  if (round.pending.length > 0) dispatch.assignPending();
  dispatch.duplicateStragglers(isDue);
  return dispatch.transition;
}

/** Assignments of one dispatch. What workers compute is counted once, since it is done after each of a thousand answers. */
class Dispatch {
  readonly #round: Round;
  readonly #nowMs: number;
  readonly #loads: WorkerLoads;
  readonly #added: AssignedShard[] = [];
  #pending: readonly PendingShard[];

  constructor(round: Round, nowMs: number) {
    this.#round = round;
    this.#nowMs = nowMs;
    this.#loads = new WorkerLoads(round);
    this.#pending = round.pending;
  }

  get transition(): RoundTransition {
    const round = this.#round;
    const added = this.#added;
    if (added.length === 0) return [round, []];
    return [
      {
        ...round,
        pending: this.#pending,
        assigned: [...round.assigned, ...added],
        nextId: round.nextId + added.length,
      },
      added.map((shard) => ({ type: 'assign', shard })),
    ];
  }

  assignPending(): void {
    const { workers, hasSamples } = this.#round;
    const open = workers.filter((worker) => this.#loads.isOpen(worker));
    this.#assignEach((shard) =>
      this.#loads.leastLoaded(open.filter((worker) => worker !== shard.avoid && hasSamples(worker, shard))),
    );
    this.#assignEach((shard) => this.#workerFor(shard));
  }

  /** A worker that failed at the shard is chosen only if there is no other. */
  #workerFor({ avoid }: PendingShard): WorkerId | undefined {
    const { workers, standby } = this.#round;
    const loads = this.#loads;
    const others = workers.filter((worker) => worker !== avoid);
    const allowed = others.length > 0 ? others : workers;
    // A worker that is busy with a superseded shard may never answer: standby workers do not wait for it.
    if (others.some((worker) => !loads.isBlocked(worker))) return loads.leastLoaded(allowed);
    const candidates = others.length > 0 ? standby.filter((worker) => worker !== avoid) : standby;
    return loads.leastLoaded(candidates) ?? loads.leastLoaded(allowed);
  }

  /** Assigns pending shards in their order, as long as a worker is free. */
  #assignEach(choose: (shard: PendingShard) => WorkerId | undefined): void {
    const left: PendingShard[] = [];
    for (const shard of this.#pending) {
      const worker = this.#loads.hasOpen() ? choose(shard) : undefined;
      if (worker === undefined) left.push(shard);
      else this.#assign(shard, worker);
    }
    this.#pending = left;
  }

  duplicateStragglers(isDue: (shard: AssignedShard) => boolean): void {
    const { workers, standby } = this.#round;
    const loads = this.#loads;
    if (!loads.hasIdle()) return;
    const all = [...this.#round.assigned, ...this.#added];
    const sharing = new Map<string, AssignedShard[]>();
    for (const shard of all) {
      const same = sharing.get(rangeKey(shard));
      if (same === undefined) sharing.set(rangeKey(shard), [shard]);
      else same.push(shard);
    }
    for (const shard of all) {
      if (!isDue(shard)) continue;
      if (!loads.hasIdle()) return;
      const same = sharing.get(rangeKey(shard)) ?? [];
      // No further worker while one primary assignment of the range is still in time.
      if (same.some((other) => !other.isDuplicate && !isDue(other))) continue;
      const assignees = same.map(({ worker }) => worker);
      const worker = loads.firstIdle(workers, assignees) ?? loads.firstIdle(standby, assignees);
      if (worker !== undefined) same.push(this.#assign(shard, worker));
    }
  }

  #assign(range: Range, worker: WorkerId): AssignedShard {
    const shard = createShard(this.#round, this.#added.length, range, worker, this.#nowMs);
    this.#added.push(shard);
    this.#loads.add(worker);
    return shard;
  }
}

/**
 * Number of shards that each worker computes. A worker that is busy with a superseded shard is never chosen: newer weights would
 * make it drop that shard without an answer.
 */
class WorkerLoads {
  readonly #loads = new Map<WorkerId, number>();
  readonly #depth: number;
  /** Number of workers without a shard, and of those with fewer than `depth`. */
  #idle = 0;
  #open = 0;

  constructor({ workers, standby, assigned, superseded, depth }: Round) {
    this.#depth = depth;
    for (const worker of workers) this.#loads.set(worker, 0);
    for (const worker of standby) this.#loads.set(worker, 0);
    for (const { worker } of superseded) this.#loads.delete(worker);
    this.#idle = this.#loads.size;
    this.#open = this.#loads.size;
    for (const { worker } of assigned) this.add(worker);
  }

  hasIdle(): boolean {
    return this.#idle > 0;
  }

  hasOpen(): boolean {
    return this.#open > 0;
  }

  /** Counts another shard of a worker. */
  add(worker: WorkerId): void {
    const load = this.#loads.get(worker);
    if (load === undefined) return;
    this.#loads.set(worker, load + 1);
    if (load === 0) this.#idle--;
    if (load + 1 === this.#depth) this.#open--;
  }

  /** Whether the worker is busy with a superseded shard. */
  isBlocked(worker: WorkerId): boolean {
    return !this.#loads.has(worker);
  }

  /** Whether the worker has fewer than `depth` shards. */
  isOpen(worker: WorkerId): boolean {
    return (this.#loads.get(worker) ?? Infinity) < this.#depth;
  }

  /** The first of the workers with the fewest shards, and fewer than `depth`. */
  leastLoaded(workers: readonly WorkerId[]): WorkerId | undefined {
    let found: WorkerId | undefined;
    let least = this.#depth;
    for (const worker of workers) {
      const load = this.#loads.get(worker) ?? Infinity;
      if (load >= least) continue;
      found = worker;
      least = load;
      if (load === 0) break;
    }
    return found;
  }

  firstIdle(workers: readonly WorkerId[], except: readonly WorkerId[]): WorkerId | undefined {
    return workers.find((worker) => this.#loads.get(worker) === 0 && !except.includes(worker));
  }
}

/** Time of the next check for stragglers; null if no shard can become one. */
export function nextStragglerCheckMs({ assigned }: Round, nowMs: number): number | null {
  let soonestMs = Infinity;
  for (const { isDuplicate, stragglerAtMs } of assigned) {
    if (!isDuplicate && stragglerAtMs > nowMs) soonestMs = Math.min(soonestMs, stragglerAtMs);
  }
  return Number.isFinite(soonestMs) ? soonestMs : null;
}

export const isSameRange = (a: Range, b: Range): boolean => a.from === b.from && a.to === b.to;

const rangeKey = ({ from, to }: Range): string => `${from}-${to}`;

/**
 * @param added number of shards that were created since the round was made
 * @param isDuplicate whether the shard is a speculative duplicate, which no worker waits for
 */
const createShard = (
  round: Round,
  added: number,
  { from, to }: Range,
  worker: WorkerId,
  nowMs: number,
  isDuplicate = false,
): AssignedShard => ({
  id: (round.nextId + added) as ShardId,
  from,
  to,
  worker,
  assignedAtMs: nowMs,
  stragglerAtMs: nowMs + round.stragglerAfterMs(worker, to - from),
  isDuplicate,
});
