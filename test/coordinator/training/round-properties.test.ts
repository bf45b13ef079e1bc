import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advanceRound,
  startRound,
  type Round,
  type RoundEffect,
  type RoundEvent,
  type RoundStart,
} from '../../../coordinator/training/round.ts';
import { splitEvenly, evenSplit } from '../../../coordinator/scheduling/partition.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';
import { answered, failed, id, joined, left, start, tick } from './round-harness.ts';
import { checkProperty } from '../../support/property.ts';
import type { AssignedShard } from '../../../coordinator/scheduling/partition.ts';

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
    const stragglerAfterMs = (worker: WorkerId): number =>
      ((worker.codePointAt(1) ?? 0) % 3) * 7 + nextId + 1;
    const standby = nextId % 2 === 0 ? [id('r0'), id('r1')] : [];
    const shared = evenSplit(samples, workers);
    const duplicates = shared.flatMap((share, i) => {
      const worker = i % 2 === 0 ? standby[i >> 1] : workers[(i + 1) % workers.length];
      return worker === undefined || worker === share.worker ? [] : [{ ...share, worker }];
    });
    return shares
      ? start(samples, workers, { depth, nextId: nextId + 1, stragglerAfterMs, standby, duplicates })
      : start(samples, workers, {
          assignments: [],
          pending: splitEvenly(whole, 1 + (nextId % 9)),
          depth,
          nextId,
        });
  });

/** Watches a round from outside: what it was told, what it has said. */
class Witness {
  round: Round;
  readonly #given: AssignedShard[] = [];
  #nowMs = 0;
  readonly #accounted: AssignedShard[] = [];
  #completed = 0;
  #names = 0;

  constructor(from: RoundStart) {
    const [round, effects] = startRound(from, 0);
    this.round = round;
    this.#observe(effects, null);
  }

  tell(event: RoundEvent): void {
    const shard = 'shard' in event ? this.round.assigned.find((one) => one.id === event.shard) : undefined;
    if (event.type === 'answered' && shard !== undefined) this.#accounted.push(shard);
    const [next, effects] = advanceRound(this.round, event, this.#nowMs);
    this.round = next;
    this.#observe(effects, event.type === 'failed' && shard !== undefined ? shard : null);
  }

  choose([kind, which]: Choice): void {
    const { workers, assigned } = this.round;
    const worker = workers[which % workers.length];
    const shard = assigned[which % assigned.length];
    if (kind === 'join' && workers.length < 8) this.tell(joined(id(`j${this.#names++}`)));
    if (kind === 'leave' && worker !== undefined) this.tell(left(worker));
    if (kind === 'answer' && shard !== undefined) this.tell(answered(shard.id));
    if (kind === 'fail' && shard !== undefined) this.tell(failed(shard.id));
    const second = this.round.superseded[which % this.round.superseded.length];
    if (kind === 'second' && second !== undefined && !this.complete) {
      const { samplesDone } = this.round;
      this.tell(which % 2 === 0 ? answered(second.id) : failed(second.id));
      expect(this.round.samplesDone).toBe(samplesDone);
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

  #observe(effects: readonly RoundEffect[], failure: AssignedShard | null): void {
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

  #check(failure: AssignedShard | null): void {
    const { samples, depth, workers, standby, pending, assigned, superseded, samplesDone } = this.round;
    // Of those over the same samples, one.
    const distinct = assigned.filter((one, i) => assigned.findIndex(({ from }) => from === one.from) === i);
    const parts = [...pending, ...distinct, ...this.#accounted].sort((a, b) => a.from - b.from);
    expect(parts[0]?.from ?? samples).toBe(0);
    expect(parts.map(({ to }) => to)).toEqual([...parts.slice(1).map(({ from }) => from), samples]);
    expect(samplesDone).toBe(this.#accounted.reduce((sum, { from, to }) => sum + to - from, 0));
    expect(this.#completed).toBe(samplesDone === samples ? 1 : 0);
    const load = (worker: WorkerId): number =>
      [...assigned, ...superseded].filter((one) => one.worker === worker).length;
    const present = [...workers, ...standby];
    const isFree = (worker: WorkerId): boolean =>
      load(worker) < depth && !superseded.some((one) => one.worker === worker);
    expect([...assigned, ...superseded].filter(({ worker }) => !present.includes(worker))).toEqual([]);
    // A copy may come on top.
    expect(present.filter((worker) => load(worker) > depth + 1)).toEqual([]);
    const free = workers.filter(isFree);
    for (const shard of pending) {
      const others = workers.filter((worker) => worker !== shard.avoid);
      expect(free.filter((worker) => others.length === 0 || worker !== shard.avoid)).toEqual([]);
      if (workers.length === 0) expect(standby.filter(isFree)).toEqual([]);
    }
    for (const shard of distinct) {
      const same = assigned.filter(({ from }) => from === shard.from);
      const holders = same.map(({ worker }) => worker);
      expect(new Set(holders).size).toBe(holders.length);
      // A copy never stands for what nobody is counted on for.
      expect(same.some(({ isDuplicate }) => !isDuplicate)).toBe(true);
      if (same.every(({ isDuplicate, stragglerAtMs }) => isDuplicate || stragglerAtMs <= this.#nowMs)) {
        expect(present.filter((worker) => load(worker) === 0 && !holders.includes(worker))).toEqual([]);
      }
    }
    if (failure !== null && workers.some((worker) => worker !== failure.worker)) {
      const again = assigned.find(({ from }) => from === failure.from);
      expect(again?.worker).not.toBe(failure.worker);
    }
  }
}

/** Plays a round to its end. */
function play(from: RoundStart, events: readonly Choice[]): void {
  const witness = new Witness(from);
  for (const event of events) {
    if (!witness.complete) witness.choose(event);
  }
  // However it stands, it ends as soon as somebody is there who answers.
  const { workers, standby } = witness.round;
  if (!witness.complete && workers.length + standby.length === 0) witness.tell(joined(id('last')));
  for (let turn = 0; turn < 500 && !witness.complete; turn++) {
    witness.choose(['answer', turn]);
    if (witness.round.assigned.length === 0) witness.choose(['second', turn]);
  }
  expect(witness.complete).toBe(true);
}

describe('whatever happens, a round', () => {
  it('accounts for every sample exactly once, lets nobody idle, and completes once', () => {
    checkProperty(fc.property(starts, choices, play), { seed: 1, numRuns: 500 });
  });

  it('does not give a shard again to the standby worker that failed at it while others are there', () => {
    const [w0, w1, w2, r0, r1] = ['w0', 'w1', 'w2', 'r0', 'r1'].map((name) => id(name)) as [
      ...[WorkerId, WorkerId, WorkerId, WorkerId, WorkerId],
    ];
    const from = start(3, [w0, w1, w2], {
      depth: 1,
      nextId: 1,
      standby: [r0, r1],
      stragglerAfterMs: (worker) => ((worker.codePointAt(1) ?? 0) % 3) * 7 + 1,
      duplicates: [
        { worker: r0, from: 0, to: 1 },
        { worker: w2, from: 1, to: 2 },
        { worker: r1, from: 2, to: 3 },
      ],
    });
    play(from, [
      ['leave', 0],
      ['answer', 373],
      ['leave', 703],
      ['fail', 0],
    ]);
  });
});
