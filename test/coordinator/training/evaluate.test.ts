import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testRunner } from './step-harness.ts';

const NOTHING_LEFT = [0, 0];

describe('a worker that does not answer its shard', () => {
  it('is dropped after the deadline, and its samples are assigned to another worker', async () => {
    const { join, gradient, clock } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await bob.answer();
    for (let s = 0; s <= 31; s++) {
      await clock.advance(1000);
      await ann.say({ type: 'pong', id: s });
      await bob.say({ type: 'pong', id: s });
    }
    expect(ann.closed).toEqual({ code: CloseCode.timeout, reason: 'A shard was not answered in time.' });
    await bob.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });
});

describe('an evaluation', () => {
  it('assigns small shards to idle workers, two at a time, and sums the whole split', async () => {
    const { join, evaluate, left } = testRunner(1100);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await evaluate();
    expect([ann, bob].map((client) => client.messages('shard').length)).toEqual([2, 2]);
    const [first, second] = ann.messages('shard');
    for (const shard of [first!, second!]) await ann.answer({ shard: shard.shard, samples: shard.samples });
    await ann.answer();
    for (const shard of bob.messages('shard'))
      await bob.answer({ shard: shard.shard, samples: shard.samples });
    expect(round.result).toEqual({ lossSum: 1100, correct: 5 });
    expect(left).toEqual(NOTHING_LEFT);
  });
});
