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
import { ann, answered, bob, cyd, failed, inShort, left, play, start, tick } from './round-harness.ts';
import type { AssignedShard } from '../../../coordinator/scheduling/partition.ts';

describe('a shard that is late', () => {
  const late = (worker: WorkerId): number => (worker === ann ? 10 : 100);
  const at = (ms: number, round: Round, event: RoundEvent) => advanceRound(round, event, ms);

  it('gets a second owner as soon as somebody is idle; the first answer counts', () => {
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs: late }), 0);
    expect(nextStragglerCheckMs(first, 0)).toBe(10);
    const [waiting, none] = at(10, first, tick);
    expect(none).toEqual([]);
    const [second, given] = at(20, waiting, answered(1));
    expect(inShort(given)).toEqual(['2: [0, 4) to bob']);
    const [third, complete] = at(30, second, answered(2));
    expect(inShort(complete)).toEqual(['complete']);
    expect(third.superseded).toMatchObject([{ id: 0, worker: ann }]);
    expect(at(40, third, answered(0))).toEqual([{ ...third, superseded: [] }, []]);
  });

  it('gets a third one when the second is late too, and none twice', () => {
    const [first] = startRound(start(6, [ann, bob, cyd], { stragglerAfterMs: late }), 0);
    const [second] = at(20, at(20, first, answered(1))[0], answered(2));
    expect(second.assigned.map(({ worker }) => worker)).toEqual([ann, bob]);
    expect(at(119, second, tick)[1]).toEqual([]);
    const [third, given] = at(120, second, tick);
    expect(inShort(given)).toEqual(['4: [0, 2) to cyd']);
    expect(at(900, third, tick)[1]).toEqual([]);
  });

  it('is not given out again when one of its owners leaves or fails', () => {
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs: late }), 0);
    const [second] = at(20, first, answered(1));
    expect(at(30, second, left(ann))[1]).toEqual([]);
    expect(at(30, second, failed(2))[0].pending).toEqual([]);
    const [alone, given] = at(40, at(30, second, left(ann))[0], left(bob));
    expect([given, alone.pending]).toEqual([[], [{ from: 0, to: 4, avoid: null }]]);
  });

  it('goes to the reserve if nobody else is idle, which otherwise gets nothing', () => {
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs: late, standby: [cyd] }), 0);
    const [second] = at(5, first, left(bob));
    expect(second.pending).toHaveLength(1);
    expect(inShort(at(10, second, tick)[1])).toEqual(['2: [0, 4) to cyd']);
    expect(inShort(at(6, second, left(ann))[1])).toEqual(['2: [0, 4) to cyd']);
  });

  it('does not wait for a worker that hangs with all of the batch: standby workers get the next step at once', () => {
    const [first] = startRound(start(8, [ann], { standby: [bob, cyd] }), 0);
    const hanging = first.assigned[0]!;
    const next = start(8, [ann], {
      standby: [bob, cyd],
      assignments: [],
      pending: [{ from: 0, to: 8 }],
      superseded: [hanging],
      nextId: 5,
    });
    expect(inShort(startRound(next, 50)[1])).toEqual(['5: [0, 8) to bob']);
  });

  it('whose forecast could not be made at first is late by one that is made later', () => {
    let ms = Infinity;
    const [first] = startRound(start(8, [ann, bob], { stragglerAfterMs: () => ms }), 0);
    const [second] = at(50, first, answered(1));
    expect(nextStragglerCheckMs(second, 50)).toBeNull();
    ms = 40;
    expect(inShort(at(60, second, tick)[1])).toEqual(['2: [0, 4) to bob']);
  });
});

describe('a copy', () => {
  const duplicates = [{ worker: cyd, from: 0, to: 4 }];

  it('counts if it is first, and is waited for by nobody', () => {
    const from = start(8, [ann, bob], { duplicates, standby: [cyd] });
    const { effects, round } = play(from, answered(2), answered(1));
    expect(effects).toEqual([['0: [0, 4) to ann', '1: [4, 8) to bob', '2: [0, 4) to cyd'], [], ['complete']]);
    expect(round.superseded.map(({ id: shard }) => shard)).toEqual([0]);
    expect(play(from, answered(0), answered(1)).round.superseded.map(({ id: shard }) => shard)).toEqual([2]);
  });

  it('stands in for what it is a copy of, and is late at once', () => {
    const { effects } = play(start(8, [ann, bob], { duplicates, standby: [cyd] }), answered(1), left(ann));
    expect(effects.at(-1)).toEqual(['3: [0, 4) to bob']);
  });
});

it('whoever is busy with what nobody needs any more gets nothing, until it has answered', () => {
  const spare: AssignedShard = {
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
    superseded: [spare],
  });
  for (const depth of [1, 2]) {
    const alone = { ...from, depth, workers: [ann], assignments: [], pending: [{ from: 0, to: 8 }] };
    expect(play(alone, answered(3), failed(3)).effects).toEqual([[], ['4: [0, 8) to ann'], []]);
  }
  const { effects } = play(from, answered(3), failed(3));
  expect(effects).toEqual([['4: [4, 8) to bob'], ['5: [0, 4) to ann'], []]);
  expect(overdueWorkers(startRound(from, 90)[0], 100, 50)).toEqual([ann]);
});
