import type { ShardId, WorkerId } from '../../shared/protocol/messages.ts';
import { give, handOut, isSame } from './hand-out.ts';
import type { Range } from '../../shared/range.ts';
import { cut, type Assignment } from './schedule.ts';

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
  readonly reserve: readonly WorkerId[];
  /** Not accounted for and with nobody, first come first. */
  readonly waiting: readonly WaitingShard[];
  /** Two of them may be over the same samples: the first answer counts. */
  readonly given: readonly GivenShard[];
  /** Somebody else was first, in this round or one before: they only keep their worker busy until it answers. */
  readonly spare: readonly GivenShard[];
  /** Samples accounted for. */
  readonly done: number;
  readonly lateAfterMs: (worker: WorkerId, samples: number) => number;
  readonly cut: CutRange;
  readonly nextId: number;
}

/** Cuts a range into about so many parts. */
export type CutRange = (range: Range, parts: number) => Range[];

export interface WaitingShard extends Range {
  /** Whoever failed at it; gets it again only if nobody else is there. */
  readonly avoid: WorkerId | null;
}

export interface GivenShard extends Range {
  readonly id: ShardId;
  readonly worker: WorkerId;
  readonly givenAtMs: number;
  /** From then on it is late: whoever is idle gets it too. */
  readonly lateAtMs: number;
  /** Given beside another's from the beginning; nobody counts on it. */
  readonly copy: boolean;
}

export type RoundEvent =
  | { readonly type: 'joined'; readonly worker: WorkerId }
  | { readonly type: 'left'; readonly worker: WorkerId }
  | { readonly type: 'answered'; readonly shard: ShardId }
  | { readonly type: 'failed'; readonly shard: ShardId }
  /** Time has passed. */
  | { readonly type: 'tick' };

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
  readonly reserve?: readonly WorkerId[];
  /** What rounds before have left in workers' hands. */
  readonly spare?: readonly GivenShard[];
  /** Assigned ranges that somebody else gets from the beginning too, whoever is first. */
  readonly copies?: readonly Assignment[];
  /** After which time a shard is late; by default none ever is. */
  readonly lateAfterMs?: (worker: WorkerId, samples: number) => number;
  /** How what one left behind is cut for those that remain; by default into equal parts. */
  readonly cut?: CutRange;
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
    reserve: start.reserve ?? [],
    spare: start.spare ?? [],
    lateAfterMs: start.lateAfterMs ?? (() => Infinity),
    cut: start.cut ?? cut,
  };
  const effects: RoundEffect[] = [];
  const assigned = start.assignments.map((assignment) => ({ ...assignment, copy: false }));
  const copies = (start.copies ?? []).map((assignment) => ({ ...assignment, copy: true }));
  for (const { worker, copy, ...range } of [...assigned, ...copies]) {
    const [next, effect] = give(round, range, worker, nowMs, copy);
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
      const others = ({ worker }: GivenShard): boolean => worker !== event.worker;
      const workers = round.workers.filter((worker) => worker !== event.worker);
      const reserve = round.reserve.filter((worker) => worker !== event.worker);
      const remain = round.given.filter(others);
      const lost = round.given.filter((shard) => !others(shard) && !remain.some((one) => isSame(one, shard)));
      // What one left behind is cut for all that remain, so that nobody alone makes the others wait.
      const pieces = lost.flatMap(({ from, to }) => round.cut({ from, to }, Math.max(1, workers.length)));
      const waiting = [...pieces.map((range) => ({ ...range, avoid: null })), ...round.waiting];
      const [given, spare] = [promoted(remain, nowMs), round.spare.filter(others)];
      return handOut({ ...round, workers, reserve, given, spare, waiting }, nowMs);
    }
    case 'answered': {
      const shard = round.given.find(({ id }) => id === event.shard);
      if (shard === undefined) return handBack(round, event.shard, nowMs);
      const done = round.done + shard.to - shard.from;
      const left = round.given.filter((other) => other !== shard);
      const given = left.filter((other) => !isSame(other, shard));
      const spare = [...round.spare, ...left.filter((other) => isSame(other, shard))];
      const next = { ...round, given, spare, done };
      return done === round.samples ? [next, [{ type: 'complete' }]] : handOut(next, nowMs);
    }
    case 'failed': {
      const shard = round.given.find(({ id }) => id === event.shard);
      if (shard === undefined) return handBack(round, event.shard, nowMs);
      const remain = round.given.filter((other) => other !== shard);
      const { from, to, worker: avoid } = shard;
      const again = remain.some((other) => isSame(other, shard)) ? [] : [{ from, to, avoid }];
      const given = promoted(remain, nowMs);
      return handOut({ ...round, given, waiting: [...again, ...round.waiting] }, nowMs);
    }
    case 'tick':
      return handOut({ ...round, given: round.given.map((shard) => forecast(round, shard)) }, nowMs);
  }
}

/** Forecasts that could not be made when a shard was given are made now, if they can. */
const forecast = (round: Round, shard: GivenShard): GivenShard =>
  Number.isFinite(shard.lateAtMs)
    ? shard
    : { ...shard, lateAtMs: shard.givenAtMs + round.lateAfterMs(shard.worker, shard.to - shard.from) };

/** Takes back a shard that somebody else has answered before; its worker is free again. */
function handBack(round: Round, id: ShardId, nowMs: number): RoundTransition {
  const spare = round.spare.filter((shard) => shard.id !== id);
  return spare.length === round.spare.length ? [round, []] : handOut({ ...round, spare }, nowMs);
}

/** A copy that is all that remains of a shard is counted on from now, but not waited for. */
function promoted(given: readonly GivenShard[], nowMs: number): GivenShard[] {
  return given.map((shard) =>
    shard.copy && !given.some((other) => !other.copy && isSame(other, shard))
      ? { ...shard, copy: false, lateAtMs: nowMs }
      : shard,
  );
}

/** Workers that have kept a shard for longer than `deadlineMs`. */
export function overdueWorkers(round: Round, nowMs: number, deadlineMs: number): WorkerId[] {
  const late = [...round.given, ...round.spare].filter(({ givenAtMs }) => nowMs - givenAtMs > deadlineMs);
  return [...new Set(late.map(({ worker }) => worker))];
}
