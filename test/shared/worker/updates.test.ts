import { describe, expect, it } from 'vitest';
import type { Codec } from '../../../shared/codec/codec.ts';
import { int4, int8 } from '../../../shared/codec/packed.ts';
import { CloseCode } from '../../../shared/protocol/close-codes.ts';
import type { FromCoordinator, Welcome } from '../../../shared/protocol/messages.ts';
import { settle } from '../../support/manual-clock.ts';
import { exampleWelcome, shardId, step } from '../protocol/examples.ts';
import { startWorker, type RunningWorker } from './session-harness.ts';

const bytesOf = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const encoded = (codec: Codec, ...values: number[]): Uint8Array => {
  const payload = new Uint8Array(codec.bytes(values.length));
  codec.encode(Float32Array.from(values), payload);
  return payload;
};
const oneSample = Uint8Array.of(7, 0, 0, 0, 200, 100, 0, 0, 1, 0, 0, 0);

async function worker(changes: Partial<Welcome> = { updateCodec: 'int8' }): Promise<RunningWorker> {
  const started = await startWorker();
  await started.coordinator.link.send({ ...exampleWelcome, ...changes });
  return started;
}
const update = (k: number, offset = 0): FromCoordinator => ({ type: 'update', step: step(k), offset });
const weights = (k: number): FromCoordinator => ({ type: 'weights', step: step(k), offset: 0 });
const shard = (k: number, id = k): FromCoordinator => ({
  type: 'shard',
  task: 'train',
  step: step(k),
  shard: shardId(id),
  samples: 1,
});

describe('a worker that receives updates', () => {
  it('adds updates to its weights in order', async () => {
    const { coordinator, engine } = await worker();
    const { link } = coordinator;
    await link.send(weights(1), bytesOf(1, 2, 3, 4, 5, 6));
    await link.send(update(2), encoded(int8, 127, 0, 0, 0, 0, -127));
    await link.send(update(3), encoded(int8, 0, 127, 0, 0, 0, 1));
    expect(engine.weights).toEqual([
      [1, 2, 3, 4, 5, 6],
      [128, 2, 3, 4, 5, -121],
      [128, 129, 3, 4, 5, -120],
    ]);
  });

  it('assembles an update from buckets, the last of which has offset 0', async () => {
    const { coordinator, engine } = await worker();
    const { link } = coordinator;
    await link.send(weights(1), bytesOf(0, 0, 0, 0, 0, 0));
    await link.send(update(2, 5), encoded(int8, 127));
    await link.send(update(2, 2), encoded(int8, -127, 64, 1));
    expect(engine.weights.length).toBe(1);
    await link.send(update(2), encoded(int8, 127, 3));
    expect(engine.weights[1]).toEqual([127, 3, -127, 64, 1, 127]);
  });

  it('applies all updates that arrived while it was busy, then computes with the newest weights', async () => {
    const { coordinator, engine, lines } = await worker();
    const { link } = coordinator;
    let finish = (): void => undefined;
    engine.onGradient = () =>
      new Promise((resolve) => (finish = () => resolve({ lossSum: 2, metrics: [1] })));
    await link.send(weights(1), bytesOf(0, 0, 0, 0, 0, 0));
    await link.send(shard(1), oneSample);
    await link.send(update(2), encoded(int8, 127, 0, 0, 0, 0, 0));
    await link.send(update(3, 4), encoded(int8, 127, 0));
    await link.send(update(3), encoded(int8, 127, 0, 0, 0));
    await link.send(shard(3), oneSample);
    expect(engine.weights.length).toBe(1);
    finish();
    await settle();
    expect(engine.weights.at(-1)).toEqual([254, 0, 0, 0, 127, 0]);
    finish();
    await settle();
    expect(lines.slice(1)).toEqual(['train 1 of step 1', 'train 1 of step 3']);
  });

  it('discards an incomplete update when complete weights arrive', async () => {
    const { coordinator, engine } = await worker();
    const { link } = coordinator;
    await link.send(weights(1), bytesOf(0, 0, 0, 0, 0, 0));
    await link.send(update(2, 4), encoded(int8, 127, 127));
    await link.send(weights(2), bytesOf(9, 9, 9, 9, 9, 9));
    await link.send(update(3), encoded(int8, 127, 0, 0, 0, 0, 0));
    expect(engine.weights.slice(1)).toEqual([
      [9, 9, 9, 9, 9, 9],
      [136, 9, 9, 9, 9, 9],
    ]);
  });

  it.each([
    ['before any weights', [update(2)]],
    ['that skips a step', [weights(1), update(3)]],
    ['that was received twice', [weights(1), update(2), update(2)]],
    ['whose buckets are not sent back to front', [weights(1), update(2, 2), update(2, 4)]],
    ['with an offset beyond the vector', [weights(1), update(2, 6), update(2)]],
  ])('closes the connection as malformed on an update %s', async (_, messages) => {
    const { coordinator } = await worker();
    const { link } = coordinator;
    for (const message of messages) {
      const length = message.type === 'update' ? 6 - message.offset : 6;
      const payload = message.type === 'update' ? int8.bytes(length) : 4 * length;
      await link.send(message, new Uint8Array(payload));
    }
    expect(link.end.closed?.code).toBe(CloseCode.malformed);
  });

  it('closes the connection on an update that the welcome excludes or of a wrong length', async () => {
    const plain = await worker({});
    await plain.coordinator.link.send(weights(1), bytesOf(0, 0, 0, 0, 0, 0));
    await plain.coordinator.link.send(update(2), encoded(int8, 1, 1, 1, 1, 1, 1));
    expect(plain.coordinator.link.end.closed?.code).toBe(CloseCode.malformed);
    const never = await worker({ updates: false });
    await never.coordinator.link.send(weights(1), bytesOf(0, 0, 0, 0, 0, 0));
    await never.coordinator.link.send(
      { ...update(2), encoding: 'int8' } as FromCoordinator,
      encoded(int8, 1, 1, 1, 1, 1, 1),
    );
    expect(never.coordinator.link.end.closed).toMatchObject({
      code: CloseCode.malformed,
      reason: expect.stringMatching(/the welcome excludes updates/) as string,
    });
    const other = await worker();
    await other.coordinator.link.send(weights(1), bytesOf(0, 0, 0, 0, 0, 0));
    await other.coordinator.link.send(update(2), encoded(int8, 1, 1, 1, 1, 1));
    expect(other.coordinator.link.end.closed?.code).toBe(CloseCode.wrongLength);
  });
});

describe('a worker with a lossy codec', () => {
  it('adds the residual to the next gradient, and starts without a residual on each connection', async () => {
    const { coordinator, clock } = await worker({ codec: 'int4' });
    const answers = async (steps: number): Promise<number[][]> => {
      const { link } = coordinator;
      for (let k = 1; k <= steps; k++) {
        await link.send(weights(k), bytesOf(0, 0, 0, 0, 0, 0));
        await link.send(shard(k), oneSample);
      }
      return link.received.flatMap(({ type }, i) =>
        type === 'gradient' ? [[...int4.decode(link.payloads[i]!.slice(), 6)]] : [],
      );
    };
    // The gradient of the fake engine is 7, 200, 100, 1, 0, 0.
    const first = await answers(30);
    for (const [i, value] of [7, 200, 100, 1, 0, 0].entries()) {
      const sum = first.reduce((total, gradient) => total + gradient[i]!, 0);
      expect(Math.abs(sum - 30 * value)).toBeLessThan(200 / 12);
    }
    expect(first[0]).not.toEqual(first[1]);
    coordinator.link.end.terminate();
    await clock.advance(20_000);
    expect(coordinator.links.length).toBe(2);
    await coordinator.link.send({ ...exampleWelcome, codec: 'int4' });
    expect(await answers(2)).toEqual(first.slice(0, 2));
  });
});
