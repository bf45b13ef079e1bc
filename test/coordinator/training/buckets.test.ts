import { describe, expect, it } from 'vitest';
import { Interrupted } from '../../../coordinator/training/errors.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { testRunner } from './step-harness.ts';
import { bytesOf, sendBucket, sendLast, sentTo } from './buckets-harness.ts';

const OFFSET = 4;

describe('gradient buckets', () => {
  it('are announced to workers whose vectors are split', async () => {
    const { join } = testRunner(8, [0, OFFSET]);
    const [ann, bob] = [await join('ann'), await join('bob', { buckets: false })];
    expect(ann.messages('welcome')).toMatchObject([{ bucketOffsets: [0, OFFSET] }]);
    expect(bob.messages('welcome')).toMatchObject([{ bucketOffsets: [0] }]);
  });

  it('become new weights and are sent while the first layers are still being computed', async () => {
    const { join, gradient, summed } = testRunner(8, [0, OFFSET]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const first = await gradient(1);
    await sendBucket(ann, OFFSET, [1, 2]);
    expect(summed).toEqual([]);
    await sendBucket(bob, OFFSET, [10, 20]);
    expect(summed).toEqual([{ part: { from: 4, to: 6 }, sum: [11, 22] }]);
    await sendLast(bob, [1, 2, 3, 4]);
    expect(first.result).toBeNull();
    await sendLast(ann, [10, 20, 30, 40]);
    expect(summed[1]).toEqual({ part: { from: 0, to: 4 }, sum: [11, 22, 33, 44] });
    expect(first.result).toMatchObject({ gradientSum: Float32Array.of(11, 22, 33, 44, 11, 22) });
    await gradient(2);
    for (const client of [ann, bob]) {
      expect(sentTo(client)).toEqual([
        ['weights', 1, 0, [1, 2, 3, 4, 5, 6]],
        'shard',
        ['weights', 2, 4, [15, 16]],
        ['weights', 2, 0, [11, 12, 13, 14]],
        'shard',
      ]);
    }
  });

  it('and whole gradients give the same sum; a worker without buckets is sent unsplit weights', async () => {
    const { join, gradient } = testRunner(8, [0, OFFSET]);
    const [ann, bob] = [await join('ann'), await join('bob', { buckets: false })];
    const first = await gradient(1);
    await sendBucket(ann, OFFSET, [1, 2]);
    await sendLast(ann, [1, 2, 3, 4]);
    await bob.answer({}, [10, 20, 30, 40, 50, 60]);
    expect(first.result).toMatchObject({ gradientSum: Float32Array.of(11, 22, 33, 44, 51, 62) });
    await gradient(2);
    expect(sentTo(ann).slice(2)).toEqual([
      ['weights', 2, 4, [15, 16]],
      ['weights', 2, 0, [11, 12, 13, 14]],
      'shard',
    ]);
    expect(sentTo(bob).slice(2)).toEqual([['weights', 2, 0, [11, 12, 13, 14, 15, 16]], 'shard']);
  });

  it('are summed once although their worker leaves', async () => {
    const { join, gradient } = testRunner(8, [0, OFFSET]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient(1);
    await sendBucket(ann, OFFSET, [1, 1]);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await sendBucket(bob, OFFSET, [10, 10]);
    await sendLast(bob, [10, 10, 10, 10]);
    // Samples of ann's shard, in two buckets or whole.
    await sendBucket(bob, OFFSET, [99, 99]);
    await sendLast(bob, [1, 1, 1, 1]);
    while (round.result === null) await bob.answer({}, [1, 1, 1, 1, 99, 99]);
    expect(round.result).toMatchObject({ gradientSum: Float32Array.of(11, 11, 11, 11, 11, 11) });
  });

  it('do not change the weights that a worker is sent if it joins during the step', async () => {
    const { join, gradient, weights } = testRunner(8, [0, OFFSET]);
    const ann = await join('ann');
    const round = await gradient(1);
    await sendBucket(ann, OFFSET);
    expect([...weights]).toEqual([1, 2, 3, 4, 15, 16]);
    const bob = await join('bob');
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    expect(sentTo(bob)).toEqual([['weights', 1, 0, [1, 2, 3, 4, 5, 6]], 'shard']);
    await sendBucket(bob, OFFSET);
    await sendLast(bob);
    expect(round.result).toMatchObject({ lossSum: 8 });
    await gradient(2);
    expect(sentTo(bob).slice(2)).toEqual([['weights', 2, 0, [11, 12, 13, 14, 15, 16]], 'shard']);
  });

  it('are rolled back if the step cannot be finished', async () => {
    const { join, gradient, weights, abort } = testRunner(8, [0, OFFSET]);
    const ann = await join('ann');
    const round = await gradient(1);
    await sendBucket(ann, OFFSET);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await abort();
    expect(round.result).toBeInstanceOf(Interrupted);
    expect([...weights]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('of a worker that joined during the step are not applied before its whole gradient has arrived', async () => {
    const { join, gradient, weights, abort } = testRunner(8, [0, OFFSET]);
    const bob = await join('bob', { buckets: false });
    const round = await gradient(1);
    const ann = await join('ann');
    await bob.say({ type: 'leaving', reason: 'lid closed' });
    await sendBucket(ann, OFFSET);
    expect([...weights]).toEqual([1, 2, 3, 4, 5, 6]);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await abort();
    expect(round.result).toBeInstanceOf(Interrupted);
    expect([...weights]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it.each([
    ['with NaN', [NaN, 1], CloseCode.notFinite],
    ['of another length', [1], CloseCode.wrongLength],
  ])('are refused %s, and the samples go to another worker', async (_, values, code) => {
    const { join, gradient } = testRunner(8, [0, OFFSET]);
    const [ann, bob] = [await join('ann'), await join('bob', { buckets: false })];
    const round = await gradient(1);
    await sendBucket(ann, OFFSET, values);
    expect(ann.messages('rejected')).toMatchObject([{ code }]);
    await sendLast(ann);
    await bob.answer();
    await bob.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });

  it('are refused for a worker without buckets, and twice', async () => {
    const { join, gradient } = testRunner(8, [0, OFFSET]);
    const [ann, bob] = [await join('ann'), await join('bob', { buckets: false })];
    await gradient(1);
    await sendBucket(bob, OFFSET);
    expect(bob.messages('rejected')).toMatchObject([{ code: CloseCode.unexpected }]);
    await sendBucket(ann, OFFSET);
    await sendBucket(ann, OFFSET);
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.unexpected }]);
  });

  it("are refused for another worker's samples", async () => {
    const { join, gradient } = testRunner(8, [0, OFFSET]);
    const [ann] = [await join('ann'), await join('bob', { buckets: false })];
    await gradient(1);
    await ann.say({ type: 'gradient', step: step(1), shard: shardId(1), offset: OFFSET }, bytesOf([1, 1]));
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.notAssigned }]);
  });

  it('that were skipped must be in the last bucket', async () => {
    const { join, gradient } = testRunner(8, [0, OFFSET]);
    const ann = await join('ann');
    const round = await gradient(1);
    await sendLast(ann);
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.wrongLength }]);
    await ann.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(1) });
  });

  it('begin at one of the announced offsets', async () => {
    const { join, gradient } = testRunner(8, [0, OFFSET]);
    const ann = await join('ann');
    await gradient(1);
    await sendBucket(ann, 3, [1, 1, 1]);
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.unexpected }]);
  });
});
