import { describe, expect, it } from 'vitest';
import { advanceRound, overdueWorkers, startRound } from '../../../coordinator/training/round.ts';
import { splitEvenly } from '../../../coordinator/scheduling/partition.ts';
import { ann, answered, bob, cyd, failed, joined, left, play, start } from './round-harness.ts';

describe('a round', () => {
  it('assigns each worker its shard and is complete with the last answer', () => {
    const { effects } = play(start(8, [ann, bob]), answered(1), answered(0));
    expect(effects).toEqual([['0: [0, 4) to ann', '1: [4, 8) to bob'], [], ['complete']]);
  });

  it('splits the shard of a worker that left for all remaining workers', () => {
    const { effects } = play(start(9, [ann, bob, cyd]), answered(1), left(ann), answered(2));
    expect(effects.slice(2)).toEqual([['3: [0, 1) to bob'], ['4: [1, 3) to cyd']]);
  });

  it('waits for a worker when all have left', () => {
    const { effects, round } = play(start(4, [ann]), left(ann), joined(bob), answered(1));
    expect(effects.slice(1)).toEqual([[], ['1: [0, 4) to bob'], ['complete']]);
    expect(round.samplesDone).toBe(4);
  });

  it('assigns a failed shard to another worker, even if that one is busy', () => {
    const { effects } = play(start(8, [ann, bob]), failed(0), answered(1));
    expect(effects.slice(1)).toEqual([[], ['2: [0, 4) to bob']]);
  });

  it('assigns a failed shard to the same worker if there is no other', () => {
    expect(play(start(4, [ann]), failed(0)).effects[1]).toEqual(['1: [0, 4) to ann']);
    expect(play(start(8, [ann, bob]), failed(0), left(bob)).effects.at(-1)).toContain('2: [4, 8) to ann');
  });

  it('ignores answers and failures of shards that are not assigned', () => {
    const { round } = play(start(8, [ann, bob]), answered(0));
    for (const event of [answered(0), failed(0), answered(99), failed(99)]) {
      expect(advanceRound(round, event, 0)).toEqual([round, []]);
    }
  });

  it('assigns small shards to the least loaded worker, up to its depth', () => {
    const pending = splitEvenly({ from: 0, to: 6 }, 6);
    const { effects } = play(
      start(6, [ann, bob], { assignments: [], pending, depth: 2 }),
      answered(1),
      joined(cyd),
    );
    expect(effects).toEqual([
      ['0: [0, 1) to ann', '1: [1, 2) to bob', '2: [2, 3) to ann', '3: [3, 4) to bob'],
      ['4: [4, 5) to bob'],
      ['5: [5, 6) to cyd'],
    ]);
  });

  it('lists workers that are overdue', () => {
    const [round] = startRound(start(8, [ann, bob]), 1000);
    const [later] = advanceRound(round, answered(0), 5000);
    expect(overdueWorkers(round, 2000, 1000)).toEqual([]);
    expect(overdueWorkers(round, 2001, 1000)).toEqual([ann, bob]);
    expect(overdueWorkers(later, 9000, 1000)).toEqual([bob]);
  });
});

it('a failed shard is assigned to a standby worker if no other is left, and to the same worker without one', () => {
  const from = start(4, [ann], { standby: [bob] });
  expect(play(from, failed(0)).effects[1]).toEqual(['1: [0, 4) to bob']);
  expect(play(start(4, [ann]), failed(0)).effects[1]).toEqual(['1: [0, 4) to ann']);
});
