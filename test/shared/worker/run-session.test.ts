import { describe, expect, it } from 'vitest';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { ShardMessage } from '../../../shared/protocol/messages.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { startWorker, type RunningWorker } from './session-harness.ts';

/** Payload with one sample of shape [2, 1, 1]: number, two bytes, label. */
const oneSample = Uint8Array.of(7, 0, 0, 0, 200, 100, 0, 0, 1, 0, 0, 0);
const sixWeights = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
const shardMessage = (id: number, task: ShardMessage['task'] = 'train'): ShardMessage => ({
  type: 'shard',
  task,
  step: step(1),
  shard: shardId(id),
  samples: 1,
});

async function workingWorker(...args: Parameters<typeof startWorker>): Promise<RunningWorker> {
  const worker = await startWorker(...args);
  await worker.coordinator.link.send(exampleWelcome);
  await worker.coordinator.link.send({ type: 'weights', step: step(1), offset: 0 }, sixWeights);
  return worker;
}

describe('a connected worker', () => {
  it('sends its identity, and the token if there is one', async () => {
    const hello = {
      type: 'hello',
      protocol: 2,
      name: 'ann',
      engine: { backend: 'fake' },
      codecs: ['float32', 'float16', 'int8', 'int4', 'factors'],
    };
    expect((await startWorker()).coordinator.link.received).toMatchObject([hello]);
    expect((await startWorker()).coordinator.link.received[0]).not.toHaveProperty('token');
    const { coordinator } = await startWorker(undefined, { token: 'secret' });
    expect(coordinator.link.received).toMatchObject([{ ...hello, token: 'secret' }]);
  });

  it('sends the name of its machine, if it has one', async () => {
    expect((await startWorker()).coordinator.link.received[0]).not.toHaveProperty('machine');
    const { coordinator } = await startWorker(undefined, { machine: 'x'.repeat(150) });
    expect(coordinator.link.received).toMatchObject([{ name: 'ann', machine: 'x'.repeat(100) }]);
  });

  it('loads the job, sets the weights, and answers a shard with its gradient and result', async () => {
    const { coordinator, engine, lines } = await workingWorker();
    await coordinator.link.send(shardMessage(10), oneSample);
    expect(engine.loaded).toEqual([exampleWelcome.job]);
    expect(engine.weights).toEqual([[1, 2, 3, 4, 5, 6]]);
    expect(coordinator.types).toEqual(['hello', 'ready', 'gradient']);
    expect(coordinator.link.received.at(-1)).toEqual({
      type: 'gradient',
      step: 1,
      shard: 10,
      offset: 0,
      result: { samples: 1, lossSum: 2, metrics: [1], computeMs: 0 },
    });
    const payload = coordinator.link.payloads.at(-1)!;
    expect([...new Float32Array(payload.buffer, payload.byteOffset)]).toEqual([7, 200, 100, 1, 0, 0]);
    expect(lines).toEqual(['joined as w1', 'train 1 of step 1']);
  });

  it('answers an evaluation with a result only', async () => {
    const { coordinator } = await workingWorker();
    await coordinator.link.send(shardMessage(11, 'evaluate'), oneSample);
    expect(coordinator.link.received.at(-1)).toMatchObject({
      type: 'evaluation',
      shard: 11,
      result: { lossSum: 3 },
    });
    expect(coordinator.link.payloads.at(-1)).toHaveLength(0);
  });

  it('reports the computation time', async () => {
    let finish = (): void => undefined;
    const worker = await workingWorker((_, engine) => {
      engine.onGradient = () =>
        new Promise((resolve) => (finish = () => resolve({ lossSum: 1, metrics: [0] })));
    });
    await worker.coordinator.link.send(shardMessage(10), oneSample);
    await worker.clock.advance(1234);
    finish();
    await worker.clock.advance(0);
    expect(worker.coordinator.link.received.at(-1)).toMatchObject({
      type: 'gradient',
      result: { computeMs: 1234 },
    });
  });

  it("answers 'failed' with the reason if its engine fails, and computes the next shard", async () => {
    const { coordinator, engine, lines } = await workingWorker((_, failing) => {
      failing.onGradient = () => Promise.reject(new Error('out of memory'));
    });
    await coordinator.link.send(shardMessage(10), oneSample);
    expect(coordinator.link.received.at(-1)).toEqual({
      type: 'failed',
      step: 1,
      shard: 10,
      reason: 'out of memory',
    });
    expect(lines.at(-1)).toBe('Could not compute a shard: out of memory');
    engine.onGradient = () => Promise.resolve({ lossSum: 1, metrics: [1] });
    await coordinator.link.send(shardMessage(11), oneSample);
    expect(coordinator.types.slice(2)).toEqual(['failed', 'gradient']);
  });

  it('names the cause if the memory of WebAssembly does not hold a shard', async () => {
    const { coordinator, lines } = await workingWorker((_, engine) => {
      engine.onGradient = () => Promise.reject(new Error('memory access out of bounds'));
    });
    await coordinator.link.send(shardMessage(10), oneSample);
    const reason =
      'Samples at once: 1, which need more memory than WebAssembly has (memory access out of bounds). Set a smaller --batch-size or smaller samples for the run, or use native TensorFlow or a GPU.';
    expect(coordinator.link.received.at(-1)).toMatchObject({ type: 'failed', reason });
    expect(lines.at(-1)).toBe(`Could not compute a shard: ${reason}`);
  });

  it("shortens a reason that is too long for 'failed'", async () => {
    const { coordinator } = await workingWorker((_, engine) => {
      engine.onGradient = () => Promise.reject(new Error('x'.repeat(10_000)));
    });
    await coordinator.link.send(shardMessage(10), oneSample);
    expect(coordinator.link.received.at(-1)).toMatchObject({ type: 'failed', shard: 10 });
  });

  it.each([
    ['a wrong length', oneSample.subarray(1), 'A shard of 1 samples has 12 payload bytes; this one has 11.'],
    ['an unknown class', oneSample.with(8, 2), 'A sample has 2 in label, which goes from 0 to 1.'],
  ])('closes the connection on samples of %s, prefetched or in a shard', async (_, samples, sentence) => {
    for (const message of [shardMessage(10), { type: 'prefetch', step: step(1), samples: 1 } as const]) {
      const worker = await workingWorker();
      const { coordinator, engine } = worker;
      await coordinator.link.send(message, samples);
      expect(coordinator.link.end.closed).toEqual({ code: CloseCode.malformed, reason: sentence });
      expect(coordinator.types).toEqual(['hello', 'ready']);
      expect(engine.prepared).toEqual([]);
      expect(worker.left).toEqual({ listeners: 0, timers: 0 });
    }
  });

  it('closes the connection if a shard names an unknown codec', async () => {
    const { coordinator } = await workingWorker();
    await coordinator.link.send({ ...shardMessage(10), encoding: 'int2' }, oneSample);
    expect(coordinator.link.end.closed?.code).toBe(CloseCode.unsupported);
  });

  it('ends with the reason on both sides if it cannot build the model', async () => {
    const worker = await startWorker((_, engine) => {
      engine.onLoad = () => Promise.reject(new Error('Unknown layer: Foo.'));
    });
    await worker.coordinator.link.send(exampleWelcome);
    expect(worker.coordinator.link.end.closed).toEqual({
      code: CloseCode.cannotCompute,
      reason: 'Unknown layer: Foo.',
    });
    expect(worker.ended).toMatchObject({ outcome: 'threw' });
    expect(worker.ended?.sentence).toContain('Unknown layer: Foo.');
    expect(worker.left).toEqual({ listeners: 0, timers: 0 });
  });

  it('ends on weights of a wrong length and does not compute with them', async () => {
    let computed = 0;
    const worker = await startWorker((_, engine) => {
      engine.onGradient = () => Promise.resolve({ lossSum: 1, metrics: [++computed] });
    });
    await worker.coordinator.link.send(exampleWelcome);
    await worker.coordinator.link.send(shardMessage(10), oneSample);
    await worker.coordinator.link.send({ type: 'weights', step: step(1), offset: 0 }, sixWeights.subarray(4));
    expect(worker.coordinator.link.end.closed?.code).toBe(CloseCode.wrongLength);
    expect(worker.coordinator.types).toEqual(['hello', 'ready']);
    expect(worker.lines).toEqual(['joined as w1']);
    expect(computed).toBe(0);
    expect(worker.ended?.sentence).toContain('A bucket of weights from 0 to 5 must end at 6.');
    expect(worker.left).toEqual({ listeners: 0, timers: 0 });
  });

  it('closes the connection as malformed on a frame that is not a message', async () => {
    const worker = await startWorker();
    worker.coordinator.link.end.send(Uint8Array.of(1, 2, 3));
    await worker.clock.advance(0);
    expect(worker.coordinator.link.end.closed?.code).toBe(CloseCode.malformed);
    expect(worker.ended?.outcome).toBe('threw');
  });

  it('reports a rejected answer and stays connected', async () => {
    const worker = await workingWorker();
    const rejected = {
      type: 'rejected',
      step: step(1),
      shard: shardId(1),
      code: 4421,
      reason: 'NaN.',
    } as const;
    await worker.coordinator.link.send(rejected);
    expect(worker.lines.at(-1)).toBe('The coordinator rejected an answer: NaN.');
    expect(worker.ended).toBeNull();
  });
});
