import { describe, expect, it } from 'vitest';
import { Interrupted } from '../../../coordinator/training/errors.ts';
import type { Client } from '../pool/pool-harness.ts';
import { testRunner } from '../training/step-harness.ts';
import {
  answerAll,
  answerInBuckets,
  CODECS,
  heldBy,
  sentTo,
  OFFSET,
  WITH_BUCKETS,
  WITHOUT,
} from './updates-harness.ts';

describe('updates in buckets', () => {
  const sendEarly = async (client: Client): Promise<void> => {
    const { step, shard } = client.messages('shard').at(-1)!;
    await client.say(
      { type: 'gradient', step, shard, offset: OFFSET },
      new Uint8Array(Float32Array.of(1, 1).buffer),
    );
  };
  const sendLast = (client: Client): Promise<void> => client.answer({}, [1, 1, 1, 1]);

  it('are sent early to workers with buckets, and after the step to the others', async () => {
    const runner = testRunner(8, [0, OFFSET], CODECS);
    const ann = await runner.join('ann', WITH_BUCKETS);
    const bob = await runner.join('bob', WITHOUT);
    const eve = await runner.join('eve', { buckets: true });
    await runner.gradient(1);
    await sendEarly(ann);
    await answerAll(bob, eve);
    expect(sentTo(ann)).toEqual(['weights 1 from 0', 'shard', 'update 2 from 4']);
    await sendLast(ann);
    await runner.gradient(2);
    expect(sentTo(ann).slice(2)).toEqual(['update 2 from 4', 'update 2 from 0', 'shard']);
    expect(sentTo(bob).slice(2)).toEqual(['update 2 from 4', 'update 2 from 0', 'shard']);
    expect(sentTo(eve).slice(2)).toEqual(['weights 2 from 0', 'shard']);
    expect(heldBy(ann)).toEqual(heldBy(bob));
    expect(heldBy(eve)).toEqual(heldBy(bob));
    expect(heldBy(ann).weights).toEqual([11, 12, 13, 14, 15, 16]);
  });

  it('are sent as soon as their gradient is complete, and later to a worker that has joined meanwhile', async () => {
    const offsets = [0, 2, 3, 5];
    const runner = testRunner(8, offsets, CODECS);
    const ann = await runner.join('ann', WITH_BUCKETS);
    const bob = await runner.join('bob', WITH_BUCKETS);
    await runner.gradient(1);
    const joined: Client[] = [];
    await answerInBuckets(ann, offsets);
    await answerInBuckets(bob, offsets, async (offset) => {
      expect(sentTo(ann).at(-1)).toBe(`update 2 from ${offset}`);
      if (offset === 5) joined.push(await runner.join('cyd', WITH_BUCKETS));
    });
    await runner.gradient(2);
    const buckets = ['update 2 from 5', 'update 2 from 3', 'update 2 from 2', 'update 2 from 0', 'shard'];
    expect(sentTo(ann).slice(2)).toEqual(buckets);
    expect(sentTo(joined[0]!)).toEqual(['weights 2 from 0', 'shard']);
    for (const client of [ann, bob, joined[0]!]) await answerInBuckets(client, offsets);
    await runner.gradient(3);
    expect(heldBy(joined[0]!)).toEqual(heldBy(ann));
    expect(heldBy(bob).weights).toEqual([21, 22, 23, 24, 25, 26]);
  });

  it('do not change the weights that a worker is sent if it joins during the step', async () => {
    const runner = testRunner(8, [0, OFFSET], CODECS);
    const ann = await runner.join('ann', WITH_BUCKETS);
    await runner.gradient(1);
    await sendEarly(ann);
    await sendLast(ann);
    await runner.gradient(2);
    const before = heldBy(ann);
    await sendEarly(ann);
    expect(runner.weights[5]).toBe(26);
    const bob = await runner.join('bob', WITH_BUCKETS);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    expect(heldBy(bob)).toEqual(before);
    await sendEarly(bob);
    await sendLast(bob);
    await runner.gradient(3);
    expect(sentTo(bob)).toEqual([
      ...['weights 2 from 0', 'shard', 'update 3 from 4', 'update 3 from 0', 'shard'],
    ]);
    expect(heldBy(bob).weights).toEqual([21, 22, 23, 24, 25, 26]);
  });

  it('are discarded if the next weights must be exact', async () => {
    const runner = testRunner(8, [0, OFFSET], CODECS);
    const ann = await runner.join('ann', WITH_BUCKETS);
    await runner.gradient(1);
    await sendEarly(ann);
    await sendLast(ann);
    await runner.evaluate(2);
    expect(sentTo(ann).slice(2)).toEqual(['update 2 from 4', 'weights 2 from 0', 'shard']);
    await ann.answer();
    await runner.gradient(2);
    await ann.answer();
    await runner.gradient(3);
    expect(sentTo(ann).slice(-2)).toEqual(['update 3 from 0', 'shard']);
    expect(heldBy(ann).weights).toEqual([...runner.weights]);
  });

  it('are rolled back if the step cannot be finished', async () => {
    const runner = testRunner(8, [0, OFFSET], CODECS);
    const ann = await runner.join('ann', WITH_BUCKETS);
    const round = await runner.gradient(1);
    await sendEarly(ann);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await runner.abort();
    expect(round.result).toBeInstanceOf(Interrupted);
    expect([...runner.weights]).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
