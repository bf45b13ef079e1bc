import { describe, expect, it } from 'vitest';
import type { GradientBucket } from '../../../shared/engine/engine.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import { settle } from '../../support/manual-clock.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { startWorker, type RunningWorker } from './session-harness.ts';

const bytesOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const valuesOf = (payload: Uint8Array): number[] => [...new Float32Array(payload.slice().buffer)];
const oneSample = Uint8Array.of(7, 0, 0, 0, 200, 100, 1);

async function workerWithTails(...tailCuts: number[]): Promise<RunningWorker> {
  const worker = await startWorker();
  await worker.coordinator.link.send({ ...exampleWelcome, ...(tailCuts.length > 0 ? { tailCuts } : {}) });
  return worker;
}

const giveShard = ({ coordinator }: RunningWorker): Promise<void> =>
  coordinator.link.send(
    { type: 'shard', task: 'train', step: step(1), shard: shardId(9), samples: 1 },
    oneSample,
  );

describe('a worker with tails', () => {
  it('sets weights that come in two pieces when both are there', async () => {
    const worker = await workerWithTails(4);
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

  it('sets a tail that comes piece by piece as one, and not before its head', async () => {
    const worker = await workerWithTails(4, 5);
    const { link } = worker.coordinator;
    for (const at of [1, 2, 3]) {
      // The first one is forgotten: the tail begins anew.
      if (at === 1) await link.send({ type: 'weightsTail', step: step(at), piece: 1 }, bytesOf(99));
      await link.send({ type: 'weightsTail', step: step(at), piece: 1 }, bytesOf(6 * at));
      await link.send({ type: 'weightsTail', step: step(at), piece: 0 }, bytesOf(5 * at));
      expect(worker.engine.weights).toHaveLength(2 * at - 2);
      await link.send({ type: 'weights', step: step(at), head: true }, bytesOf(1, 2, 3, at));
    }
    expect(worker.engine.weights).toEqual(
      [1, 2, 3].flatMap((at) => [
        [5 * at, 6 * at],
        [1, 2, 3, at],
      ]),
    );
    expect(worker.engine.weightsFrom).toEqual([4, 0, 4, 0, 4, 0]);
  });

  it('hands memory on to the engine where it needs the weights no more, but not that which it uses again', async () => {
    const { coordinator, engine } = await startWorker();
    const { link } = coordinator;
    await link.send({ ...exampleWelcome, tailCuts: [4, 5], updates: false });
    await link.send({ type: 'weights', step: step(1) }, bytesOf(1, 2, 3, 4, 5, 6));
    await link.send({ type: 'weightsTail', step: step(2), piece: 1 }, bytesOf(6));
    await link.send({ type: 'weightsTail', step: step(2), piece: 0 }, bytesOf(5));
    await link.send({ type: 'weights', step: step(2), head: true }, bytesOf(1, 2, 3, 4));
    expect(engine.weightsFrom).toEqual([0, 4, 0]);
    expect(engine.weightsGiven).toEqual([true, false, true]);
  });

  it.each([
    ['never came', [], /head of weights whose tail/],
    ['was of another step', [{ at: 2, piece: undefined }], /head of weights whose tail/],
    ['lacks a piece', [{ at: 1, piece: 1 }], /head of weights whose tail/],
    ['lacks its end', [{ at: 1, piece: 0 }], /A piece up to 5 behind one from 6/],
    [
      'is in pieces of two steps',
      [
        { at: 2, piece: 1 },
        { at: 1, piece: 0 },
      ],
      /A piece up to 5 behind one from 6/,
    ],
    ['has a piece that there is not', [{ at: 1, piece: 2 }], /that this vector has not/],
  ])('calls a head malformed whose tail %s', async (_, tails, sentence) => {
    const { coordinator } = await workerWithTails(4, 5);
    const { link } = coordinator;
    for (const { at, piece } of tails) {
      const values = piece === undefined ? [5, 6] : [5];
      await link.send(
        { type: 'weightsTail', step: step(at), ...(piece === undefined ? {} : { piece }) },
        bytesOf(...values),
      );
    }
    await link.send({ type: 'weights', step: step(1), head: true }, bytesOf(1, 2, 3, 4));
    expect(link.end.closed).toMatchObject({
      code: CloseCode.malformed,
      reason: expect.stringMatching(sentence) as string,
    });
  });

  it('closes on a cut behind the end', async () => {
    const worker = await workerWithTails(4, 6);
    expect(worker.coordinator.link.end.closed).toEqual({
      code: CloseCode.malformed,
      reason: 'A tail is cut at 6, of 6 values.',
    });
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
    const worker = await workerWithTails(4);
    const { link } = worker.coordinator;
    let tail: GradientBucket | undefined;
    let finish = (): void => undefined;
    worker.engine.onTail = (asked) => (tail = asked);
    worker.engine.onGradient = () =>
      new Promise((resolve) => (finish = () => resolve({ lossSum: 2, correct: 1 })));
    await link.send({ type: 'weights', step: step(1) }, bytesOf(1, 2, 3, 4, 5, 6));
    await giveShard(worker);
    expect(tail?.offset).toBe(4);
    tail?.onReady();
    await link.send({ type: 'ping', id: 1 });
    expect(worker.coordinator.types.slice(2)).toEqual(['gradientTail', 'pong']);
    expect(valuesOf(link.payloads[2]!)).toEqual([0, 0]);
    finish();
    await settle();
    expect(link.received[4]).toMatchObject({ type: 'gradient', head: true, shard: 9 });
    expect(valuesOf(link.payloads[4]!)).toEqual([7, 200, 100, 1]);
  });

  it('sends a gradient in pieces too where the engine has nothing ahead', async () => {
    const worker = await workerWithTails(4, 5);
    const { link } = worker.coordinator;
    await link.send({ type: 'weights', step: step(1) }, bytesOf(1, 2, 3, 4, 5, 6));
    await giveShard(worker);
    expect(link.received.slice(2)).toMatchObject([
      { type: 'gradientTail', step: 1, shard: 9, piece: 1 },
      { type: 'gradientTail', step: 1, shard: 9, piece: 0 },
      { type: 'gradient', step: 1, shard: 9, head: true },
    ]);
    expect(link.payloads.slice(2).map(valuesOf)).toEqual([[0], [0], [7, 200, 100, 1]]);
  });

  it('answers whole where nobody takes tails', async () => {
    const worker = await workerWithTails();
    const { link } = worker.coordinator;
    await link.send({ type: 'weights', step: step(1) }, bytesOf(1, 2, 3, 4, 5, 6));
    await giveShard(worker);
    expect(link.received.at(-1)).toMatchObject({ type: 'gradient' });
    expect(link.received.at(-1)).not.toHaveProperty('head');
    expect(valuesOf(link.payloads.at(-1)!)).toEqual([7, 200, 100, 1, 0, 0]);
  });
});
