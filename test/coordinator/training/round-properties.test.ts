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

/** Next event of a property test; the number chooses a worker or a shard. */
type Choice = readonly [
  kind: 'join' | 'leave' | 'answer' | 'fail' | 'second' | 'time' | 'noise',
  which: number,
];

const kinds = ['join', 'leave', 'answer', 'answer', 'fail', 'second', 'time', 'noise'] as const;
const choices = fc.array(fc.tuple(fc.constantFrom<Choice[0]>(...kinds), fc.nat(1000)), { maxLength: 60 });
const starts = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.nat(4), fc.integer({ min: 1, max: 3 }), fc.boolean(), fc.nat(50))
  .map(([samples, count, depth, isPartitioned, nextId]) => {
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
    return isPartitioned
      ? start(samples, workers, { depth, nextId: nextId + 1, stragglerAfterMs, standby, duplicates })
      : start(samples, workers, {
          assignments: [],
          pending: splitEvenly(whole, 1 + (nextId % 9)),
          depth,
          nextId,
        });
  });

/** Advances a round and checks its invariants after each event. */
class RoundChecker {
  round: Round;
  readonly #assigned: AssignedShard[] = [];
  #nowMs = 0;
  readonly #answered: AssignedShard[] = [];
  #completed = 0;
  #names = 0;

  constructor(from: RoundStart) {
    const [round, effects] = startRound(from, 0);
    this.round = round;
    this.#observe(effects, null);
  }

  advance(event: RoundEvent): void {
    const shard = 'shard' in event ? this.round.assigned.find((one) => one.id === event.shard) : undefined;
    if (event.type === 'answered' && shard !== undefined) this.#answered.push(shard);
    const [next, effects] = advanceRound(this.round, event, this.#nowMs);
    this.round = next;
    this.#observe(effects, event.type === 'failed' && shard !== undefined ? shard : null);
  }

  choose([kind, which]: Choice): void {
    const { workers, assigned } = this.round;
    const worker = workers[which % workers.length];
    const shard = assigned[which % assigned.length];
    if (kind === 'join' && workers.length < 8) this.advance(joined(id(`j${this.#names++}`)));
    if (kind === 'leave' && worker !== undefined) this.advance(left(worker));
    if (kind === 'answer' && shard !== undefined) this.advance(answered(shard.id));
    if (kind === 'fail' && shard !== undefined) this.advance(failed(shard.id));
    const second = this.round.superseded[which % this.round.superseded.length];
    if (kind === 'second' && second !== undefined && !this.complete) {
      const { samplesDone } = this.round;
      this.advance(which % 2 === 0 ? answered(second.id) : failed(second.id));
      expect(this.round.samplesDone).toBe(samplesDone);
    }
    if (kind === 'time') {
      this.#nowMs += which % 40;
      this.advance(tick);
    }
    if (kind === 'noise') this.advance(which % 2 === 0 ? answered(which + 1000) : left(id('unknown')));
  }

  get complete(): boolean {
    return this.#completed > 0;
  }

  #observe(effects: readonly RoundEffect[], failure: AssignedShard | null): void {
    for (const effect of effects) {
      if (effect.type === 'complete') this.#completed++;
      else {
        const before = this.#assigned.at(-1)?.id ?? -1;
        expect(effect.shard.id).toBeGreaterThan(before);
        this.#assigned.push(effect.shard);
      }
    }
    this.#check(failure);
  }

  #check(failure: AssignedShard | null): void {
    const { samples, depth, workers, standby, pending, assigned, superseded, samplesDone } = this.round;
    // One shard of each range.
    const distinct = assigned.filter((one, i) => assigned.findIndex(({ from }) => from === one.from) === i);
    const parts = [...pending, ...distinct, ...this.#answered].sort((a, b) => a.from - b.from);
    expect(parts[0]?.from ?? samples).toBe(0);
    expect(parts.map(({ to }) => to)).toEqual([...parts.slice(1).map(({ from }) => from), samples]);
    expect(samplesDone).toBe(this.#answered.reduce((sum, { from, to }) => sum + to - from, 0));
    expect(this.#completed).toBe(samplesDone === samples ? 1 : 0);
    const load = (worker: WorkerId): number =>
      [...assigned, ...superseded].filter((one) => one.worker === worker).length;
    const present = [...workers, ...standby];
    const isFree = (worker: WorkerId): boolean =>
      load(worker) < depth && !superseded.some((one) => one.worker === worker);
    expect([...assigned, ...superseded].filter(({ worker }) => !present.includes(worker))).toEqual([]);
    // A duplicate may exceed the depth.
    expect(present.filter((worker) => load(worker) > depth + 1)).toEqual([]);
    const free = workers.filter(isFree);
    for (const shard of pending) {
      const others = workers.filter((worker) => worker !== shard.avoid);
      expect(free.filter((worker) => others.length === 0 || worker !== shard.avoid)).toEqual([]);
      if (workers.length === 0) expect(standby.filter(isFree)).toEqual([]);
    }
    for (const shard of distinct) {
      const same = assigned.filter(({ from }) => from === shard.from);
      const assignees = same.map(({ worker }) => worker);
      expect(new Set(assignees).size).toBe(assignees.length);
      // Each range has a primary assignment.
      expect(same.some(({ isDuplicate }) => !isDuplicate)).toBe(true);
      if (same.every(({ isDuplicate, stragglerAtMs }) => isDuplicate || stragglerAtMs <= this.#nowMs)) {
        expect(present.filter((worker) => load(worker) === 0 && !assignees.includes(worker))).toEqual([]);
      }
    }
    if (failure !== null && workers.some((worker) => worker !== failure.worker)) {
      const retried = assigned.find(({ from }) => from === failure.from);
      expect(retried?.worker).not.toBe(failure.worker);
    }
  }
}

/** Plays a round to its end. */
function play(from: RoundStart, events: readonly Choice[]): void {
  const checker = new RoundChecker(from);
  for (const event of events) {
    if (!checker.complete) checker.choose(event);
  }
  // Every round ends once there is a worker that answers.
  const { workers, standby } = checker.round;
  if (!checker.complete && workers.length + standby.length === 0) checker.advance(joined(id('last')));
  for (let turn = 0; turn < 500 && !checker.complete; turn++) {
    checker.choose(['answer', turn]);
    if (checker.round.assigned.length === 0) checker.choose(['second', turn]);
  }
  expect(checker.complete).toBe(true);
}

describe('in any order of events, a round', () => {
  it('counts every sample exactly once, leaves no worker idle, and completes once', () => {
    checkProperty(fc.property(starts, choices, play), { seed: 1, numRuns: 500 });
  });

  it('does not assign a shard again to the standby worker that failed at it while there are others', () => {
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
