import { beforeAll, describe, expect, test } from 'vitest';
import { prepareJob, type PreparedJob } from '../../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../../shared/data/synthetic-digits.ts';
import type { Shard } from '../../../../shared/data/shard.ts';
import type { Engine, GradientComputer } from '../../../../shared/engine/engine.ts';
import { EngineLostError } from '../../../../shared/engine/remote-engine/client.ts';
import type { AllocateShared } from '../../../../shared/engine/remote-engine/weights-channel.ts';
import type { Step } from '../../../../shared/protocol/messages.ts';
import { connectEngine, memoryStrategies, served } from '../../../support/remote-engine.ts';
import { wasmEngine } from '../../../support/wasm-engine.ts';
import { imagesOf, labelsOf } from '../../../support/images.ts';

const SAMPLES = 8;
const dataset = syntheticDigits({ seed: 1, trainCount: SAMPLES, testCount: 1 });
/** Samples that lie behind a header, as in a frame. */
const shard: Shard = {
  sampleNumbers: Uint32Array.from({ length: SAMPLES + 2 }, (_, i) => i).subarray(2),
  inputs: [Uint8Array.of(0, ...imagesOf(dataset.train)).subarray(1)],
  targets: [Uint8Array.of(0, ...labelsOf(dataset.train)).subarray(1)],
};
let prepared: PreparedJob;
beforeAll(
  async () => void (prepared = await prepareJob(dataset, { batchSize: SAMPLES, epochs: 1, seed: 1 })),
);

/** Engine whose computers do nothing but what a test overrides. */
const fakeEngine = (overrides: Partial<GradientComputer>): Engine => ({
  info: { backend: 'fake', version: '1', device: 'none', threads: 1 },
  load: () =>
    Promise.resolve({
      setWeights: () => undefined,
      prepare: () => undefined,
      gradient: () => Promise.resolve({ lossSum: 1, metrics: [1] }),
      evaluate: () => Promise.resolve({ lossSum: 1, metrics: [1] }),
      predict: () => Promise.resolve(new Float32Array(10)),
      dispose: () => undefined,
      ...overrides,
    }),
});

const step = (number: number): Step => number as Step;
const vector = (): Float32Array => new Float32Array(prepared.initialWeights.length);
const bytesOf = (values: Float32Array): Buffer => Buffer.from(values.slice().buffer);

describe.each(memoryStrategies)('a remote engine with %s', (_, allocateShared) => {
  test('computes the same bits as the engine itself', async () => {
    const { job, initialWeights: weights } = prepared;
    const engine = await wasmEngine();
    const local = await engine.load(job);
    const { remote } = await connectEngine(allocateShared, served(engine));
    expect(remote.info).toEqual(engine.info);
    expect(remote.why).toBe('a test');
    const computer = await remote.load(job);
    const expected = new Float32Array(weights.length);
    const gradient = new Float32Array(weights.length);
    for (const number of [0, 1, 2]) {
      // One array whose contents change, as in a session.
      weights.forEach((value, i) => (weights[i] = value + 0.01 * number));
      local.setWeights(weights);
      computer.setWeights(weights);
      const result = await local.gradient(step(number), shard, expected);
      computer.prepare(step(number), shard);
      expect(await computer.gradient(step(number), shard, gradient)).toEqual(result);
      expect(bytesOf(gradient).equals(bytesOf(expected))).toBe(true);
    }
    expect(await computer.evaluate(shard)).toEqual(await local.evaluate(shard));
    expect(await computer.predict(shard.inputs, SAMPLES)).toEqual(await local.predict(shard.inputs, SAMPLES));
    local.dispose();
    computer.dispose();
  });

  test('sends the samples of a shard once, without the memory around them', async () => {
    const computed: Shard[] = [];
    const gradient = (_: Step, samples: Shard): Promise<{ lossSum: number; metrics: readonly number[] }> => {
      computed.push(samples);
      return Promise.resolve({ lossSum: 1, metrics: [1] });
    };
    const { remote, sent } = await connectEngine(allocateShared, served(fakeEngine({ gradient })));
    const computer = await remote.load(prepared.job);
    computer.prepare(step(1), shard);
    await computer.gradient(step(1), shard, vector());
    await computer.gradient(step(2), shard, vector());
    await computer.gradient(step(2), { ...shard }, vector());
    const samples = sent.flatMap((message) => {
      if (message.type === 'prepare') return [message.shard.samples !== null];
      if (message.type === 'request' && message.request.type === 'gradient') {
        return [message.request.shard.samples !== null];
      }
      return [];
    });
    expect(samples).toEqual([true, false, false, true]);
    expect(computed[0]).toBe(computed[1]);
    expect(computed[2]).not.toBe(computed[1]);
    for (const {
      sampleNumbers,
      inputs: [images],
      targets: [labels],
    } of computed) {
      expect([...sampleNumbers]).toEqual([...shard.sampleNumbers]);
      expect(images?.byteLength).toBe(images?.buffer.byteLength);
      expect(labels?.byteLength).toBe(labels?.buffer.byteLength);
    }
  });

  test('does not write to a bucket that it has reported', async () => {
    const offset = 1000;
    const gradient: GradientComputer['gradient'] = (_step, _shard, target, bucket) => {
      target.fill(1);
      bucket?.onReady();
      return Promise.resolve({ lossSum: 1, metrics: [1] });
    };
    const { remote } = await connectEngine(allocateShared, served(fakeEngine({ gradient })));
    const computer = await remote.load(prepared.job);
    const target = vector();
    await computer.gradient(step(1), shard, target, { offset, onReady: () => void target.fill(5, offset) });
    expect(new Set(target.subarray(0, offset))).toEqual(new Set([1]));
    // Without shared memory, no bucket is reported.
    expect(new Set(target.subarray(offset))).toEqual(new Set([allocateShared === null ? 1 : 5]));
  });

  test('keeps the jobs that it has loaded apart', async () => {
    const disposed: number[] = [];
    let loads = 0;
    const engine: Engine = {
      ...fakeEngine({}),
      load(job) {
        const number = loads++;
        return fakeEngine({
          evaluate: () => Promise.resolve({ lossSum: number, metrics: [0] }),
          dispose: () => void disposed.push(number),
        }).load(job);
      },
    };
    const { remote } = await connectEngine(allocateShared, served(engine));
    const [first, second] = await Promise.all([remote.load(prepared.job), remote.load(prepared.job)]);
    expect(await first.evaluate(shard)).toEqual({ lossSum: 0, metrics: [0] });
    first.dispose();
    expect(await second.evaluate(shard)).toEqual({ lossSum: 1, metrics: [0] });
    expect(disposed).toEqual([0]);
    await expect(first.evaluate(shard)).rejects.toThrow('This job is not loaded.');
  });

  test('reports that an engine supports factors', async () => {
    for (const supportsFactors of [true, false]) {
      const { remote } = await connectEngine(allocateShared, served(fakeEngine({ supportsFactors })));
      expect((await remote.load(prepared.job)).supportsFactors).toBe(supportsFactors);
    }
  });

  test('rejects answers while the last setWeights has failed', async () => {
    const setWeights = ([first]: Float32Array): void => {
      if (first === 1) throw new Error('No memory for weights.');
    };
    const { remote } = await connectEngine(allocateShared, served(fakeEngine({ setWeights })));
    const computer = await remote.load(prepared.job);
    computer.setWeights(Float32Array.of(1));
    await expect(computer.gradient(step(0), shard, vector())).rejects.toThrow('No memory for weights.');
    await expect(computer.evaluate(shard)).rejects.toThrow('No memory for weights.');
    computer.setWeights(Float32Array.of(2));
    await expect(computer.evaluate(shard)).resolves.toBeDefined();
  });

  test('computes on after a request has failed', async () => {
    let failures = 1;
    const gradient = (): Promise<{ lossSum: number; metrics: readonly number[] }> =>
      failures-- > 0
        ? Promise.reject(new Error('The device is busy.'))
        : Promise.resolve({ lossSum: 1, metrics: [1] });
    const prepare = (): void => {
      throw new Error('Nothing to prepare.');
    };
    const { remote, notes } = await connectEngine(allocateShared, served(fakeEngine({ gradient, prepare })));
    const computer = await remote.load(prepared.job);
    computer.prepare(step(0), shard);
    await expect(computer.gradient(step(0), shard, vector())).rejects.toThrow('The device is busy.');
    await expect(computer.gradient(step(0), shard, vector())).resolves.toBeDefined();
    expect(notes).toEqual(['Nothing to prepare.']);
  });

  test('is lost when the device is gone: pending and later requests fail, and the thread is ended', async () => {
    let loseDevice: (reason: string) => void = () => undefined;
    const evaluate = (): Promise<never> => {
      loseDevice('the browser took the GPU away');
      return new Promise(() => undefined);
    };
    const { remote, isEnded } = await connectEngine(allocateShared, () =>
      Promise.resolve({
        engine: fakeEngine({ evaluate }),
        why: 'a test',
        onLost: (callback) => void (loseDevice = callback),
      }),
    );
    const computer = await remote.load(prepared.job);
    const sentence = 'The engine was lost: the browser took the GPU away';
    await expect(computer.evaluate(shard)).rejects.toThrow(sentence);
    expect((await remote.lost).reason).toBe('the browser took the GPU away');
    expect(isEnded()).toBe(true);
    computer.setWeights(new Float32Array(1));
    await expect(computer.evaluate(shard)).rejects.toThrow(sentence);
    await expect(remote.load(prepared.job)).rejects.toThrow(EngineLostError);
  });

  test('is lost when its thread ends, but not when it is closed', async () => {
    const evaluate = (): Promise<never> => new Promise(() => undefined);
    for (const isClosed of [false, true]) {
      const { remote, endThread, isEnded } = await connectEngine(
        allocateShared,
        served(fakeEngine({ evaluate })),
      );
      let lost = false;
      void remote.lost.then(() => (lost = true));
      const pending = (await remote.load(prepared.job)).evaluate(shard);
      const sentence = isClosed ? 'The engine is closed.' : 'The engine was lost: no memory';
      const failed = expect(pending).rejects.toThrow(sentence);
      if (isClosed) remote.close();
      endThread('no memory');
      await failed;
      expect(lost).toBe(!isClosed);
      expect(isEnded()).toBe(true);
    }
  });

  test('fails to open with the sentence of the server', async () => {
    const open = (): Promise<never> => Promise.reject(new Error('No WebGPU here.'));
    await expect(connectEngine(allocateShared, open)).rejects.toThrow('No WebGPU here.');
  });
});

/** Engine that fills the gradient, and reports the bucket when its part is filled. */
const bucketEngine = fakeEngine({
  gradient(_step, _shard, gradient, bucket) {
    const offset = bucket?.offset ?? 0;
    gradient.fill(2, offset);
    bucket?.onReady();
    gradient.fill(1, 0, offset);
    return Promise.resolve({ lossSum: 1, metrics: [1] });
  },
});

test.each(memoryStrategies)(
  'a bucket is reported only with shared buffers; here: %s',
  async (_, allocateShared) => {
    const { remote } = await connectEngine(allocateShared, served(bucketEngine));
    const computer = await remote.load(prepared.job);
    const { length } = prepared.initialWeights;
    const offset = length - 2;
    const gradient = new Float32Array(length);
    const buckets: number[][] = [];
    const onReady = (): void => void buckets.push([...gradient.subarray(offset)]);
    await computer.gradient(step(0), shard, gradient, { offset, onReady });
    expect(buckets).toEqual(allocateShared === null ? [] : [[2, 2]]);
    expect([...gradient.subarray(offset - 1)]).toEqual(
      [1, 2, 2].map((v) => (allocateShared === null ? 2 : v)),
    );
  },
);

test('a gradient in shared memory is written there, and named once', async () => {
  const allocateShared: AllocateShared = (bytes) => new SharedArrayBuffer(bytes);
  const { remote, sent } = await connectEngine(allocateShared, served(bucketEngine));
  const computer = await remote.load(prepared.job);
  const gradient = new Float32Array(computer.allocateBuffer!(prepared.initialWeights.byteLength));
  for (const number of [0, 1]) await computer.gradient(step(number), shard, gradient);
  expect(gradient[0]).toBe(2);
  const buffers = sent.flatMap((message) =>
    message.type === 'request' && message.request.type === 'gradient' ? [message.request.buffer] : [],
  );
  expect(buffers[0]).toBe(gradient);
  expect(buffers[1]).toBeNull();
});

test('a copy of weights in shared memory is reused only when later weights were computed with', async () => {
  const allocateShared: AllocateShared = (bytes) => new SharedArrayBuffer(bytes);
  const { remote, sent } = await connectEngine(allocateShared, served(fakeEngine({})));
  const computer = await remote.load(prepared.job);
  for (const first of [1, 2, 3]) computer.setWeights(Float32Array.of(first));
  await computer.evaluate(shard);
  for (const first of [4, 5, 6]) computer.setWeights(Float32Array.of(first));
  const buffers = sent.flatMap((message) => (message.type === 'setWeights' ? [message.weights.buffer] : []));
  expect(new Set(buffers.slice(0, 3)).size).toBe(3);
  // The third may still be read; the first two are free, and the sixth needs new memory.
  expect(new Set(buffers.slice(3, 5))).toEqual(new Set(buffers.slice(0, 2)));
  expect(new Set(buffers).size).toBe(4);
});
