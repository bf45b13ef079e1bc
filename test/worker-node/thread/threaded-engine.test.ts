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
import { engineThreadFile, writeFakeThread, writeThread } from '../../support/fake-thread.ts';
import { tinyTopology } from '../../support/test-coordinator.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const SAMPLES = 8;
const dataset = syntheticDigits({ seed: 1, trainCount: SAMPLES, testCount: 1 });
const shard: Shard = {
  sampleNumbers: Uint32Array.from({ length: SAMPLES }, (_, i) => i + 3),
  images: dataset.train.images,
  labels: dataset.train.labels,
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
/** Memory that the thread sees. */
const roomOf = (trainer: GradientComputer): Float32Array =>
  new Float32Array(trainer.allocateBuffer!(prepared.initialWeights.byteLength));

describe('an engine in a thread', () => {
  test('computes what it computes in this one, to the bit', async () => {
    const { job, initialWeights: weights } = prepared;
    const [here, there] = [
      await (await wasmEngine()).load(job),
      await (await open(engineThreadFile)).engine.load(job),
    ];
    const room = roomOf(there);
    const [expected, copied] = [new Float32Array(weights.length), new Float32Array(weights.length)];
    for (const number of [0, 1, 2]) {
      // As a session does it: one and the same memory, whose contents change.
      weights.forEach((value, i) => (weights[i] = value + 0.01 * number));
      here.setWeights(weights);
      there.setWeights(weights);
      there.prepare(step(number), shard);
      const result = await here.gradient(step(number), shard, expected);
      expect(await there.gradient(step(number), shard, room)).toEqual(result);
      expect(bytesOf(room).equals(bytesOf(expected))).toBe(true);
      expect(await there.gradient(step(number), shard, copied)).toEqual(result);
      expect(bytesOf(copied).equals(bytesOf(expected))).toBe(true);
    }
    expect(await there.evaluate(shard)).toEqual(await here.evaluate(shard));
    expect(await there.predict(shard.images, SAMPLES)).toEqual(await here.predict(shard.images, SAMPLES));
    here.dispose();
    there.dispose();
  });

  test('takes weights in two pieces, and tells of the tail before the rest is there', async () => {
    const { job, initialWeights: weights } = prepared;
    const [here, there] = [
      await (await wasmEngine()).load(job),
      await (await open(engineThreadFile)).engine.load(job),
    ];
    const offset = 9568;
    here.setWeights(weights);
    const expected = new Float32Array(weights.length);
    await here.gradient(step(0), shard, expected);
    for (const gradient of [roomOf(there), new Float32Array(weights.length)]) {
      there.setWeights(weights.subarray(offset), offset);
      there.setWeights(weights.subarray(0, offset));
      const tails: Float32Array[] = [];
      const onReady = (): void => void tails.push(gradient.slice(offset));
      await there.gradient(step(0), shard, gradient, { offset, onReady });
      expect(tails).toEqual([expected.slice(offset)]);
      expect(bytesOf(gradient).equals(bytesOf(expected))).toBe(true);
    }
  });

  test('is handed the memory of weights that are given to it, if nothing else lies there', async () => {
    const { job, initialWeights: weights } = prepared;
    const [here, there] = [
      await (await wasmEngine()).load(job),
      await (await open(engineThreadFile)).engine.load(job),
    ];
    const expected = new Float32Array(weights.length);
    here.setWeights(weights);
    await here.gradient(step(0), shard, expected);
    const header = 12;
    for (const [given, behind] of [
      [true, 0],
      [true, 4],
      [false, 0],
    ] as const) {
      const message = new Float32Array(header + weights.length + behind);
      message.set(weights, header);
      const gradient = roomOf(there);
      there.setWeights(message.subarray(header, header + weights.length), 0, given);
      // What was handed over is empty here.
      expect(message.length === 0).toBe(given && behind === 0);
      await there.gradient(step(0), shard, gradient);
      expect(bytesOf(gradient).equals(bytesOf(expected))).toBe(true);
    }
    // Small messages share the memory of one read from the socket.
    const part = new Float32Array(9568);
    there.setWeights(part, 0, true);
    expect(part).toHaveLength(9568);
  });

  test('says of itself what it says in this one, and why no other was taken', async () => {
    const { engine, why } = await open(engineThreadFile);
    expect(engine.info).toEqual((await wasmEngine()).info);
    expect(why).toBe('asked for');
  });

  test('refuses a job that it cannot build with the sentence that it has for that', async () => {
    const { engine } = await open(engineThreadFile);
    const job = { ...prepared.job, topology: tinyTopology([28, 28, 1], 10) };
    await expect(engine.load(job)).rejects.toThrow(/The model built here has the tensors/);
    await expect(engine.load(prepared.job)).resolves.toBeDefined();
  });
});

describe('an engine thread that dies', () => {
  test.each([
    ['by an error', "throw new Error('The device is broken');", /The engine was lost: The device is broken/],
    ['by a rejection', "Promise.reject(new Error('No memory'));", /The engine was lost: No memory/],
    ['by an exit', 'process.exit(3);', /The engine was lost: its thread has ended with code 3/],
  ])('%s fails what is waiting, and what comes after', async (_, deed, sentence) => {
    const { engine, died } = await open(await writeFakeThread(deed));
    const trainer = await engine.load(prepared.job);
    trainer.setWeights(prepared.initialWeights);
    await expect(trainer.gradient(step(0), shard, roomOf(trainer))).rejects.toThrow(sentence);
    expect(died.reason).toBeInstanceOf(EngineLostError);
    trainer.setWeights(prepared.initialWeights);
    await expect(trainer.gradient(step(0), shard, roomOf(trainer))).rejects.toThrow(sentence);
    await expect(engine.load(prepared.job)).rejects.toThrow(sentence);
  });

  test('before it has opened is an error, and not a wait', async () => {
    await expect(open(await writeThread("throw new Error('Nothing works.');"))).rejects.toThrow(
      /The engine was lost: Nothing works/,
    );
    await expect(open(await writeThread(''))).rejects.toThrow(/its thread has ended with code 0/);
    await expect(open('/nonexistent-thread.mjs')).rejects.toThrow(/nonexistent-thread/);
  });

  test('when it is closed, fails what is waiting', async () => {
    const { engine, died, close } = await open(await writeFakeThread(''));
    const trainer = await engine.load(prepared.job);
    const gradient = trainer.gradient(step(0), shard, roomOf(trainer));
    const failed = expect(gradient).rejects.toThrow('The engine is closed.');
    await close();
    await failed;
    expect(died.aborted).toBe(false);
  });

  test('when it is closed while it loads a graph, leaves no files', async () => {
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

  test('when it is stuck in native code, says so to whoever closes it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gradcast-stuck-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const [begun, over] = [join(folder, 'begun'), join(folder, 'over')];
    const wait = `const { existsSync: is, writeFileSync } = require('node:fs');
      writeFileSync(${JSON.stringify(begun)}, '');
      setInterval(() => is(${JSON.stringify(over)}) && process.exit(), 5);`;
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
      writeFileSync(over, '');
    };
    const note = (): void => undefined;
    const { close } = await openThreadedEngine({ file, choice: 'wasm', note, onStuck, stopTimeoutMs: 10 });
    await expect.poll(() => existsSync(begun)).toBe(true);
    await close();
    expect(stuck).toBe(1);
    await (
      await openThreadedEngine({ file: await writeFakeThread(''), choice: 'wasm', note, onStuck })
    ).close();
    expect(stuck).toBe(1);
  });
});
