import { describe, expect, it } from 'vitest';
import { Interrupted, TrainingDiverged } from '../../../coordinator/training/errors.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { shardId, step } from '../../shared/protocol/examples.ts';
import { testRunner } from './step-harness.ts';

const nothingLeft = [0, 0];

describe('a round of gradients', () => {
  it('sends everybody the same weights and their share of the batch, and sums what comes back', async () => {
    const { join, gradient, left } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    for (const client of [ann, bob]) expect(client.types.slice(1)).toEqual(['weights', 'shard']);
    const [weights, shard] = bob.received.slice(1);
    expect([...new Float32Array(weights!.payload.buffer, weights!.payload.byteOffset)]).toEqual([
      1, 2, 3, 4, 5, 6,
    ]);
    const { sampleNumbers, images, labels } = viewShard(shard!.payload, 4, [2, 1, 1]);
    expect([...sampleNumbers]).toEqual([3, 2, 1, 0]);
    expect([...images]).toEqual([6, 7, 4, 5, 2, 3, 0, 1]);
    expect([...labels]).toEqual([1, 0, 1, 0]);

    await bob.answer({ lossSum: 10, correct: 3 }, [10, 20, 30, 40, 50, 60]);
    expect(round.result).toBeNull();
    await ann.answer({ lossSum: 2.5, correct: 1 }, [1, 2, 3, 4, 5, 6]);
    expect(round.result).toEqual({
      lossSum: 12.5,
      correct: 4,
      gradientSum: Float32Array.of(11, 22, 33, 44, 55, 66),
    });
    expect(left).toEqual(nothingLeft);
  });

  it('does not send weights again that a worker has, and does for the next step', async () => {
    const { join, gradient } = testRunner();
    const ann = await join('ann');
    await gradient(1);
    await ann.say({ type: 'failed', step: step(1), shard: shardId(0), reason: 'once' });
    await ann.answer();
    await gradient(2);
    expect(ann.types.slice(1)).toEqual(['weights', 'shard', 'rejected', 'shard', 'weights', 'shard']);
    expect(ann.messages('weights').map((message) => message.step)).toEqual([1, 2]);
  });

  it('goes on with those that remain when a worker leaves', async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await bob.answer();
    await bob.answer();
    expect(round.result).toMatchObject({ lossSum: 8, gradientSum: new Float32Array(6).fill(2) });
  });

  it('waits when everybody leaves, says so, and goes on with the one who returns', async () => {
    const { join, gradient, waits, left } = testRunner();
    const ann = await join('ann');
    const round = await gradient();
    ann.end.terminate();
    const again = await join('ann');
    expect(waits).toEqual([true, false]);
    expect(again.messages('shard')).toMatchObject([{ samples: 8 }]);
    await again.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
    expect(left).toEqual(nothingLeft);
  });

  it('begins even if nobody is there yet', async () => {
    const { join, gradient, waits } = testRunner();
    const round = await gradient();
    expect(waits).toEqual([true]);
    await (await join('ann')).answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });

  it('never uses the number of a shard twice', async () => {
    const { join, gradient } = testRunner();
    const ann = await join('ann');
    for (let k = 0; k < 4; k++) {
      await gradient(k);
      await ann.answer();
    }
    expect(ann.messages('shard').map(({ shard }) => shard)).toEqual([0, 1, 2, 3]);
  });
});

describe('an answer that does not count', () => {
  it('changes nothing if it comes twice, or late', async () => {
    const { join, gradient, pool } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const first = await gradient(1);
    await ann.answer({}, [1, 1, 1, 1, 1, 1]);
    await ann.answer({}, [9, 9, 9, 9, 9, 9]);
    expect(first.result).toBeNull();
    await bob.answer();
    expect(first.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });

    // As after an evaluation, which has the same weights as the step that follows.
    const second = await gradient(1);
    await ann.answer({ shard: shardId(0) }, [9, 9, 9, 9, 9, 9]);
    await ann.answer();
    await bob.answer();
    expect(second.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
    expect([...pool.workers.values()].map(({ health }) => health.strikes)).toEqual([0, 0]);
  });

  it("is refused if it is for somebody else's samples", async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await ann.answer({ shard: bob.messages('shard')[0]!.shard });
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.notAssigned, shard: 1 }]);
    await ann.answer();
    await bob.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });

  it.each([
    ['a gradient of another length', {}, [1, 2], CloseCode.wrongLength],
    ['a gradient with NaN', {}, [1, NaN, 1, 1, 1, 1], CloseCode.notFinite],
    ['more correct than samples', { correct: 5 }, undefined, CloseCode.notFinite],
    ['the number of another step', { step: step(0) }, undefined, CloseCode.notAssigned],
    ['another number of samples', { samples: 3 }, undefined, CloseCode.notAssigned],
    ['an evaluation', { type: 'evaluation' }, undefined, CloseCode.unexpected],
  ] as const)('is refused with %s, and its samples go to somebody else', async (_, more, values, code) => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await ann.answer(more, values);
    expect(ann.messages('rejected')).toMatchObject([{ code }]);
    await bob.answer();
    expect(bob.messages('shard').map(({ samples }) => samples)).toEqual([4, 4]);
    await bob.answer();
    expect(round.result).toMatchObject({ lossSum: 8, gradientSum: new Float32Array(6).fill(2) });
  });

  it('makes its sender go after the third, and the round goes on without it', async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    for (let k = 0; k < 3; k++) {
      const round = await gradient(k);
      await ann.answer({ samples: 1 });
      await bob.answer();
      await bob.answer();
      expect(round.result).toMatchObject({ lossSum: 8 });
    }
    expect(ann.closed?.code).toBe(CloseCode.notAssigned);
    expect(bob.closed).toBeNull();
  });
});

describe('a round that cannot go on', () => {
  const nan = [NaN, 1, 1, 1, 1, 1];

  /** Three workers whose answers have counted before. */
  async function provenWorkers() {
    const runner = testRunner(9);
    const clients = [await runner.join('ann'), await runner.join('bob'), await runner.join('cyd')] as const;
    await runner.gradient(6);
    for (const client of clients) await client.answer();
    return { runner, clients };
  }

  it('is diverged when nobody gets a finite gradient who got one before', async () => {
    const { runner, clients } = await provenWorkers();
    const round = await runner.gradient(7);
    for (const client of clients) {
      expect(round.result).toBeNull();
      await client.answer({}, nan);
    }
    expect(round.result).toBeInstanceOf(TrainingDiverged);
    expect((round.result as Error).message).toMatch(/at step 7/);
    expect(runner.left).toEqual(nothingLeft);
  });

  it('is not diverged while one of them gets finite ones, not even when the others have had to go', async () => {
    const { runner, clients } = await provenWorkers();
    const [ann, bob, cyd] = clients;
    const round = await runner.gradient(7);
    for (let strike = 0; strike < 3; strike++) {
      await ann.answer({}, nan);
      await bob.answer({}, nan);
    }
    expect([ann, bob].map(({ closed }) => closed?.code)).toEqual([CloseCode.notFinite, CloseCode.notFinite]);
    for (let i = 0; i < 6 && round.result === null; i++) await cyd.answer();
    expect(round.result).toMatchObject({ lossSum: 9 });
  });

  it('is not diverged by strangers, whose answers have never counted', async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await ann.answer({}, nan);
    await bob.answer({}, nan);
    expect(round.result).toBeNull();
  });

  it('ends when the person stops it while nobody is there, now or later', async () => {
    const alone = testRunner();
    const round = await alone.gradient();
    await alone.abort();
    expect(round.result).toBeInstanceOf(Interrupted);
    expect(alone.left).toEqual(nothingLeft);
    expect((await alone.gradient()).result).toBeInstanceOf(Interrupted);

    const left = testRunner();
    const ann = await left.join('ann');
    const other = await left.gradient();
    await left.abort();
    expect(other.result).toBeNull();
    await ann.say({ type: 'leaving', reason: 'bye' });
    expect(other.result).toBeInstanceOf(Interrupted);
    expect(left.left).toEqual(nothingLeft);
  });

  it('is finished, though, if somebody is there to finish it', async () => {
    const { join, gradient, abort } = testRunner();
    const ann = await join('ann');
    const round = await gradient();
    await abort();
    await ann.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });
});
