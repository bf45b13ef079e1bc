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
  let round: Round = {
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
  const effects: RoundEffect[] = [];
  const primaries = start.assignments.map((assignment) => ({ ...assignment, isDuplicate: false }));
  const duplicates = (start.duplicates ?? []).map((assignment) => ({ ...assignment, isDuplicate: true }));
  for (const { worker, isDuplicate, ...range } of [...primaries, ...duplicates]) {
    const [next, effect] = assign(round, range, worker, nowMs, isDuplicate);
    round = next;
    effects.push(effect);
  }
  const [next, dispatched] = dispatchPending(round, nowMs);
  return [next, [...effects, ...dispatched]];
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
      const others = round.assigned.filter((other) => other !== shard);
      const assigned = others.filter((other) => !isSameRange(other, shard));
      const superseded = [...round.superseded, ...others.filter((other) => isSameRange(other, shard))];
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
  const effects: RoundEffect[] = [];
  for (const shard of round.pending) {
    const { workers, depth, hasSamples } = round;
    const owners = workers.filter((worker) => worker !== shard.avoid && hasSamples(worker, shard));
    const worker = leastLoadedWorker(round, owners, depth, null);
    if (worker === undefined) continue;
    const pending = round.pending.filter((other) => other !== shard);
    const [next, effect] = assign({ ...round, pending }, shard, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  for (const shard of round.pending) {
    const { workers, standby, depth } = round;
    const others = workers.filter((worker) => worker !== shard.avoid);
    const candidates = others.length > 0 ? standby.filter((worker) => worker !== shard.avoid) : standby;
    // A worker that is busy with a superseded shard may never answer: standby workers do not wait for it.
    const worker = others.some((other) => !round.superseded.some(({ worker }) => worker === other))
      ? leastLoadedWorker(round, workers, depth, shard.avoid)
      : (leastLoadedWorker(round, candidates, depth, null) ??
        leastLoadedWorker(round, workers, depth, others.length > 0 ? shard.avoid : null));
    if (worker === undefined) continue;
    const pending = round.pending.filter((other) => other !== shard);
    const [next, effect] = assign({ ...round, pending }, shard, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  for (const shard of round.assigned) {
    if (shard.isDuplicate || shard.stragglerAtMs > nowMs) continue;
    const sameRange = round.assigned.filter((other) => isSameRange(other, shard));
    // No further worker while one primary assignment of the range is still in time.
    if (sameRange.some(({ isDuplicate, stragglerAtMs }) => !isDuplicate && stragglerAtMs > nowMs)) continue;
    const assignees = sameRange.map(({ worker }) => worker);
    const others = (workers: readonly WorkerId[]): WorkerId[] =>
      workers.filter((worker) => !assignees.includes(worker));
    const worker =
      leastLoadedWorker(round, others(round.workers), 1, null) ??
      leastLoadedWorker(round, others(round.standby), 1, null);
    if (worker === undefined) continue;
    const [next, effect] = assign(round, shard, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  return [round, effects];
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

/**
 * Worker with the fewest shards, and fewer than `depth`. `avoid` is chosen only if there is no other worker. A worker that is
 * busy with a superseded shard is never chosen: newer weights would make it drop that shard without an answer.
 */
function leastLoadedWorker(
  round: Round,
  workers: readonly WorkerId[],
  depth: number,
  avoid: WorkerId | null,
): WorkerId | undefined {
  const load = new Map(workers.map((worker) => [worker, 0]));
  for (const { worker } of round.superseded) load.delete(worker);
  for (const { worker } of round.assigned) {
    const count = load.get(worker);
    if (count !== undefined) load.set(worker, count + 1);
  }
  const isOnlyAvoided = workers.every((worker) => worker === avoid);
  const [leastLoaded] = [...load]
    .filter(([worker, count]) => count < depth && (worker !== avoid || isOnlyAvoided))
    .sort(([, a], [, b]) => a - b);
  return leastLoaded?.[0];
}

/** @param isDuplicate whether the shard is a speculative duplicate, which no worker waits for */
export function assign(
  round: Round,
  { from, to }: Range,
  worker: WorkerId,
  nowMs: number,
  isDuplicate = false,
): readonly [Round, RoundEffect] {
  const shard: AssignedShard = {
    id: round.nextId as ShardId,
    from,
    to,
    worker,
    assignedAtMs: nowMs,
    stragglerAtMs: nowMs + round.stragglerAfterMs(worker, to - from),
    isDuplicate,
  };
  return [
    { ...round, assigned: [...round.assigned, shard], nextId: round.nextId + 1 },
    { type: 'assign', shard },
  ];
}
