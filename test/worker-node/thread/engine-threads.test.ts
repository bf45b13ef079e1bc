import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { prepareJob, type PreparedJob } from '../../../coordinator/model/model.ts';
import { sliceShard, type Shard } from '../../../shared/data/shard.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { EngineLostError } from '../../../shared/engine/remote-engine/client.ts';
import { addScores } from '../../../shared/model/scoring.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { openEngineThreads } from '../../../worker-node/thread/engine-threads.ts';
import type { ThreadedEngine } from '../../../worker-node/thread/threaded-engine.ts';
import { engineThreadFile, writeFakeThread, writeThread } from '../../support/fake-thread.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const SAMPLES = 13;
const dataset = syntheticDigits({ seed: 1, trainCount: SAMPLES, testCount: 1 });
const shard: Shard = {
  sampleNumbers: Uint32Array.from({ length: SAMPLES }, (_, i) => 3 * i + 5),
  ...dataset.train,
};
const STEP = 7 as Step;
let prepared: PreparedJob;
beforeAll(
  async () => void (prepared = await prepareJob(dataset, { batchSize: SAMPLES, epochs: 1, seed: 1 })),
);

let opened: ThreadedEngine | null = null;
async function open(threads: number, file = engineThreadFile): Promise<ThreadedEngine> {
  opened = await openEngineThreads({ file, choice: 'wasm', threads, note: () => undefined });
  return opened;
}
afterEach(async () => {
  await opened?.close();
  opened = null;
});

const vector = (): Float32Array => new Float32Array(prepared.initialWeights.length);
const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

describe('an engine with threads', () => {
  test('says how many it has', async () => {
    expect((await open(2)).engine.info).toEqual({ ...(await wasmEngine()).info, threads: 2 });
  });

  test.each([
    [1, 2],
    [2, 2],
    [3, 2],
    [2, 3],
    [4, 5],
    [16, 2],
  ])(
    'has the bits of one engine in an exact run: micro-shards of %i samples, %i threads',
    async (microShard, threads) => {
      const job = { ...prepared.job, microShard };
      const one = await (await wasmEngine()).load(job);
      const many = await (await open(threads)).engine.load(job);
      for (const samples of [1, microShard, 8, SAMPLES]) {
        const part = sliceShard(shard, 0, Math.min(samples, SAMPLES));
        const [expected, gradient] = [vector(), vector()];
        for (const computer of [one, many]) {
          computer.setWeights(prepared.initialWeights);
          computer.prepare(STEP, part);
        }
        const { lossSum, metrics } = await one.gradient(STEP, part, expected);
        expect(await many.gradient(STEP, part, gradient)).toMatchObject({ lossSum, metrics });
        expect(bytesOf(gradient).equals(bytesOf(expected))).toBe(true);
        expect(await many.evaluate(part)).toEqual(await one.evaluate(part));
      }
      one.dispose();
      many.dispose();
    },
  );

  test('has the sum of the parts of a shard, of which the last layers come first', async () => {
    const { job, initialWeights } = prepared;
    const offset = 9568;
    const one = await (await wasmEngine()).load(job);
    const many = await (await open(2)).engine.load(job);
    one.setWeights(initialWeights);
    many.setWeights(initialWeights);
    const parts = [sliceShard(shard, 0, 6), sliceShard(shard, 6, SAMPLES)];
    const gradients = [vector(), vector()];
    const [first, second] = [
      await one.gradient(STEP, parts[0]!, gradients[0]!),
      await one.gradient(STEP, parts[1]!, gradients[1]!),
    ];
    const expected = gradients[0]!.map((value, i) => value + gradients[1]![i]!);
    const shared = new Float32Array(many.allocateBuffer!(expected.byteLength));
    for (const gradient of [shared, vector()]) {
      const buckets: Buffer[] = [];
      const onReady = (): void => void buckets.push(bytesOf(gradient.slice(offset)));
      const result = await many.gradient(STEP, shard, gradient, { offset, onReady });
      expect(result).toMatchObject(addScores(first, second));
      expect(bytesOf(gradient).equals(bytesOf(expected))).toBe(true);
      expect(buckets.map((bytes) => bytes.equals(bytesOf(expected.slice(offset))))).toEqual([true]);
    }
  });

  test('joins the factors of the parts', async () => {
    const { job, initialWeights } = prepared;
    const one = await (await wasmEngine()).load(job);
    const many = await (await open(3)).engine.load(job);
    expect(many.supportsFactors).toBe(true);
    one.setWeights(initialWeights);
    many.setWeights(initialWeights);
    const [expected, gradient] = [vector(), vector()];
    await one.gradient(STEP, shard, expected, undefined, true);
    expect(await many.gradient(STEP, shard, gradient, undefined, true)).toMatchObject({ isFactored: true });
    const largest = expected.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    const farthest = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - gradient[i]!)), 0);
    expect(largest).toBeGreaterThan(0);
    expect(farthest / largest).toBeLessThan(1e-5);
  });
});

describe('an engine of which one thread', () => {
  test('ends is lost, with all its threads', async () => {
    // Only the thread that computes the second part ends.
    const file = await writeFakeThread(`
      if (request.shard.samples.sampleNumbers[0] !== ${shard.sampleNumbers[0]}) process.exit(3);
      answer({ result: { lossSum: 1, metrics: [1] }, buffer: null });`);
    opened = await openEngineThreads({ file, choice: 'wasm', threads: 2, note: () => undefined });
    const { engine, lost } = opened;
    const computer = await engine.load(prepared.job);
    computer.setWeights(prepared.initialWeights);
    const sentence = 'The engine was lost: its thread has ended with code 3';
    await expect(computer.gradient(STEP, shard, vector())).rejects.toThrow(sentence);
    expect(lost.reason).toBeInstanceOf(EngineLostError);
  });

  test('does not open does not open, and leaves no thread', async () => {
    const exitListeners = process.listenerCount('exit');
    const file = await writeThread("throw new Error('Nothing works.');");
    await expect(open(3, file)).rejects.toThrow('Nothing works');
    expect(process.listenerCount('exit')).toBe(exitListeners);
  });
});

test('twelve threads add one listener for the exit of this process', async () => {
  const exitListeners = process.listenerCount('exit');
  await open(12, await writeFakeThread(''));
  expect(process.listenerCount('exit')).toBe(exitListeners + 1);
});
