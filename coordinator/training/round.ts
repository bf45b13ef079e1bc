import type { ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import {
  splitEvenly,
  type AssignedShard,
  type Assignment,
  type SplitRange,
} from '../scheduling/partition.ts';

/**
 * One round: a set of samples that has to be accounted for, each exactly once, by workers that come and go. Pure:
 * (state, event, now) -> state and effects. Positions in the batch stand for its samples.
 */
export interface Round {
  readonly samples: number;
  /** How many shards a worker may hold at a time. */
  readonly depth: number;
  readonly workers: readonly WorkerId[];
  /** Who gets something only where no worker is left, or a shard is late and no worker idle. */
  readonly standby: readonly WorkerId[];
  /** Not accounted for and with nobody, first come first. */
  readonly pending: readonly PendingShard[];
  /** Two of them may be over the same samples: the first answer counts. */
  readonly assigned: readonly AssignedShard[];
  /** Somebody else was first, in this round or one before: they only keep their worker busy until it answers. */
  readonly superseded: readonly AssignedShard[];
  /** Samples accounted for. */
  readonly samplesDone: number;
  readonly stragglerAfterMs: (worker: WorkerId, samples: number) => number;
  readonly splitRange: SplitRange;
  readonly nextId: number;
}

export interface PendingShard extends Range {
  /** Whoever failed at it; gets it again only if nobody else is there. */
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
  { readonly type: 'give'; readonly shard: AssignedShard } | { readonly type: 'complete' };

export type RoundTransition = readonly [Round, readonly RoundEffect[]];

export interface RoundStart {
  readonly samples: number;
  readonly workers: readonly WorkerId[];
  /** Who gets what at once; what is left over waits for the first to be free. */
  readonly assignments: readonly Assignment[];
  readonly pending: readonly Range[];
  readonly depth: number;
  /** Greater than every shard's that was ever given. */
  readonly nextId: number;
  readonly standby?: readonly WorkerId[];
  /** What rounds before have left in workers' hands. */
  readonly superseded?: readonly AssignedShard[];
  /** Assigned ranges that somebody else gets from the beginning too, whoever is first. */
  readonly duplicates?: readonly Assignment[];
  /** After which time a shard is late; by default none ever is. */
  readonly stragglerAfterMs?: (worker: WorkerId, samples: number) => number;
  /** How what one left behind is cut for those that remain; by default into equal parts. */
  readonly splitRange?: SplitRange;
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
  };
  const effects: RoundEffect[] = [];
  const assigned = start.assignments.map((assignment) => ({ ...assignment, copy: false }));
  const copies = (start.duplicates ?? []).map((assignment) => ({ ...assignment, copy: true }));
  for (const { worker, copy, ...range } of [...assigned, ...copies]) {
    const [next, effect] = assign(round, range, worker, nowMs, copy);
    round = next;
    effects.push(effect);
  }
  const [next, more] = dispatchPending(round, nowMs);
  return [next, [...effects, ...more]];
}

export function advanceRound(round: Round, event: RoundEvent, nowMs: number): RoundTransition {
  switch (event.type) {
    case 'joined':
      return dispatchPending({ ...round, workers: [...round.workers, event.worker] }, nowMs);
    case 'left': {
      const others = ({ worker }: AssignedShard): boolean => worker !== event.worker;
      const workers = round.workers.filter((worker) => worker !== event.worker);
      const standby = round.standby.filter((worker) => worker !== event.worker);
      const remain = round.assigned.filter(others);
      const lost = round.assigned.filter(
        (shard) => !others(shard) && !remain.some((one) => isSameRange(one, shard)),
      );
      // What one left behind is cut for all that remain, so that nobody alone makes the others wait.
      const pieces = lost.flatMap(({ from, to }) =>
        round.splitRange({ from, to }, Math.max(1, workers.length)),
      );
      const pending = [...pieces.map((range) => ({ ...range, avoid: null })), ...round.pending];
      const [assigned, superseded] = [promoteDuplicates(remain, nowMs), round.superseded.filter(others)];
      return dispatchPending({ ...round, workers, standby, assigned, superseded, pending }, nowMs);
    }
    case 'answered': {
      const shard = round.assigned.find(({ id }) => id === event.shard);
      if (shard === undefined) return release(round, event.shard, nowMs);
      const samplesDone = round.samplesDone + shard.to - shard.from;
      const left = round.assigned.filter((other) => other !== shard);
      const assigned = left.filter((other) => !isSameRange(other, shard));
      const superseded = [...round.superseded, ...left.filter((other) => isSameRange(other, shard))];
      const next: Round = { ...round, assigned, superseded, samplesDone };
      return samplesDone === round.samples ? [next, [{ type: 'complete' }]] : dispatchPending(next, nowMs);
    }
    case 'failed': {
      const shard = round.assigned.find(({ id }) => id === event.shard);
      if (shard === undefined) return release(round, event.shard, nowMs);
      const remain = round.assigned.filter((other) => other !== shard);
      const { from, to, worker: avoid } = shard;
      const again = remain.some((other) => isSameRange(other, shard)) ? [] : [{ from, to, avoid }];
      const given = promoteDuplicates(remain, nowMs);
      return dispatchPending({ ...round, assigned: given, pending: [...again, ...round.pending] }, nowMs);
    }
    case 'tick':
      return dispatchPending(
        { ...round, assigned: round.assigned.map((shard) => updateStragglerTime(round, shard)) },
        nowMs,
      );
  }
}

/** Forecasts that could not be made when a shard was given are made now, if they can. */
const updateStragglerTime = (round: Round, shard: AssignedShard): AssignedShard =>
  Number.isFinite(shard.stragglerAtMs)
    ? shard
    : {
        ...shard,
        stragglerAtMs: shard.assignedAtMs + round.stragglerAfterMs(shard.worker, shard.to - shard.from),
      };

/** Takes back a shard that somebody else has answered before; its worker is free again. */
function release(round: Round, id: ShardId, nowMs: number): RoundTransition {
  const superseded = round.superseded.filter((shard) => shard.id !== id);
  return superseded.length === round.superseded.length
    ? [round, []]
    : dispatchPending({ ...round, superseded }, nowMs);
}

/** A copy that is all that remains of a shard is counted on from now, but not waited for. */
function promoteDuplicates(given: readonly AssignedShard[], nowMs: number): AssignedShard[] {
  return given.map((shard) =>
    shard.isDuplicate && !given.some((other) => !other.isDuplicate && isSameRange(other, shard))
      ? { ...shard, isDuplicate: false, stragglerAtMs: nowMs }
      : shard,
  );
}

/** Workers that have kept a shard for longer than `deadlineMs`. */
export function overdueWorkers(round: Round, nowMs: number, deadlineMs: number): WorkerId[] {
  const late = [...round.assigned, ...round.superseded].filter(
    ({ assignedAtMs }) => nowMs - assignedAtMs > deadlineMs,
  );
  return [...new Set(late.map(({ worker }) => worker))];
}

/** Gives waiting shards to workers that have room, those with least to do first; then late ones to who is idle. */
export function dispatchPending(round: Round, nowMs: number): RoundTransition {
  const effects: RoundEffect[] = [];
  for (const shard of round.pending) {
    const { workers, standby: reserve, depth } = round;
    const others = workers.filter((worker) => worker !== shard.avoid);
    const standby = others.length > 0 ? reserve.filter((worker) => worker !== shard.avoid) : reserve;
    // A worker that is busy with a superseded shard may never answer: standby workers do not wait for it.
    const worker = others.some((other) => !round.superseded.some(({ worker }) => worker === other))
      ? leastLoadedWorker(round, workers, depth, shard.avoid)
      : (leastLoadedWorker(round, standby, depth, null) ??
        leastLoadedWorker(round, workers, depth, others.length > 0 ? shard.avoid : null));
    if (worker === undefined) continue;
    const pending = round.pending.filter((other) => other !== shard);
    const [next, effect] = assign({ ...round, pending }, shard, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  for (const shard of round.assigned) {
    if (shard.isDuplicate || shard.stragglerAtMs > nowMs) continue;
    const same = round.assigned.filter((other) => isSameRange(other, shard));
    // Everybody who is counted on for it has to be late.
    if (same.some(({ isDuplicate, stragglerAtMs }) => !isDuplicate && stragglerAtMs > nowMs)) continue;
    const holders = same.map(({ worker }) => worker);
    const others = (workers: readonly WorkerId[]): WorkerId[] =>
      workers.filter((worker) => !holders.includes(worker));
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

/** When to look next whether a shard is late; null if none will be. */
export function nextStragglerCheckMs({ assigned }: Round, nowMs: number): number | null {
  let soonestMs = Infinity;
  for (const { isDuplicate, stragglerAtMs } of assigned) {
    if (!isDuplicate && stragglerAtMs > nowMs) soonestMs = Math.min(soonestMs, stragglerAtMs);
  }
  return Number.isFinite(soonestMs) ? soonestMs : null;
}

export const isSameRange = (a: Range, b: Range): boolean => a.from === b.from && a.to === b.to;

/**
 * The one of these that holds least, and less than `depth`; whoever is to be avoided only if there is nobody else. Nobody
 * who is busy with a spare shard: newer weights would make it drop that without an answer.
 */
function leastLoadedWorker(
  round: Round,
  among: readonly WorkerId[],
  depth: number,
  avoid: WorkerId | null,
): WorkerId | undefined {
  const load = new Map(among.map((worker) => [worker, 0]));
  for (const { worker } of round.superseded) load.delete(worker);
  for (const { worker } of round.assigned) {
    const held = load.get(worker);
    if (held !== undefined) load.set(worker, held + 1);
  }
  const nobodyElse = among.every((worker) => worker === avoid);
  const [least] = [...load]
    .filter(([worker, held]) => held < depth && (worker !== avoid || nobodyElse))
    .sort(([, a], [, b]) => a - b);
  return least?.[0];
}

/** @param isDuplicate nobody counts on it */
export function assign(
  round: Round,
  { from, to }: Range,
  worker: WorkerId,
  nowMs: number,
  isDuplicate = false,
): readonly [Round, RoundEffect] {
  const stragglerAtMs = nowMs + round.stragglerAfterMs(worker, to - from);
  const shard: AssignedShard = {
    id: round.nextId as ShardId,
    from,
    to,
    worker,
    assignedAtMs: nowMs,
    stragglerAtMs,
    isDuplicate,
  };
  return [
    { ...round, assigned: [...round.assigned, shard], nextId: round.nextId + 1 },
    { type: 'give', shard },
  ];
}
