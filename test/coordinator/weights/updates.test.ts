import { describe, expect, it } from 'vitest';
import { WeightsPublisher } from '../../../coordinator/weights/publisher.ts';
import { int8 } from '../../../shared/codec/packed.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import type { Client } from '../pool/pool-harness.ts';
import { settle } from '../../support/manual-clock.ts';
import { testRunner, type TestRunner } from '../training/step-harness.ts';
import { answerAll, CODECS, heldBy, KNOWN, sentTo, WITHOUT } from './updates-harness.ts';

async function twoAt(stepNumber: number, runner: TestRunner): Promise<readonly [Client, Client]> {
  const clients = [await runner.join('ann', WITHOUT), await runner.join('bob', WITHOUT)] as const;
  for (let k = 1; k <= stepNumber; k++) {
    await runner.gradient(k);
    if (k < stepNumber) await answerAll(...clients);
  }
  return clients;
}

describe('updates', () => {
  it('are announced to workers that support their codec; the others are sent weights', async () => {
    const { join } = testRunner(8, [0], CODECS);
    const [ann, bob] = [await join('ann', KNOWN), await join('bob')];
    expect(ann.messages('welcome')).toMatchObject([{ codec: 'float32', updateCodec: 'int8' }]);
    expect(bob.messages('welcome')[0]).not.toHaveProperty('updateCodec');
    expect(ann.messages('welcome')[0]).not.toHaveProperty('updates');
    expect(bob.messages('welcome')[0]).toHaveProperty('updates', false);
  });

  it('follow whole weights, with the same bytes for all workers', async () => {
    const runner = testRunner(8, [0], CODECS);
    const [ann, bob] = await twoAt(3, runner);
    for (const client of [ann, bob]) {
      expect(sentTo(client)).toEqual([
        'weights 1 from 0',
        'shard',
        'update 2 from 0',
        'shard',
        'update 3 from 0',
        'shard',
      ]);
    }
    const updatesOf = ({ received }: Client): Uint8Array[] =>
      received.filter(({ message }) => message.type === 'update').map(({ payload }) => payload);
    expect(updatesOf(ann)).toEqual(updatesOf(bob));
    expect(updatesOf(ann)[0]?.length).toBe(int8.bytes(6));
    expect(heldBy(ann)).toEqual({ step: 3, weights: [21, 22, 23, 24, 25, 26] });
  });

  it('stay close to the weights over many steps: the next update corrects the error of the last one', async () => {
    const runner = testRunner(8, [0], CODECS);
    const ann = await runner.join('ann', WITHOUT);
    for (let k = 1; k <= 60; k++) {
      runner.weights.forEach((_, i) => {
        runner.weights[i] = Math.fround(runner.weights[i]! + Math.sin(k * (i + 1)) / (i + 1) ** 3);
      });
      await runner.gradient(k);
      const { step, weights } = heldBy(ann);
      expect(step).toBe(k);
      for (const [i, weight] of weights.entries()) {
        // A weight changes by at most 11 a step, and the error of an update is at most half a 127th of that.
        expect(Math.abs(weight - runner.weights[i]!)).toBeLessThan(11.2 / 254);
      }
      await ann.answer();
    }
  });

  it("start with the other workers' weights for a worker that joins, also during a step", async () => {
    const runner = testRunner(8, [0], CODECS);
    const [ann, bob] = await twoAt(2, runner);
    const cyd = await runner.join('cyd', WITHOUT);
    await ann.say({ type: 'leaving', reason: 'lid closed' });
    expect(sentTo(cyd)).toEqual(['weights 2 from 0', 'shard']);
    expect(heldBy(cyd)).toEqual(heldBy(bob));
    await answerAll(bob, cyd);
    await bob.answer();
    await runner.gradient(3);
    expect(sentTo(cyd)).toEqual(['weights 2 from 0', 'shard', 'update 3 from 0', 'shard']);
    expect(heldBy(cyd)).toEqual(heldBy(bob));
  });

  it('are not sent to a worker that has missed one: it is sent whole weights', async () => {
    const { pool, join } = testRunner(8, [0], CODECS);
    const [ann, cyd] = [await join('ann', WITHOUT), await join('cyd', WITHOUT)];
    const [annWorker, cydWorker] = [...pool.workers.values()];
    const publisher = new WeightsPublisher(pool, 6, [0]);
    const weights = Float32Array.of(1, 2, 3, 4, 5, 6);
    // cyd is sent nothing of the second step.
    for (const [k, recipients] of [
      [1, [annWorker!, cydWorker!]],
      [2, [annWorker!]],
      [3, [annWorker!, cydWorker!]],
    ] as const) {
      publisher.beginStep(k as Step, { committedWeights: weights });
      recipients.forEach((worker) => publisher.sendTo(worker));
      weights.forEach((weight, i) => (weights[i] = weight + 0.1 * (i + k)));
      await settle();
    }
    expect(sentTo(ann)).toEqual(['weights 1 from 0', 'update 2 from 0', 'update 3 from 0']);
    expect(sentTo(cyd)).toEqual(['weights 1 from 0', 'weights 3 from 0']);
    expect(heldBy(cyd)).toEqual(heldBy(ann));
    expect(heldBy(cyd).step).toBe(3);
  });

  it('give the weights that float32 workers are sent too, so that all compute with the same bits', async () => {
    const runner = testRunner(8, [0], CODECS);
    const [ann, bob] = [await runner.join('ann', WITHOUT), await runner.join('bob', { buckets: false })];
    runner.weights.set([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
    for (let k = 1; k <= 4; k++) {
      await runner.gradient(k);
      runner.weights[0] = runner.weights[0]! + 0.01;
      expect(heldBy(bob)).toEqual(heldBy(ann));
      expect(sentTo(bob).at(-2)).toBe(`weights ${k} from 0`);
      await answerAll(ann, bob);
    }
    expect(sentTo(ann).at(-2)).toBe('update 4 from 0');
  });

  it('do not change the weights if no worker has an update codec', async () => {
    const runner = testRunner(8, [0], CODECS);
    const bob = await runner.join('bob', { buckets: false });
    [runner.weights[3], runner.rise[3]] = [0, 1e-20];
    await runner.gradient(1);
    await bob.answer();
    await runner.gradient(2);
    expect(heldBy(bob).weights).toEqual([...runner.weights]);
    expect(heldBy(bob).weights[3]).toBe(Math.fround(1e-20));
    const ann = await runner.join('ann', WITHOUT);
    await bob.answer();
    await runner.gradient(3);
    expect(sentTo(ann)).toEqual(['weights 3 from 0', 'shard']);
    await answerAll(ann, bob);
    await runner.gradient(4);
    expect(sentTo(ann).slice(2)).toEqual(['update 4 from 0', 'shard']);
    expect(heldBy(ann)).toEqual(heldBy(bob));
  });

  it('end at an evaluation, which needs exact weights, and continue from there', async () => {
    const runner = testRunner(8, [0], CODECS);
    const [ann, bob] = await twoAt(2, runner);
    await answerAll(ann, bob);
    runner.weights[2] = 1 / 3;
    await runner.evaluate(3);
    const evaluating = [ann, bob].filter((client) => sentTo(client).at(-1) === 'shard');
    expect(evaluating.length).toBeGreaterThan(0);
    const [first] = evaluating;
    expect(sentTo(first!).at(-2)).toBe('weights 3 from 0');
    expect(heldBy(first!)).toEqual({ step: 3, weights: [...runner.weights] });
    await first!.answer();
    await runner.gradient(3);
    await answerAll(ann, bob);
    await runner.gradient(4);
    for (const client of [ann, bob]) expect(sentTo(client).at(-2)).toBe('update 4 from 0');
    expect(heldBy(ann)).toEqual(heldBy(bob));
  });
});
