import { describe, expect, it } from 'vitest';
import type { GradientBucket } from '../../../shared/engine/engine.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { FromCoordinator } from '../../../shared/protocol/messages.ts';
import { settle } from '../../support/manual-clock.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { startWorker, type RunningWorker } from './session-harness.ts';

const bytesOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const valuesOf = (payload: Uint8Array): number[] => [...new Float32Array(payload.slice().buffer)];
const oneSample = Uint8Array.of(7, 0, 0, 0, 200, 100, 0, 0, 1, 0, 0, 0);

async function workerWithBuckets(...bucketOffsets: number[]): Promise<RunningWorker> {
  const worker = await startWorker();
  await worker.coordinator.link.send({ ...exampleWelcome, bucketOffsets });
  return worker;
}

const weights = (at: number, offset = 0): FromCoordinator => ({ type: 'weights', step: step(at), offset });
const sendShard = ({ coordinator }: RunningWorker): Promise<void> =>
  coordinator.link.send(
    { type: 'shard', task: 'train', step: step(1), shard: shardId(9), samples: 1 },
    oneSample,
  );

describe('weights in buckets', () => {
  it('are set when the last bucket has arrived', async () => {
    const worker = await workerWithBuckets(0, 4, 5);
    const { link } = worker.coordinator;
    for (const at of [1, 2, 3]) {
      // This bucket is dropped, since the next one starts the vector again.
      if (at === 1) await link.send(weights(at, 5), bytesOf(99));
      await link.send(weights(at, 5), bytesOf(6 * at));
      await link.send(weights(at, 4), bytesOf(5 * at));
      expect(worker.engine.weights).toHaveLength(at - 1);
      await link.send(weights(at), bytesOf(1, 2, 3, at));
    }
    expect(worker.engine.weights).toEqual([1, 2, 3].map((at) => [1, 2, 3, at, 5 * at, 6 * at]));
  });

  it('may be split differently than gradients', async () => {
    const worker = await workerWithBuckets(0);
    const { link } = worker.coordinator;
    await link.send(weights(1, 1), bytesOf(2, 3, 4, 5, 6));
    await link.send(weights(1), bytesOf(1));
    expect(worker.engine.weights).toEqual([[1, 2, 3, 4, 5, 6]]);
  });

  it('transfer their memory to the engine only if the worker does not reuse it', async () => {
    const { coordinator, engine } = await startWorker();
    const { link } = coordinator;
    await link.send({ ...exampleWelcome, bucketOffsets: [0, 4, 5], updates: false });
    await link.send(weights(1), bytesOf(1, 2, 3, 4, 5, 6));
    await link.send(weights(2, 5), bytesOf(6));
    await link.send(weights(2), bytesOf(1, 2, 3, 4, 5));
    expect(engine.transfers).toEqual([true, false]);
  });

  it.each<[string, [number, number, number][]]>([
    ['without the bucket at the end', [[1, 0, 4]]],
    [
      'with an end of another step',
      [
        [2, 4, 2],
        [1, 0, 4],
      ],
    ],
    [
      'with a missing bucket',
      [
        [1, 5, 1],
        [1, 0, 4],
      ],
    ],
    [
      'with overlapping buckets',
      [
        [1, 4, 2],
        [1, 0, 5],
      ],
    ],
    ['beyond the end of the vector', [[1, 5, 2]]],
    ['without values', [[1, 6, 0]]],
  ])('close the connection: weights %s', async (_, buckets) => {
    const { coordinator, engine } = await workerWithBuckets(0, 4, 5);
    for (const [at, offset, count] of buckets) {
      await coordinator.link.send(weights(at, offset), new Uint8Array(4 * count));
    }
    expect([CloseCode.wrongLength, CloseCode.malformed]).toContain(coordinator.link.end.closed?.code);
    expect(engine.weights).toEqual([]);
  });
});

describe('gradient buckets', () => {
  it('beyond the end of the vector are rejected', async () => {
    const worker = await workerWithBuckets(0, 4, 6);
    expect(worker.coordinator.link.end.closed).toEqual({
      code: CloseCode.malformed,
      reason: 'The bucket offset 6 is not below the length of 6 values.',
    });
  });

  it.each([3, 6, 2 ** 40])('with an offset of %d, where no tensor begins, are rejected', async (offset) => {
    const worker = await workerWithBuckets(0, offset);
    expect(worker.coordinator.link.end.closed).toEqual({
      code: CloseCode.malformed,
      reason: `The bucket offset ${offset} is not the beginning of a tensor.`,
    });
    expect(worker.engine.loaded).toEqual([]);
  });

  it('are sent during the computation, the last one with the result', async () => {
    const worker = await workerWithBuckets(0, 4);
    const { link } = worker.coordinator;
    let early: GradientBucket | undefined;
    let finish = (): void => undefined;
    worker.engine.onEarlyBucket = (bucket) => (early = bucket);
    worker.engine.onGradient = () =>
      new Promise((resolve) => (finish = () => resolve({ lossSum: 2, metrics: [1] })));
    await link.send(weights(1), bytesOf(1, 2, 3, 4, 5, 6));
    await sendShard(worker);
    expect(early?.offset).toBe(4);
    early?.onReady();
    await link.send({ type: 'ping', id: 1 });
    expect(worker.coordinator.types.slice(2)).toEqual(['gradient', 'pong']);
    expect(link.received[2]).toEqual({ type: 'gradient', step: 1, shard: 9, offset: 4 });
    expect(valuesOf(link.payloads[2]!)).toEqual([0, 0]);
    finish();
    await settle();
    expect(link.received[4]).toMatchObject({ type: 'gradient', shard: 9, offset: 0, result: { lossSum: 2 } });
    expect(valuesOf(link.payloads[4]!)).toEqual([7, 200, 100, 1]);
  });

  it('are sent one after the other if the engine reports no early bucket', async () => {
    const worker = await workerWithBuckets(0, 4, 5);
    const { link } = worker.coordinator;
    await link.send(weights(1), bytesOf(1, 2, 3, 4, 5, 6));
    await sendShard(worker);
    expect(link.received.slice(2)).toMatchObject([
      { type: 'gradient', step: 1, shard: 9, offset: 5 },
      { type: 'gradient', step: 1, shard: 9, offset: 4 },
      { type: 'gradient', step: 1, shard: 9, offset: 0, result: { samples: 1 } },
    ]);
    expect(link.payloads.slice(2).map(valuesOf)).toEqual([[0], [0], [7, 200, 100, 1]]);
  });

  it('are a single message if the run has one bucket', async () => {
    const worker = await workerWithBuckets(0);
    const { link } = worker.coordinator;
    await link.send(weights(1), bytesOf(1, 2, 3, 4, 5, 6));
    await sendShard(worker);
    expect(link.received.slice(2)).toMatchObject([{ type: 'gradient', offset: 0, result: { samples: 1 } }]);
    expect(valuesOf(link.payloads.at(-1)!)).toEqual([7, 200, 100, 1, 0, 0]);
  });
});
