import { describe, expect, it } from 'vitest';
import type { Tail } from '../../../shared/engine/engine.ts';
import { CloseCode } from '../../../shared/protocol/close-code.ts';
import { settle } from '../../support/manual-clock.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { startWorker, type RunningWorker } from './harness.ts';

const bytesOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const valuesOf = (payload: Uint8Array): number[] => [...new Float32Array(payload.slice().buffer)];
const oneSample = Uint8Array.of(7, 0, 0, 0, 200, 100, 1);

async function workerWithTails(tailFrom: number | undefined = 4): Promise<RunningWorker> {
  const worker = await startWorker();
  await worker.coordinator.link.send({ ...exampleWelcome, tailFrom });
  return worker;
}

const giveShard = ({ coordinator }: RunningWorker): Promise<void> =>
  coordinator.link.send(
    { type: 'shard', task: 'train', step: step(1), shard: shardId(9), samples: 1 },
    oneSample,
  );

describe('a worker with tails', () => {
  it('sets weights that come in two pieces when both are there', async () => {
    const worker = await workerWithTails();
    const { link } = worker.coordinator;
    await link.send({ type: 'weightsTail', step: step(1) }, bytesOf(5, 6));
    expect(worker.engine.weights).toEqual([]);
    await link.send({ type: 'weights', step: step(1), head: true }, bytesOf(1, 2, 3, 4));
    expect(worker.engine.weights).toEqual([
      [5, 6],
      [1, 2, 3, 4],
    ]);
    expect(worker.engine.weightsFrom).toEqual([4, 0]);
  });

  it.each([
    ['never came', []],
    ['was of another step', [2]],
  ])('calls a head malformed whose tail %s', async (_, tails) => {
    const { coordinator } = await workerWithTails();
    const { link } = coordinator;
    for (const k of tails) await link.send({ type: 'weightsTail', step: step(k) }, bytesOf(5, 6));
    await link.send({ type: 'weights', step: step(1), head: true }, bytesOf(1, 2, 3, 4));
    expect(link.end.closed?.code).toBe(CloseCode.malformed);
  });

  it.each([3, 6, 2 ** 40])('closes on tails from %d, where no tensor starts', async (tailFrom) => {
    const worker = await workerWithTails(tailFrom);
    expect(worker.coordinator.link.end.closed).toEqual({
      code: CloseCode.malformed,
      reason: `Tails from ${tailFrom}, where no tensor starts.`,
    });
    expect(worker.engine.loaded).toEqual([]);
  });

  it('sends the tail of a gradient while the rest is computed, and then the head', async () => {
    const worker = await workerWithTails();
    const { link } = worker.coordinator;
    let tail: Tail | undefined;
    let finish = (): void => undefined;
    worker.engine.onTail = (asked) => (tail = asked);
    worker.engine.onGradient = () =>
      new Promise((resolve) => (finish = () => resolve({ lossSum: 2, correct: 1 })));
    await link.send({ type: 'weights', step: step(1) }, bytesOf(1, 2, 3, 4, 5, 6));
    await giveShard(worker);
    expect(tail?.from).toBe(4);
    tail?.ready();
    await link.send({ type: 'ping', id: 1 });
    expect(worker.coordinator.types.slice(2)).toEqual(['gradientTail', 'pong']);
    expect(valuesOf(link.payloads[2]!)).toEqual([0, 0]);
    finish();
    await settle();
    expect(link.received[4]).toMatchObject({ type: 'gradient', head: true, shard: 9 });
    expect(valuesOf(link.payloads[4]!)).toEqual([7, 200, 100, 1]);
  });

  it('answers whole where the engine has nothing ahead, or nobody takes tails', async () => {
    for (const tailFrom of [4, undefined]) {
      const worker = await workerWithTails(tailFrom);
      const { link } = worker.coordinator;
      await link.send({ type: 'weights', step: step(1) }, bytesOf(1, 2, 3, 4, 5, 6));
      await giveShard(worker);
      expect(link.received.at(-1)).toMatchObject({ type: 'gradient' });
      expect(link.received.at(-1)).not.toHaveProperty('head');
      expect(valuesOf(link.payloads.at(-1)!)).toEqual([7, 200, 100, 1, 0, 0]);
    }
  });
});
