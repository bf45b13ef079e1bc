import { existsSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { prepareJob, type PreparedJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Shard } from '../../../shared/data/shard.ts';
import type { GradientComputer } from '../../../shared/engine/engine.ts';
import { EngineLostError } from '../../../shared/engine/remote-engine/client.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { openThreadedEngine, type ThreadedEngine } from '../../../worker-node/thread/threaded-engine.ts';
import { spawnProgram } from '../../support/worker-process.ts';
import { engineThreadFile, writeFakeThread, writeThread } from '../../support/fake-thread.ts';
import { tinyTopology } from '../../support/test-coordinator.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const HOOKS = new URL('../../../scripts/typescript-hooks.js', import.meta.url).href;
const THREADED_ENGINE = new URL('../../../worker-node/thread/threaded-engine.ts', import.meta.url).href;
const SAMPLES = 8;
const dataset = syntheticDigits({ seed: 1, trainCount: SAMPLES, testCount: 1 });
const shard: Shard = {
  sampleNumbers: Uint32Array.from({ length: SAMPLES }, (_, i) => i + 3),
  ...dataset.train,
};
let prepared: PreparedJob;
beforeAll(
  async () => void (prepared = await prepareJob(dataset, { batchSize: SAMPLES, epochs: 1, seed: 1 })),
);

let opened: ThreadedEngine | null = null;
async function open(file: string): Promise<ThreadedEngine> {
  opened = await openThreadedEngine({ file, choice: 'wasm', note: () => undefined });
  return opened;
}
afterEach(async () => {
  await opened?.close();
  opened = null;
});

const bytesOf = ({ buffer }: Float32Array): Buffer => Buffer.from(buffer);
const step = (number: number): Step => number as Step;
/** Buffer that the thread sees. */
const bufferOf = (computer: GradientComputer): Float32Array =>
  new Float32Array(computer.allocateBuffer!(prepared.initialWeights.byteLength));

describe('an engine in a thread', () => {
  test('computes the same bits as in this thread', async () => {
    const { job, initialWeights: weights } = prepared;
    const local = await (await wasmEngine()).load(job);
    const remote = await (await open(engineThreadFile)).engine.load(job);
    const buffer = bufferOf(remote);
    const expected = new Float32Array(weights.length);
    const copied = new Float32Array(weights.length);
    for (const number of [0, 1, 2]) {
      // One array whose contents change, as in a session.
      weights.forEach((value, i) => (weights[i] = value + 0.01 * number));
      local.setWeights(weights);
      remote.setWeights(weights);
      remote.prepare(step(number), shard);
      const result = await local.gradient(step(number), shard, expected);
      expect(await remote.gradient(step(number), shard, buffer)).toEqual(result);
      expect(bytesOf(buffer).equals(bytesOf(expected))).toBe(true);
      expect(await remote.gradient(step(number), shard, copied)).toEqual(result);
      expect(bytesOf(copied).equals(bytesOf(expected))).toBe(true);
    }
    expect(await remote.evaluate(shard)).toEqual(await local.evaluate(shard));
    expect(await remote.predict(shard.inputs, SAMPLES)).toEqual(await local.predict(shard.inputs, SAMPLES));
    local.dispose();
    remote.dispose();
  });

  test('reports a bucket before the rest of the gradient', async () => {
    const { job, initialWeights: weights } = prepared;
    const local = await (await wasmEngine()).load(job);
    const remote = await (await open(engineThreadFile)).engine.load(job);
    const offset = 9568;
    local.setWeights(weights);
    const expected = new Float32Array(weights.length);
    await local.gradient(step(0), shard, expected);
    for (const gradient of [bufferOf(remote), new Float32Array(weights.length)]) {
      remote.setWeights(weights);
      const buckets: Float32Array[] = [];
      const onReady = (): void => void buckets.push(gradient.slice(offset));
      await remote.gradient(step(0), shard, gradient, { offset, onReady });
      expect(buckets).toEqual([expected.slice(offset)]);
      expect(bytesOf(gradient).equals(bytesOf(expected))).toBe(true);
    }
  });

  test('receives the buffer of weights with transferOwnership, if the weights have it to themselves', async () => {
    const { job, initialWeights: weights } = prepared;
    const local = await (await wasmEngine()).load(job);
    const remote = await (await open(engineThreadFile)).engine.load(job);
    const expected = new Float32Array(weights.length);
    local.setWeights(weights);
    await local.gradient(step(0), shard, expected);
    const header = 12;
    for (const [transferOwnership, valuesBehind] of [
      [true, 0],
      [true, 4],
      [false, 0],
    ] as const) {
      const message = new Float32Array(header + weights.length + valuesBehind);
      message.set(weights, header);
      const gradient = bufferOf(remote);
      remote.setWeights(message.subarray(header, header + weights.length), transferOwnership);
      // A transferred array is empty.
      expect(message.length === 0).toBe(transferOwnership && valuesBehind === 0);
      await remote.gradient(step(0), shard, gradient);
      expect(bytesOf(gradient).equals(bytesOf(expected))).toBe(true);
    }
    // Small messages share the buffer of one read from the socket.
    const part = new Float32Array(9568);
    remote.setWeights(part, true);
    expect(part).toHaveLength(9568);
  });

  test('has the same info as in this thread, and the reason for its choice', async () => {
    const { engine, why } = await open(engineThreadFile);
    expect(engine.info).toEqual((await wasmEngine()).info);
    expect(why).toBe('asked for');
  });

  test('rejects a job that it cannot build with the sentence of the engine', async () => {
    const { engine } = await open(engineThreadFile);
    const job = { ...prepared.job, topology: tinyTopology([28, 28, 1], 10) };
    await expect(engine.load(job)).rejects.toThrow(/The model built here has the tensors/);
    await expect(engine.load(prepared.job)).resolves.toBeDefined();
  });
});

describe('an engine thread that ends', () => {
  test.each([
    ['by an error', "throw new Error('The device is broken');", /The engine was lost: The device is broken/],
    ['by a rejection', "Promise.reject(new Error('No memory'));", /The engine was lost: No memory/],
    ['by an exit', 'process.exit(3);', /The engine was lost: its thread has ended with code 3/],
  ])('%s rejects pending and later calls', async (_, deed, sentence) => {
    const { engine, lost } = await open(await writeFakeThread(deed));
    const computer = await engine.load(prepared.job);
    computer.setWeights(prepared.initialWeights);
    await expect(computer.gradient(step(0), shard, bufferOf(computer))).rejects.toThrow(sentence);
    expect(lost.reason).toBeInstanceOf(EngineLostError);
    computer.setWeights(prepared.initialWeights);
    await expect(computer.gradient(step(0), shard, bufferOf(computer))).rejects.toThrow(sentence);
    await expect(engine.load(prepared.job)).rejects.toThrow(sentence);
  });

  test('before the engine is open rejects the opening', async () => {
    await expect(open(await writeThread("throw new Error('Nothing works.');"))).rejects.toThrow(
      /The engine was lost: Nothing works/,
    );
    await expect(open(await writeThread(''))).rejects.toThrow(/its thread has ended with code 0/);
    await expect(open('/nonexistent-thread.mjs')).rejects.toThrow(/nonexistent-thread/);
  });

  test('because it is closed rejects pending calls', async () => {
    const { engine, lost, close } = await open(await writeFakeThread(''));
    const computer = await engine.load(prepared.job);
    const gradient = computer.gradient(step(0), shard, bufferOf(computer));
    const failed = expect(gradient).rejects.toThrow('The engine is closed.');
    await close();
    await failed;
    expect(lost.aborted).toBe(false);
  });

  test('because it is closed while it loads a graph leaves no files', async () => {
    const made = join(tmpdir(), `gradcast-graph-${process.pid}-made`);
    const { close } = await open(
      await writeThread(`
        import { mkdirSync } from 'node:fs';
        mkdirSync(${JSON.stringify(made)});
        const info = { backend: 'fake', version: '1', device: 'none', threads: 1 };
        parentPort.once('message', ({ call }) => {
          parentPort.postMessage({ type: 'answer', call, answer: { info, why: 'a test' } });
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        });`),
    );
    expect(existsSync(made)).toBe(true);
    await close();
    expect(existsSync(made)).toBe(false);
  });

  test('too late, because it is stuck in native code, calls onStuck', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-stuck-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const started = join(folder, 'started');
    const ended = join(folder, 'ended');
    const wait = `const { existsSync: is, writeFileSync } = require('node:fs');
      writeFileSync(${JSON.stringify(started)}, '');
      setInterval(() => is(${JSON.stringify(ended)}) && process.exit(), 5);`;
    const file = await writeThread(`
      import { execFileSync } from 'node:child_process';
      const info = { backend: 'fake', version: '1', device: 'none', threads: 1 };
      parentPort.once('message', ({ call }) => {
        parentPort.postMessage({ type: 'answer', call, answer: { info, why: 'a test' } });
        execFileSync(process.execPath, ['-e', ${JSON.stringify(wait)}]);
      });`);
    let stuck = 0;
    const onStuck = (): void => {
      stuck++;
      writeFileSync(ended, '');
    };
    const note = (): void => undefined;
    const { close } = await openThreadedEngine({ file, choice: 'wasm', note, onStuck, stopTimeoutMs: 10 });
    await expect.poll(() => existsSync(started)).toBe(true);
    await close();
    expect(stuck).toBe(1);
    await (
      await openThreadedEngine({ file: await writeFakeThread(''), choice: 'wasm', note, onStuck })
    ).close();
    expect(stuck).toBe(1);
  });

  test('too late, because its GPU does not answer, is left alone and keeps the process from nothing', async () => {
    const file = await writeThread(`
      const info = { backend: 'webgpu', version: '1', device: 'none', threads: 1 };
      parentPort.once('message', ({ call }) => {
        parentPort.postMessage({ type: 'answer', call, answer: { info, why: 'a test' } });
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      });`);
    const run = async (end: string): Promise<readonly [number | string, string]> => {
      const program = `
        import { register } from 'node:module';
        register(${JSON.stringify(HOOKS)}, import.meta.url);
        const { openThreadedEngine } = await import(${JSON.stringify(THREADED_ENGINE)});
        const { close } = await openThreadedEngine({
          file: ${JSON.stringify(file)},
          choice: 'auto',
          note: () => undefined,
          onStuck: () => process.exit(1),
          stopTimeoutMs: 10,
        });
        process.on('SIGINT', () => process.exit(2));
        ${end}`;
      const child = spawnProgram([process.execPath, await writeThread(program)], process.env);
      return [await child.ended, child.output()];
    };
    // As a shell has it: 130. The exit itself would wait for what the thread computes.
    expect(await run('await close();')).toEqual(['SIGINT', '']);
    expect(await run('process.exit(130);')).toEqual(['SIGINT', '']);
  });
});
