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
    const runner = testRunner(1100);
    const [ann, bob] = [await runner.join('ann'), await runner.join('bob')];
    const round = await runner.evaluate();
    expect([ann, bob].map((client) => client.messages('shard').length)).toEqual([2, 2]);
    const [first, second] = ann.messages('shard');
    for (const shard of [first!, second!]) await ann.answer({ shard: shard.shard, samples: shard.samples });
    await ann.answer();
    for (const shard of bob.messages('shard'))
      await bob.answer({ shard: shard.shard, samples: shard.samples });
    expect(round.result).toEqual({ lossSum: 1100, metrics: [5] });
    expect(runner.left()).toEqual(NOTHING_LEFT);
  });

  it('that cannot report its progress ends, and assigns no more shards', async () => {
    const runner = testRunner(1100);
    const [ann, bob] = [await runner.join('ann'), await runner.join('bob')];
    const round = await runner.evaluate(1, (done) => {
      if (done > 0) throw new Error('The report is closed.');
    });
    const [first] = ann.messages('shard');
    await ann.answer({ shard: first!.shard, samples: first!.samples });
    expect(round.result).toEqual(new Error('The report is closed.'));
    expect(runner.left()).toEqual(NOTHING_LEFT);
    const shards = bob.messages('shard');
    for (const { shard, samples } of shards) await bob.answer({ shard, samples });
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    expect(bob.messages('shard')).toEqual(shards);
  });
});
