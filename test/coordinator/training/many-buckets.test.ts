import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testRunner } from './step-harness.ts';
import { sendBucket, sendLast, sentTo } from './buckets-harness.ts';

describe('gradients in several buckets', () => {
  it('become new weights one by one', async () => {
    const { join, gradient, summed } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const first = await gradient(1);
    await sendBucket(ann, 5, [6]);
    await sendBucket(ann, 3, [4, 5]);
    await sendBucket(bob, 5, [60]);
    expect(summed).toEqual([{ part: { from: 5, to: 6 }, sum: [66] }]);
    expect(sentTo(ann).slice(2)).toEqual([['weights', 2, 5, [16]]]);
    // A worker that joins now has missed that bucket, and is sent all weights after the step.
    const cyd = await join('cyd');
    await sendBucket(bob, 3, [40, 50]);
    await sendBucket(bob, 2, [30]);
    await sendBucket(ann, 2, [3]);
    await sendLast(ann, [1, 2]);
    await sendLast(bob, [10, 20]);
    expect(first.result).toMatchObject({ gradientSum: Float32Array.of(11, 22, 33, 44, 55, 66) });
    await gradient(2);
    for (const client of [ann, bob]) {
      expect(sentTo(client).slice(2)).toEqual([
        ['weights', 2, 5, [16]],
        ['weights', 2, 3, [14, 15]],
        ['weights', 2, 2, [13]],
        ['weights', 2, 0, [11, 12]],
        'shard',
      ]);
    }
    expect(sentTo(cyd)).toEqual([['weights', 2, 0, [11, 12, 13, 14, 15, 16]], 'shard']);
  });

  it('are summed although their worker leaves, each value once', async () => {
    const { join, gradient } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient(1);
    await sendBucket(ann, 5, [1]);
    await sendBucket(ann, 3, [1, 1]);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await sendBucket(bob, 2, [1, 1, 1, 1]);
    await sendLast(bob, [1, 1]);
    while (round.result === null) await bob.answer({}, [1, 1, 1, 99, 99, 99]);
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });

  it.each<[string, [number, number[]][]]>([
    ['at an offset that was not announced', [[4, [1, 1]]]],
    [
      'twice',
      [
        [5, [1]],
        [5, [1]],
      ],
    ],
    ['before the buckets behind it', [[3, [1, 1]]]],
    [
      'of all early values, and then behind it',
      [
        [2, [1, 1, 1, 1]],
        [5, [1]],
      ],
    ],
    ['of another length', [[5, [1, 1]]]],
  ])('are refused %s', async (_, buckets) => {
    const { join, gradient } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob', { buckets: false })];
    const round = await gradient(1);
    for (const [offset, values] of buckets) await sendBucket(ann, offset, values);
    expect(ann.messages('rejected')).toHaveLength(1);
    await sendLast(ann, [1, 1]);
    for (let i = 0; i < 2; i++) await bob.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });

  it('may be merged: one message for several, and the rest in the last one', async () => {
    const { join, gradient } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient(1);
    await sendBucket(ann, 3, [4, 5, 6]);
    await sendLast(ann, [1, 2, 3]);
    await sendBucket(bob, 5, [60]);
    await sendLast(bob, [10, 20, 30, 40, 50]);
    expect(round.result).toMatchObject({ gradientSum: Float32Array.of(11, 22, 33, 44, 55, 66) });
  });

  it('are not followed by a whole gradient', async () => {
    const { join, gradient } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob', { buckets: false })];
    const round = await gradient(1);
    await sendBucket(ann, 5, [1]);
    await ann.answer();
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.wrongLength }]);
    for (let i = 0; i < 2; i++) await bob.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });
});
