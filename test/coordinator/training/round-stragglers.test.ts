import { describe, expect, it } from 'vitest';
import {
  advanceRound,
  overdueWorkers,
  startRound,
  type Round,
  type RoundEvent,
  nextStragglerCheckMs,
} from '../../../coordinator/training/round.ts';
import type { ShardId, WorkerId } from '../../../shared/protocol/messages.ts';
import { ann, answered, bob, cyd, failed, effectLabels, left, play, start, tick } from './round-harness.ts';
import type { AssignedShard } from '../../../coordinator/scheduling/partition.ts';

describe('a straggler', () => {
  const stragglerAfterMs = (worker: WorkerId): number => (worker === ann ? 10 : 100);
  const at = (ms: number, round: Round, event: RoundEvent) => advanceRound(round, event, ms);

  it('is assigned to a second worker as soon as one is idle; the first answer counts', () => {
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs }), 0);
    expect(nextStragglerCheckMs(first, 0)).toBe(10);
    const [unchanged, none] = at(10, first, tick);
    expect(none).toEqual([]);
    const [second, assigned] = at(20, unchanged, answered(1));
    expect(effectLabels(assigned)).toEqual(['2: [0, 4) to bob']);
    const [third, complete] = at(30, second, answered(2));
    expect(effectLabels(complete)).toEqual(['complete']);
    expect(third.superseded).toMatchObject([{ id: 0, worker: ann }]);
    expect(at(40, third, answered(0))).toEqual([{ ...third, superseded: [] }, []]);
  });

  it('is assigned to a third worker when the second is a straggler too, and to no worker twice', () => {
    const [first] = startRound(start(6, [ann, bob, cyd], { stragglerAfterMs }), 0);
    const [second] = at(20, at(20, first, answered(1))[0], answered(2));
    expect(second.assigned.map(({ worker }) => worker)).toEqual([ann, bob]);
    expect(at(119, second, tick)[1]).toEqual([]);
    const [third, assigned] = at(120, second, tick);
    expect(effectLabels(assigned)).toEqual(['4: [0, 2) to cyd']);
    expect(at(900, third, tick)[1]).toEqual([]);
  });

  it('is not assigned again when one of its workers leaves or fails', () => {
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs }), 0);
    const [second] = at(20, first, answered(1));
    expect(at(30, second, left(ann))[1]).toEqual([]);
    expect(at(30, second, failed(2))[0].pending).toEqual([]);
    const [empty, assigned] = at(40, at(30, second, left(ann))[0], left(bob));
    expect([assigned, empty.pending]).toEqual([[], [{ from: 0, to: 4, avoid: null }]]);
  });

  it('is assigned to a standby worker only if no other worker is idle', () => {
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs, standby: [cyd] }), 0);
    const [second] = at(5, first, left(bob));
    expect(second.pending).toHaveLength(1);
    expect(effectLabels(at(10, second, tick)[1])).toEqual(['2: [0, 4) to cyd']);
    expect(effectLabels(at(6, second, left(ann))[1])).toEqual(['2: [0, 4) to cyd']);
  });

  it('with the whole batch does not delay the next step: a standby worker is assigned it at once', () => {
    const [first] = startRound(start(8, [ann], { standby: [bob, cyd] }), 0);
    const hanging = first.assigned[0]!;
    const next = start(8, [ann], {
      standby: [bob, cyd],
      assignments: [],
      pending: [{ from: 0, to: 8 }],
      superseded: [hanging],
      nextId: 5,
    });
    expect(effectLabels(startRound(next, 50)[1])).toEqual(['5: [0, 8) to bob']);
  });

  it('is found by a later forecast if none was possible at first', () => {
    let ms = Infinity;
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs: () => ms }), 0);
    const [second] = at(50, first, answered(1));
    expect(nextStragglerCheckMs(second, 50)).toBeNull();
    ms = 40;
    expect(effectLabels(at(60, second, tick)[1])).toEqual(['2: [0, 4) to bob']);
  });
});

describe('a speculative duplicate', () => {
  const duplicates = [{ worker: cyd, from: 0, to: 4 }];

  it('counts if it is answered first, and delays no round', () => {
    const from = start(8, [ann, bob], { duplicates, standby: [cyd] });
    const { effects, round } = play(from, answered(2), answered(1));
    expect(effects).toEqual([['0: [0, 4) to ann', '1: [4, 8) to bob', '2: [0, 4) to cyd'], [], ['complete']]);
    expect(round.superseded.map(({ id: shard }) => shard)).toEqual([0]);
    expect(play(from, answered(0), answered(1)).round.superseded.map(({ id: shard }) => shard)).toEqual([2]);
  });

  it('becomes the primary assignment if the other worker leaves, already a straggler', () => {
    const { effects } = play(start(8, [ann, bob], { duplicates, standby: [cyd] }), answered(1), left(ann));
    expect(effects.at(-1)).toEqual(['3: [0, 4) to bob']);
  });
});

it('a worker that is busy with a superseded shard is assigned nothing before it has answered', () => {
  const superseded: AssignedShard = {
    id: 3 as ShardId,
    worker: ann,
    from: 0,
    to: 9,
    assignedAtMs: 0,
    stragglerAtMs: 0,
    isDuplicate: false,
  };
  const from = start(8, [ann, bob], {
    assignments: [{ worker: bob, from: 4, to: 8 }],
    pending: [{ from: 0, to: 4 }],
    nextId: 4,
    superseded: [superseded],
  });
  for (const depth of [1, 2]) {
    const alone = { ...from, depth, workers: [ann], assignments: [], pending: [{ from: 0, to: 8 }] };
    expect(play(alone, answered(3), failed(3)).effects).toEqual([[], ['4: [0, 8) to ann'], []]);
  }
  const { effects } = play(from, answered(3), failed(3));
  expect(effects).toEqual([['4: [4, 8) to bob'], ['5: [0, 4) to ann'], []]);
  expect(overdueWorkers(startRound(from, 90)[0], 100, 50)).toEqual([ann]);
});
