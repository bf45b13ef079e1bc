import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { testRunner } from './step-harness.ts';
import { sendBucket, sendLast, sentTo } from './buckets-harness.ts';

describe('tails', () => {
  it('in pieces become new weights piece by piece', async () => {
    const { join, gradient, summed } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const first = await gradient(1);
    await sendBucket(ann, 5, [6]);
    await sendBucket(ann, 3, [4, 5]);
    await sendBucket(bob, 5, [60]);
    expect(summed).toEqual([{ part: { from: 5, to: 6 }, sum: [66] }]);
    expect(sentTo(ann).slice(2)).toEqual([['weights', 2, 5, [16]]]);
    // Who joins now has missed that piece, and gets all when the step is over.
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
      expect(client.messages('weightsTail').map(({ piece }) => piece)).toEqual([2, 1, 0]);
    }
    expect(sentTo(cyd)).toEqual([['weights', 2, 0, [11, 12, 13, 14, 15, 16]], 'shard']);
  });

  it('in pieces count although their worker is lost, each value once', async () => {
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

  it.each([
    ['that there is not', [[[1], 3]]],
    [
      'twice',
      [
        [[1], 2],
        [[1], 2],
      ],
    ],
    ['before those behind it', [[[1, 1], 1]]],
    [
      'behind the whole tail',
      [
        [[1, 1, 1, 1], undefined],
        [[1], 2],
      ],
    ],
    ['of another length', [[[1, 1], 2]]],
  ] as [string, [number[], number | undefined][]][])('are refused a piece %s', async (_, pieces) => {
    const { join, gradient } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient(1);
    for (const [values, piece] of pieces) await sendTail(ann, values, piece);
    expect(ann.messages('rejected')).toHaveLength(1);
    await sendLast(ann, [1, 1]);
    for (let i = 0; i < 2; i++) await bob.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });

  it('are not followed by a whole gradient, which nobody could compare with anything', async () => {
    const { join, gradient } = testRunner(8, [0, 2, 3, 5]);
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient(1);
    await sendBucket(ann, 5, [1]);
    await ann.answer();
    expect(ann.messages('rejected')).toMatchObject([
      { code: CloseCode.unexpected, reason: expect.stringMatching(/behind a part of its tail/) as string },
    ]);
    for (let i = 0; i < 2; i++) await bob.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });

  it('that lack a piece are not followed by a head', async () => {
    const { join, gradient } = testRunner(8, [0, 2, 3, 5]);
    const ann = await join('ann');
    await gradient(1);
    await sendBucket(ann, 5, [1]);
    await sendBucket(ann, 3, [1, 1]);
    await sendLast(ann, [1, 1]);
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.unexpected }]);
  });
});
