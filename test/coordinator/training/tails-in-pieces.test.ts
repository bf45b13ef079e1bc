import { describe, expect, it } from 'vitest';
import { Audits } from '../../../coordinator/training/audit/audits.ts';
import { CloseCode } from '../../../shared/protocol/close-code.ts';
import type { Client } from '../members/pool-harness.ts';
import { testRunner } from './runner-harness.ts';
import { bytesOf, sendHead, sendTail, sentTo } from './tails-harness.ts';

describe('tails', () => {
  it('in pieces become new weights piece by piece', async () => {
    const { join, gradient, summed } = testRunner(8, [2, 3, 5]);
    const [ann, bob] = [await join('ann', { tails: true }), await join('bob', { tails: true })];
    const first = await gradient(1);
    await sendTail(ann, [6], 2);
    await sendTail(ann, [4, 5], 1);
    await sendTail(bob, [60], 2);
    expect(summed).toEqual([{ part: { from: 5, to: 6 }, sum: [66] }]);
    expect(sentTo(ann).slice(2)).toEqual([['weightsTail', 2, [16]]]);
    // Who joins now has missed that piece, and gets all when the step is over.
    const cyd = await join('cyd', { tails: true });
    await sendTail(bob, [40, 50], 1);
    await sendTail(bob, [30], 0);
    await sendTail(ann, [3], 0);
    await sendHead(ann, [1, 2]);
    await sendHead(bob, [10, 20]);
    expect(first.result).toMatchObject({ gradientSum: Float32Array.of(11, 22, 33, 44, 55, 66) });
    await gradient(2);
    for (const client of [ann, bob]) {
      expect(sentTo(client).slice(2)).toEqual([
        ['weightsTail', 2, [16]],
        ['weightsTail', 2, [14, 15]],
        ['weightsTail', 2, [13]],
        ['weights', 2, [11, 12]],
        'shard',
      ]);
      expect(client.messages('weightsTail').map(({ piece }) => piece)).toEqual([2, 1, 0]);
    }
    expect(sentTo(cyd)).toEqual([['weights', 2, [11, 12, 13, 14, 15, 16]], 'shard']);
  });

  it('in pieces count although their worker is lost, each value once', async () => {
    const { join, gradient } = testRunner(8, [2, 3, 5]);
    const [ann, bob] = [await join('ann', { tails: true }), await join('bob', { tails: true })];
    const round = await gradient(1);
    await sendTail(ann, [1], 2);
    await sendTail(ann, [1, 1], 1);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await sendTail(bob, [1, 1, 1, 1]);
    await sendHead(bob, [1, 1]);
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
    const { join, gradient } = testRunner(8, [2, 3, 5]);
    const [ann, bob] = [await join('ann', { tails: true }), await join('bob', { tails: false })];
    const round = await gradient(1);
    for (const [values, piece] of pieces) await sendTail(ann, values, piece);
    expect(ann.messages('rejected')).toHaveLength(1);
    await sendHead(ann, [1, 1]);
    for (let i = 0; i < 2; i++) await bob.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });

  it('are not followed by a whole gradient, which nobody could compare with anything', async () => {
    const { join, gradient } = testRunner(8, [2, 3, 5]);
    const [ann, bob] = [await join('ann', { tails: true }), await join('bob', { tails: false })];
    const round = await gradient(1);
    await sendTail(ann, [1], 2);
    await ann.answer();
    expect(ann.messages('rejected')).toMatchObject([
      { code: CloseCode.unexpected, reason: expect.stringMatching(/behind a part of its tail/) as string },
    ]);
    for (let i = 0; i < 2; i++) await bob.answer();
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
  });

  it('of a copy that nobody waits for are heard by an audit, also while something else is done', async () => {
    const wrong: string[] = [];
    const audits = new Audits({
      ...{ fraction: 1, random: () => 0 },
      onWrong: (worker) => wrong.push(worker),
      onDispute: (...workers) => wrong.push(...workers),
    });
    const { join, gradient, evaluate } = testRunner(8, [2, 3, 5], undefined, audits);
    const [ann, bob] = [await join('ann', { tails: true }), await join('bob', { tails: true })];
    const round = await gradient(1);
    const copies = [ann, bob].filter((client) => client.messages('shard').length > 1);
    const [audited] = copies.map((client) => client.messages('shard').at(-1)!);
    expect(audited).toBeDefined();
    for (const client of [ann, bob]) {
      const { step: at, shard, samples } = client.messages('shard')[0]!;
      const sums = { samples, lossSum: samples, correct: 1, computeMs: 1 };
      await client.say({ type: 'gradient', step: at, shard, ...sums }, bytesOf([1, 1, 1, 1, 1, 1]));
    }
    expect(round.result).not.toBeNull();
    await evaluate(2);
    const [copier] = copies as [Client];
    const say = (values: readonly number[], piece: number): Promise<void> =>
      copier.say(
        { type: 'gradientTail', step: audited!.step, shard: audited!.shard, piece },
        bytesOf(values),
      );
    for (const [values, piece] of [
      [[9], 2],
      [[9, 9], 1],
      [[9], 0],
    ] as const)
      await say(values, piece);
    expect(copier.messages('rejected')).toEqual([]);
    const { step: at, shard, samples } = audited!;
    const sums = { samples, lossSum: samples, correct: 1, computeMs: 1 };
    await copier.say({ type: 'gradient', step: at, shard, head: true, ...sums }, bytesOf([9, 9]));
    expect(wrong).toHaveLength(2);
    expect(copier.messages('rejected')).toEqual([]);
  });

  it('that are honest and far too large end nobody, in pieces or whole', async () => {
    const { join, gradient, pool } = testRunner(9, [2, 3, 5]);
    const ann = await join('ann', { tails: true });
    const [bob, cyd] = [await join('bob', { tails: false }), await join('cyd', { tails: false })];
    const all = [ann, bob, cyd];
    for (let number = 1; number <= 20; number++) {
      await gradient(number);
      for (const client of all) await client.answer();
    }
    const round = await gradient(21);
    await sendTail(ann, [100], 2);
    const large = [100, 100, 100, 100, 100, 100];
    for (let turn = 0; turn < 9 && round.result === null; turn++) {
      for (const client of [bob, cyd, ann]) await client.answer({}, large);
    }
    expect(round.result).toMatchObject({ gradientSum: new Float32Array(6).fill(300) });
    expect(pool.members.size).toBe(3);
  });

  it('that lack a piece are not followed by a head', async () => {
    const { join, gradient } = testRunner(8, [2, 3, 5]);
    const ann = await join('ann', { tails: true });
    await gradient(1);
    await sendTail(ann, [1], 2);
    await sendTail(ann, [1, 1], 1);
    await sendHead(ann, [1, 1]);
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.unexpected }]);
  });

  it('that are far too large in their second piece count no more either', async () => {
    const { join, gradient } = testRunner(9, [2, 3, 5]);
    const [ann, bob] = [await join('ann', { tails: true }), await join('bob', { tails: false })];
    const cyd = await join('cyd', { tails: false });
    for (let number = 1; number <= 20; number++) {
      await gradient(number);
      for (const client of [ann, bob, cyd]) await client.answer();
    }
    const round = await gradient(21);
    await sendTail(ann, [1], 2);
    await sendTail(ann, [1e6, 1], 1);
    await sendTail(ann, [1], 0);
    for (const client of [bob, cyd, bob]) await client.answer({}, [2, 2, 2, 2, 2, 2]);
    expect(round.result).toMatchObject({ gradientSum: Float32Array.of(6, 6, 6, 6, 6, 5) });
  });
});
