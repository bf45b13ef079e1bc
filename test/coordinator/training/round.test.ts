import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advanceRound,
  overdueWorkers,
  startRound,
  type GivenShard,
  type Round,
  type RoundEffect,
  type RoundEvent,
  type RoundStart,
} from '../../../coordinator/training/round.ts';
import { nextLateMs } from '../../../coordinator/training/hand-out.ts';
import { cut, equalShares } from '../../../coordinator/training/schedule.ts';
import type { ShardId, WorkerId } from '../../../shared/protocol/messages.ts';

const id = (name: string): WorkerId => name as WorkerId;
const [ann, bob, cyd] = [id('ann'), id('bob'), id('cyd')];

const start = (samples: number, workers: WorkerId[], more: Partial<RoundStart> = {}): RoundStart => ({
  samples,
  workers,
  assignments: equalShares(samples, workers),
  waiting: workers.length > 0 ? [] : [{ from: 0, to: samples }],
  depth: 1,
  nextId: 0,
  ...more,
});
const inShort = (effects: readonly RoundEffect[]): string[] =>
  effects.map((effect) =>
    effect.type === 'complete'
      ? 'complete'
      : `${effect.shard.id}: [${effect.shard.from}, ${effect.shard.to}) to ${effect.shard.worker}`,
  );

/** Plays events; effects in short for each, those of the start first. */
function play(from: RoundStart, ...events: RoundEvent[]): { round: Round; effects: string[][] } {
  const [started, first] = startRound(from, 0);
  const effects = [inShort(first)];
  let round = started;
  for (const event of events) {
    const [next, done] = advanceRound(round, event, 0);
    round = next;
    effects.push(inShort(done));
  }
  return { round, effects };
}
const answered = (shard: number): RoundEvent => ({ type: 'answered', shard: shard as ShardId });
const failed = (shard: number): RoundEvent => ({ type: 'failed', shard: shard as ShardId });
const left = (worker: WorkerId): RoundEvent => ({ type: 'left', worker });
const tick: RoundEvent = { type: 'tick' };
const joined = (worker: WorkerId): RoundEvent => ({ type: 'joined', worker });

describe('a round', () => {
  it('gives each worker its share and is complete with the last answer', () => {
    const { effects } = play(start(8, [ann, bob]), answered(1), answered(0));
    expect(effects).toEqual([['0: [0, 4) to ann', '1: [4, 8) to bob'], [], ['complete']]);
  });

  it('cuts what a worker leaves behind for all that remain', () => {
    const { effects } = play(start(9, [ann, bob, cyd]), answered(1), left(ann), answered(2));
    expect(effects.slice(2)).toEqual([['3: [0, 1) to bob'], ['4: [1, 3) to cyd']]);
  });

  it('waits for somebody when all have left', () => {
    const { effects, round } = play(start(4, [ann]), left(ann), joined(bob), answered(1));
    expect(effects.slice(1)).toEqual([[], ['1: [0, 4) to bob'], ['complete']]);
    expect(round.done).toBe(4);
  });

  it('gives a failed shard to somebody else, even if it has to wait for that', () => {
    const { effects } = play(start(8, [ann, bob]), failed(0), answered(1));
    expect(effects.slice(1)).toEqual([[], ['2: [0, 4) to bob']]);
  });

  it('gives a failed shard to the same worker if there is nobody else', () => {
    expect(play(start(4, [ann]), failed(0)).effects[1]).toEqual(['1: [0, 4) to ann']);
    expect(play(start(8, [ann, bob]), failed(0), left(bob)).effects.at(-1)).toContain('2: [4, 8) to ann');
  });

  it('does not change for an answer or a failure that it does not wait for', () => {
    const { round } = play(start(8, [ann, bob]), answered(0));
    for (const event of [answered(0), failed(0), answered(99), failed(99)]) {
      expect(advanceRound(round, event, 0)).toEqual([round, []]);
    }
  });

  it('hands small shards to whoever has least to do, up to its depth', () => {
    const waiting = cut({ from: 0, to: 6 }, 6);
    const { effects } = play(
      start(6, [ann, bob], { assignments: [], waiting, depth: 2 }),
      answered(1),
      joined(cyd),
    );
    expect(effects).toEqual([
      ['0: [0, 1) to ann', '1: [1, 2) to bob', '2: [2, 3) to ann', '3: [3, 4) to bob'],
      ['4: [4, 5) to bob'],
      ['5: [5, 6) to cyd'],
    ]);
  });

  it('knows who has kept a shard too long', () => {
    const [round] = startRound(start(8, [ann, bob]), 1000);
    const [later] = advanceRound(round, answered(0), 5000);
    expect(overdueWorkers(round, 2000, 1000)).toEqual([]);
    expect(overdueWorkers(round, 2001, 1000)).toEqual([ann, bob]);
    expect(overdueWorkers(later, 9000, 1000)).toEqual([bob]);
  });
});

describe('a shard that is late', () => {
  const late = (worker: WorkerId): number => (worker === ann ? 10 : 100);
  const at = (ms: number, round: Round, event: RoundEvent) => advanceRound(round, event, ms);

  it('gets a second owner as soon as somebody is idle; the first answer counts', () => {
    const [first] = startRound(start(8, [ann, bob], { lateAfterMs: late }), 0);
    expect(nextLateMs(first, 0)).toBe(10);
    const [waiting, none] = at(10, first, tick);
    expect(none).toEqual([]);
    const [second, given] = at(20, waiting, answered(1));
    expect(inShort(given)).toEqual(['2: [0, 4) to bob']);
    const [third, complete] = at(30, second, answered(2));
    expect(inShort(complete)).toEqual(['complete']);
    expect(third.spare).toMatchObject([{ id: 0, worker: ann }]);
    expect(at(40, third, answered(0))).toEqual([{ ...third, spare: [] }, []]);
  });

  it('gets a third one when the second is late too, and none twice', () => {
    const [first] = startRound(start(6, [ann, bob, cyd], { lateAfterMs: late }), 0);
    const [second] = at(20, at(20, first, answered(1))[0], answered(2));
    expect(second.given.map(({ worker }) => worker)).toEqual([ann, bob]);
    expect(at(119, second, tick)[1]).toEqual([]);
    const [third, given] = at(120, second, tick);
    expect(inShort(given)).toEqual(['4: [0, 2) to cyd']);
    expect(at(900, third, tick)[1]).toEqual([]);
  });

  it('is not given out again when one of its owners leaves or fails', () => {
    const [first] = startRound(start(8, [ann, bob], { lateAfterMs: late }), 0);
    const [second] = at(20, first, answered(1));
    expect(at(30, second, left(ann))[1]).toEqual([]);
    expect(at(30, second, failed(2))[0].waiting).toEqual([]);
    const [alone, given] = at(40, at(30, second, left(ann))[0], left(bob));
    expect([given, alone.waiting]).toEqual([[], [{ from: 0, to: 4, avoid: null }]]);
  });

  it('goes to the reserve if nobody else is idle, which otherwise gets nothing', () => {
    const [first] = startRound(start(8, [ann, bob], { lateAfterMs: late, reserve: [cyd] }), 0);
    const [second] = at(5, first, left(bob));
    expect(second.waiting).toHaveLength(1);
    expect(inShort(at(10, second, tick)[1])).toEqual(['2: [0, 4) to cyd']);
    expect(inShort(at(6, second, left(ann))[1])).toEqual(['2: [0, 4) to cyd']);
  });

  it('whose forecast could not be made at first is late by one that is made later', () => {
    let ms = Infinity;
    const [first] = startRound(start(8, [ann, bob], { lateAfterMs: () => ms }), 0);
    const [second] = at(50, first, answered(1));
    expect(nextLateMs(second, 50)).toBeNull();
    ms = 40;
    expect(inShort(at(60, second, tick)[1])).toEqual(['2: [0, 4) to bob']);
  });
});

it('a failed shard goes to the reserve where nobody else is left, and back if that has no room', () => {
  const from = start(4, [ann], { reserve: [bob] });
  expect(play(from, failed(0)).effects[1]).toEqual(['1: [0, 4) to bob']);
  expect(play(start(4, [ann]), failed(0)).effects[1]).toEqual(['1: [0, 4) to ann']);
});

describe('a copy', () => {
  const copies = [{ worker: cyd, from: 0, to: 4 }];

  it('counts if it is first, and is waited for by nobody', () => {
    const from = start(8, [ann, bob], { copies, reserve: [cyd] });
    const { effects, round } = play(from, answered(2), answered(1));
    expect(effects).toEqual([['0: [0, 4) to ann', '1: [4, 8) to bob', '2: [0, 4) to cyd'], [], ['complete']]);
    expect(round.spare.map(({ id: shard }) => shard)).toEqual([0]);
    expect(play(from, answered(0), answered(1)).round.spare.map(({ id: shard }) => shard)).toEqual([2]);
  });

  it('stands in for what it is a copy of, and is late at once', () => {
    const { effects } = play(start(8, [ann, bob], { copies, reserve: [cyd] }), answered(1), left(ann));
    expect(effects.at(-1)).toEqual(['3: [0, 4) to bob']);
  });
});

it('whoever is busy with what nobody needs any more gets nothing, until it has answered', () => {
  const spare: GivenShard = {
    id: 3 as ShardId,
    worker: ann,
    from: 0,
    to: 9,
    givenAtMs: 0,
    lateAtMs: 0,
    copy: false,
  };
  const from = start(8, [ann, bob], {
    ...{
      assignments: [{ worker: bob, from: 4, to: 8 }],
      waiting: [{ from: 0, to: 4 }],
      nextId: 4,
      spare: [spare],
    },
  });
  for (const depth of [1, 2]) {
    const alone = { ...from, depth, workers: [ann], assignments: [], waiting: [{ from: 0, to: 8 }] };
    expect(play(alone, answered(3), failed(3)).effects).toEqual([[], ['4: [0, 8) to ann'], []]);
  }
  const { effects } = play(from, answered(3), failed(3));
  expect(effects).toEqual([['4: [4, 8) to bob'], ['5: [0, 4) to ann'], []]);
  expect(overdueWorkers(startRound(from, 90)[0], 100, 50)).toEqual([ann]);
});

/** What a property test does next; numbers choose among what is there. */
type Choice = readonly [
  kind: 'join' | 'leave' | 'answer' | 'fail' | 'second' | 'time' | 'noise',
  which: number,
];

const kinds = ['join', 'leave', 'answer', 'answer', 'fail', 'second', 'time', 'noise'] as const;
const choices = fc.array(fc.tuple(fc.constantFrom<Choice[0]>(...kinds), fc.nat(1000)), { maxLength: 60 });
const starts = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.nat(4), fc.integer({ min: 1, max: 3 }), fc.boolean(), fc.nat(50))
  .map(([samples, count, depth, shares, nextId]) => {
    const workers = Array.from({ length: count }, (_, i) => id(`w${i}`));
    const whole = { from: 0, to: samples };
    const lateAfterMs = (worker: WorkerId): number => ((worker.codePointAt(1) ?? 0) % 3) * 7 + nextId + 1;
    const reserve = nextId % 2 === 0 ? [id('r0'), id('r1')] : [];
    const shared = equalShares(samples, workers);
    const copies = shared.flatMap((share, i) => {
      const worker = i % 2 === 0 ? reserve[i >> 1] : workers[(i + 1) % workers.length];
      return worker === undefined || worker === share.worker ? [] : [{ ...share, worker }];
    });
    return shares
      ? start(samples, workers, { depth, nextId: nextId + 1, lateAfterMs, reserve, copies })
      : start(samples, workers, { assignments: [], waiting: cut(whole, 1 + (nextId % 9)), depth, nextId });
  });

/** Watches a round from outside: what it was told, what it has said. */
class Witness {
  round: Round;
  readonly #given: GivenShard[] = [];
  #nowMs = 0;
  readonly #accounted: GivenShard[] = [];
  #completed = 0;
  #names = 0;

  constructor(from: RoundStart) {
    const [round, effects] = startRound(from, 0);
    this.round = round;
    this.#observe(effects, null);
  }

  tell(event: RoundEvent): void {
    const shard = 'shard' in event ? this.round.given.find((one) => one.id === event.shard) : undefined;
    if (event.type === 'answered' && shard !== undefined) this.#accounted.push(shard);
    const [next, effects] = advanceRound(this.round, event, this.#nowMs);
    this.round = next;
    this.#observe(effects, event.type === 'failed' && shard !== undefined ? shard : null);
  }

  choose([kind, which]: Choice): void {
    const { workers, given } = this.round;
    const worker = workers[which % workers.length];
    const shard = given[which % given.length];
    if (kind === 'join' && workers.length < 8) this.tell(joined(id(`j${this.#names++}`)));
    if (kind === 'leave' && worker !== undefined) this.tell(left(worker));
    if (kind === 'answer' && shard !== undefined) this.tell(answered(shard.id));
    if (kind === 'fail' && shard !== undefined) this.tell(failed(shard.id));
    const second = this.round.spare[which % this.round.spare.length];
    if (kind === 'second' && second !== undefined && !this.complete) {
      const { done } = this.round;
      this.tell(which % 2 === 0 ? answered(second.id) : failed(second.id));
      expect(this.round.done).toBe(done);
    }
    if (kind === 'time') {
      this.#nowMs += which % 40;
      this.tell(tick);
    }
    if (kind === 'noise') this.tell(which % 2 === 0 ? answered(which + 1000) : left(id('stranger')));
  }

  get complete(): boolean {
    return this.#completed > 0;
  }

  #observe(effects: readonly RoundEffect[], failure: GivenShard | null): void {
    for (const effect of effects) {
      if (effect.type === 'complete') this.#completed++;
      else {
        const before = this.#given.at(-1)?.id ?? -1;
        expect(effect.shard.id).toBeGreaterThan(before);
        this.#given.push(effect.shard);
      }
    }
    this.#check(failure);
  }

  #check(failure: GivenShard | null): void {
    const { samples, depth, workers, reserve, waiting, given, spare, done } = this.round;
    // Of those over the same samples, one.
    const distinct = given.filter((one, i) => given.findIndex(({ from }) => from === one.from) === i);
    const parts = [...waiting, ...distinct, ...this.#accounted].sort((a, b) => a.from - b.from);
    expect(parts[0]?.from ?? samples).toBe(0);
    expect(parts.map(({ to }) => to)).toEqual([...parts.slice(1).map(({ from }) => from), samples]);
    expect(done).toBe(this.#accounted.reduce((sum, { from, to }) => sum + to - from, 0));
    expect(this.#completed).toBe(done === samples ? 1 : 0);
    const load = (worker: WorkerId): number =>
      [...given, ...spare].filter((one) => one.worker === worker).length;
    const present = [...workers, ...reserve];
    const isFree = (worker: WorkerId): boolean =>
      load(worker) < depth && !spare.some((one) => one.worker === worker);
    expect([...given, ...spare].filter(({ worker }) => !present.includes(worker))).toEqual([]);
    // A copy may come on top.
    expect(present.filter((worker) => load(worker) > depth + 1)).toEqual([]);
    const free = workers.filter(isFree);
    for (const shard of waiting) {
      const others = workers.filter((worker) => worker !== shard.avoid);
      expect(free.filter((worker) => others.length === 0 || worker !== shard.avoid)).toEqual([]);
      if (workers.length === 0) expect(reserve.filter(isFree)).toEqual([]);
    }
    for (const shard of distinct) {
      const same = given.filter(({ from }) => from === shard.from);
      const holders = same.map(({ worker }) => worker);
      expect(new Set(holders).size).toBe(holders.length);
      // A copy never stands for what nobody is counted on for.
      expect(same.some(({ copy }) => !copy)).toBe(true);
      if (same.every(({ copy, lateAtMs }) => copy || lateAtMs <= this.#nowMs)) {
        expect(present.filter((worker) => load(worker) === 0 && !holders.includes(worker))).toEqual([]);
      }
    }
    if (failure !== null && workers.some((worker) => worker !== failure.worker)) {
      const again = given.find(({ from }) => from === failure.from);
      expect(again?.worker).not.toBe(failure.worker);
    }
  }
}

describe('whatever happens, a round', () => {
  it('accounts for every sample exactly once, lets nobody idle, and completes once', () => {
    fc.assert(
      fc.property(starts, choices, (from, events) => {
        const witness = new Witness(from);
        for (const event of events) {
          if (!witness.complete) witness.choose(event);
        }
        // However it stands, it ends as soon as somebody is there who answers.
        const { workers, reserve } = witness.round;
        if (!witness.complete && workers.length + reserve.length === 0) witness.tell(joined(id('last')));
        for (let turn = 0; turn < 500 && !witness.complete; turn++) {
          witness.choose(['answer', turn]);
          if (witness.round.given.length === 0) witness.choose(['second', turn]);
        }
        expect(witness.complete).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
