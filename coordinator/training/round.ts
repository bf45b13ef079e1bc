import type { ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import { cut, type Assignment, type Range } from './schedule.ts';

/**
 * One round: a set of samples that has to be accounted for, each exactly once, by workers that come and go. Pure:
 * (state, event, now) -> state and effects. Positions in the batch stand for its samples.
 */
export interface Round {
  readonly samples: number;
  /** How many shards a worker may hold at a time. */
  readonly depth: number;
  readonly workers: readonly WorkerId[];
  /** Not accounted for and with nobody, first come first. */
  readonly waiting: readonly WaitingShard[];
  readonly given: readonly GivenShard[];
  /** Samples accounted for. */
  readonly done: number;
  readonly nextId: number;
}

export interface WaitingShard extends Range {
  /** Whoever failed at it; gets it again only if nobody else is there. */
  readonly avoid: WorkerId | null;
}

export interface GivenShard extends Range {
  readonly id: ShardId;
  readonly worker: WorkerId;
  readonly givenAtMs: number;
}

export type RoundEvent =
  | { readonly type: 'joined'; readonly worker: WorkerId }
  | { readonly type: 'left'; readonly worker: WorkerId }
  | { readonly type: 'answered'; readonly shard: ShardId }
  | { readonly type: 'failed'; readonly shard: ShardId };

export type RoundEffect =
  { readonly type: 'give'; readonly shard: GivenShard } | { readonly type: 'complete' };

export type RoundTransition = readonly [Round, readonly RoundEffect[]];

export interface RoundStart {
  readonly samples: number;
  readonly workers: readonly WorkerId[];
  /** Who gets what at once; what is left over waits for the first to be free. */
  readonly assignments: readonly Assignment[];
  readonly waiting: readonly Range[];
  readonly depth: number;
  /** Greater than every shard's that was ever given. */
  readonly nextId: number;
}

export function startRound(start: RoundStart, nowMs: number): RoundTransition {
  let round: Round = {
    samples: start.samples,
    depth: start.depth,
    workers: start.workers,
    waiting: start.waiting.map((range) => ({ ...range, avoid: null })),
    given: [],
    done: 0,
    nextId: start.nextId,
  };
  const effects: RoundEffect[] = [];
  for (const { worker, ...range } of start.assignments) {
    const [next, effect] = give(round, range, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  const [next, more] = handOut(round, nowMs);
  return [next, [...effects, ...more]];
}

export function advanceRound(round: Round, event: RoundEvent, nowMs: number): RoundTransition {
  switch (event.type) {
    case 'joined':
      return handOut({ ...round, workers: [...round.workers, event.worker] }, nowMs);
    case 'left': {
      const workers = round.workers.filter((worker) => worker !== event.worker);
      const lost = round.given.filter(({ worker }) => worker === event.worker);
      const given = round.given.filter(({ worker }) => worker !== event.worker);
      // What one left behind is cut for all that remain, so that nobody alone makes the others wait.
      const pieces = lost.flatMap((shard) => cut(shard, Math.max(1, workers.length)));
      const waiting = [...pieces.map((range) => ({ ...range, avoid: null })), ...round.waiting];
      return handOut({ ...round, workers, given, waiting }, nowMs);
    }
    case 'answered': {
      const shard = round.given.find(({ id }) => id === event.shard);
      if (shard === undefined) return [round, []];
      const done = round.done + shard.to - shard.from;
      const given = round.given.filter((other) => other !== shard);
      const next = { ...round, given, done };
      return done === round.samples ? [next, [{ type: 'complete' }]] : handOut(next, nowMs);
    }
    case 'failed': {
      const shard = round.given.find(({ id }) => id === event.shard);
      if (shard === undefined) return [round, []];
      const given = round.given.filter((other) => other !== shard);
      const again = { from: shard.from, to: shard.to, avoid: shard.worker };
      return handOut({ ...round, given, waiting: [again, ...round.waiting] }, nowMs);
    }
  }
}

/** Workers that have kept a shard for longer than `deadlineMs`. */
export function overdueWorkers(round: Round, nowMs: number, deadlineMs: number): WorkerId[] {
  const late = round.given.filter(({ givenAtMs }) => nowMs - givenAtMs > deadlineMs);
  return [...new Set(late.map(({ worker }) => worker))];
}

/** Gives waiting shards to workers that have room, those with least to do first. */
function handOut(round: Round, nowMs: number): RoundTransition {
  const effects: RoundEffect[] = [];
  for (const shard of round.waiting) {
    const worker = freeWorker(round, shard.avoid);
    if (worker === undefined) continue;
    const waiting = round.waiting.filter((other) => other !== shard);
    const [next, effect] = give({ ...round, waiting }, shard, worker, nowMs);
    round = next;
    effects.push(effect);
  }
  return [round, effects];
}

function freeWorker(round: Round, avoid: WorkerId | null): WorkerId | undefined {
  const load = new Map(round.workers.map((worker) => [worker, 0]));
  for (const { worker } of round.given) load.set(worker, (load.get(worker) ?? 0) + 1);
  const nobodyElse = round.workers.every((worker) => worker === avoid);
  const [least] = [...load]
    .filter(([worker, held]) => held < round.depth && (worker !== avoid || nobodyElse))
    .sort(([, a], [, b]) => a - b);
  return least?.[0];
}

function give(
  round: Round,
  { from, to }: Range,
  worker: WorkerId,
  nowMs: number,
): readonly [Round, RoundEffect] {
  const shard: GivenShard = { id: round.nextId as ShardId, from, to, worker, givenAtMs: nowMs };
  return [
    { ...round, given: [...round.given, shard], nextId: round.nextId + 1 },
    { type: 'give', shard },
  ];
}
