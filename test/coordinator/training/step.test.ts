import { describe, expect, it } from 'vitest';
import { Interrupted, TrainingDiverged } from '../../../coordinator/training/errors.ts';
import { viewShard } from '../../../shared/data/shard.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { shardId, step, exampleJob } from '../../shared/protocol/examples.ts';
import { testRunner } from './step-harness.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';
import { type Client } from '../pool/pool-harness.ts';

const NOTHING_LEFT = [0, 0];

describe('a round of gradients', () => {
  it('sends all workers the same weights and their shards, and sums the gradients', async () => {
    const { join, gradient, left } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    for (const client of [ann, bob]) expect(client.types.slice(1)).toEqual(['weights', 'shard']);
    const [weights, shard] = bob.received.slice(1);
    expect([...new Float32Array(weights!.payload.buffer, weights!.payload.byteOffset)]).toEqual([
      1, 2, 3, 4, 5, 6,
    ]);
    const viewed = viewShard(shard!.payload, 4, exampleJob);
    const { sampleNumbers } = viewed;
    expect([...sampleNumbers]).toEqual([3, 2, 1, 0]);
    expect([...imagesOf(viewed)]).toEqual([6, 7, 4, 5, 2, 3, 0, 1]);
    expect([...labelsOf(viewed)]).toEqual([1, 0, 1, 0]);

    await bob.answer({ lossSum: 10, metrics: [3] }, [10, 20, 30, 40, 50, 60]);
    expect(round.result).toBeNull();
    await ann.answer({ lossSum: 2.5, metrics: [1] }, [1, 2, 3, 4, 5, 6]);
    expect(round.result).toEqual({
      lossSum: 12.5,
      metrics: [4],
      gradientSum: Float32Array.of(11, 22, 33, 44, 55, 66),
    });
    expect(left()).toEqual(NOTHING_LEFT);
  });

  it('sends weights once a step', async () => {
    const { join, gradient } = testRunner();
    const ann = await join('ann');
    await gradient(1);
    await ann.say({ type: 'failed', step: step(1), shard: shardId(0), reason: 'once' });
    await ann.answer();
    await gradient(2);
    expect(ann.types.slice(1)).toEqual(['weights', 'shard', 'rejected', 'shard', 'weights', 'shard']);
    expect(ann.messages('weights').map((message) => message.step)).toEqual([1, 2]);
  });

  it('continues with the remaining workers when one leaves', async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    await bob.answer();
    await bob.answer();
    expect(round.result).toMatchObject({ lossSum: 8, gradientSum: new Float32Array(6).fill(2) });
  });

  it('waits when all workers leave, reports it, and continues with the worker that returns', async () => {
    const { join, gradient, waits, left } = testRunner();
    const ann = await join('ann');
    const round = await gradient();
    ann.end.terminate();
    const again = await join('ann');
    expect(waits).toEqual([true, false]);
    expect(again.messages('shard')).toMatchObject([{ samples: 8 }]);
    await again.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
    expect(left()).toEqual(NOTHING_LEFT);
  });

  it('starts without workers', async () => {
    const { join, gradient, waits } = testRunner();
    const round = await gradient();
    expect(waits).toEqual([true]);
    await (await join('ann')).answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });

  it('never uses a shard id twice', async () => {
    const { join, gradient } = testRunner();
    const ann = await join('ann');
    for (let k = 0; k < 4; k++) {
      await gradient(k);
      await ann.answer();
    }
    expect(ann.messages('shard').map(({ shard }) => shard)).toEqual([0, 1, 2, 3]);
  });
});

describe('an unexpected answer', () => {
  it('changes nothing if it is repeated, or late', async () => {
    const { join, gradient, pool } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const first = await gradient(1);
    await ann.answer({}, [1, 1, 1, 1, 1, 1]);
    await ann.answer({}, [9, 9, 9, 9, 9, 9]);
    expect(first.result).toBeNull();
    await bob.answer();
    expect(first.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });

    // The same step number again, as after an evaluation.
    const second = await gradient(1);
    await ann.answer({ shard: shardId(0) }, [9, 9, 9, 9, 9, 9]);
    await ann.answer();
    await bob.answer();
    expect(second.result).toMatchObject({ gradientSum: new Float32Array(6).fill(2) });
    expect([...pool.workers.values()].map(({ health }) => health.strikes)).toEqual([0, 0]);
  });

  it("is rejected if it is for another worker's shard", async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await ann.answer({ shard: bob.messages('shard')[0]!.shard });
    expect(ann.messages('rejected')).toMatchObject([{ code: CloseCode.notAssigned, shard: 1 }]);
    await ann.answer();
    await bob.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });

  it.each<[string, Parameters<Client['answer']>[0], number[] | undefined, number]>([
    ['a gradient of another length', {}, [1, 2], CloseCode.wrongLength],
    ['a gradient with NaN', {}, [1, NaN, 1, 1, 1, 1], CloseCode.notFinite],
    ['more correct than samples', { metrics: [5] }, undefined, CloseCode.notFinite],
    ['the number of another step', { step: step(0) }, undefined, CloseCode.notAssigned],
    ['another number of samples', { samples: 3 }, undefined, CloseCode.notAssigned],
    ['an evaluation', { type: 'evaluation' }, undefined, CloseCode.unexpected],
  ])('is rejected with %s, and its samples are assigned to another worker', async (_, more, values, code) => {
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

  it('is counted, and the third one disconnects its worker', async () => {
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

describe('a round that cannot continue', () => {
  const nan = [NaN, 1, 1, 1, 1, 1];

  /** Three workers with accepted answers. */
  async function provenWorkers() {
    const runner = testRunner(9);
    const clients = [await runner.join('ann'), await runner.join('bob'), await runner.join('cyd')] as const;
    await runner.gradient(6);
    for (const client of clients) await client.answer();
    return { runner, clients };
  }

  it('has diverged when no proven worker computes a finite gradient', async () => {
    const { runner, clients } = await provenWorkers();
    const round = await runner.gradient(7);
    for (const client of clients) {
      expect(round.result).toBeNull();
      await client.answer({}, nan);
    }
    expect(round.result).toBeInstanceOf(TrainingDiverged);
    expect((round.result as Error).message).toMatch(/at step 7/);
    expect(runner.left()).toEqual(NOTHING_LEFT);
  });

  it('has not diverged while one proven worker computes finite gradients, even if the others were dropped', async () => {
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

  it('has not diverged because of workers without accepted answers', async () => {
    const { join, gradient } = testRunner();
    const [ann, bob] = [await join('ann'), await join('bob')];
    const round = await gradient();
    await ann.answer({}, nan);
    await bob.answer({}, nan);
    expect(round.result).toBeNull();
  });

  it('ends if it is stopped while no worker is connected, now or later', async () => {
    const alone = testRunner();
    const round = await alone.gradient();
    await alone.abort();
    expect(round.result).toBeInstanceOf(Interrupted);
    expect(alone.left()).toEqual(NOTHING_LEFT);
    expect((await alone.gradient()).result).toBeInstanceOf(Interrupted);

    const left = testRunner();
    const ann = await left.join('ann');
    const other = await left.gradient();
    await left.abort();
    expect(other.result).toBeNull();
    await ann.say({ type: 'leaving', reason: 'bye' });
    expect(other.result).toBeInstanceOf(Interrupted);
    expect(left.left()).toEqual(NOTHING_LEFT);
  });

  it('is finished after a stop if a worker is connected', async () => {
    const { join, gradient, abort } = testRunner();
    const ann = await join('ann');
    const round = await gradient();
    await abort();
    await ann.answer();
    expect(round.result).toMatchObject({ lossSum: 8 });
  });
});
