import { readSamples } from '../../shared/data/dataset.ts';
import { expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { runNodeWorker } from '../../worker-node/run-node-worker.ts';
import { writeFakeThread, writeThread } from '../support/fake-thread.ts';
import { testCoordinator, tinyTopology, waitForWorkerReady } from '../support/test-coordinator.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

test('a worker whose engine is lost during a step leaves the run with the reason', async () => {
  const dataset = syntheticDigits({ seed: 1, trainCount: 4, testCount: 1 });
  const coordinator = await testCoordinator(dataset, {
    topology: tinyTopology([28, 28, 1], 10),
    batchSize: 4,
  });
  const worker = runNodeWorker({
    url: coordinator.url,
    name: 'ill',
    engine: 'wasm',
    threadFile: await writeFakeThread("throw new Error('The device is broken.');"),
    signal: new AbortController().signal,
    onMessage: () => undefined,
    note: () => undefined,
  });
  await waitForWorkerReady(coordinator, 'ill');
  const round = coordinator.stepRunner.run({
    step: 0 as Step,
    batch: readSamples(dataset.train, Uint32Array.of(0, 1, 2, 3)),
    optimizer: fixedWeights(coordinator.initialWeights),
  });
  await expect(worker).rejects.toThrow('The engine was lost: The device is broken.');
  await expect.poll(() => coordinator.pool.workers.size).toBe(0);
  coordinator.stop();
  await expect(round).rejects.toThrow();
  await coordinator.close('done');
});

test('a worker whose receiver of events fails ends the thread of its engine', async () => {
  const exitListeners = process.listenerCount('exit');
  const worker = runNodeWorker({
    url: 'ws://127.0.0.1:9',
    engine: 'wasm',
    threadFile: await writeFakeThread(''),
    signal: new AbortController().signal,
    onMessage: () => {
      throw new Error('The log is closed.');
    },
    note: () => undefined,
  });
  await expect(worker).rejects.toThrow('The log is closed.');
  // The engine's thread has ended when nothing is left to be removed at the end of the process.
  expect(process.listenerCount('exit')).toBe(exitListeners);
});

/** Thread whose engine answers that it is WebGPU if the choice may be one, and computes zeros. */
const MEASURED = `
  parentPort.on('message', (message) => {
    if (message === 'end') process.exit();
    const { call, request } = message;
    const answer = (answer) => parentPort.postMessage({ type: 'answer', call, answer });
    const result = { samples: 4, lossSum: 0, metrics: [0] };
    if (request?.type === 'open') {
      const backend = request.choice === 'no-webgpu' ? 'wasm' : 'webgpu';
      answer({ info: { backend, version: '1', device: 'none', threads: 1 }, why: 'a test' });
    }
    if (request?.type === 'load') answer({ supportsFactors: false });
    if (request?.type === 'gradient') answer({ result, buffer: null });
    if (request?.type === 'evaluate') answer(result);
  });`;

test.each([
  ['auto', 4, 'wasm'],
  ['webgpu', 4, 'webgpu'],
  ['auto', undefined, 'webgpu'],
] as const)(
  'with the engine %s and micro-shards of %s samples, a worker computes with %s',
  async (engine, microShard, expected) => {
    const dataset = syntheticDigits({ seed: 1, trainCount: 4, testCount: 4 });
    const coordinator = await testCoordinator(dataset, {
      ...{ topology: tinyTopology([28, 28, 1], 10), batchSize: 4, microShard },
    });
    const opened: string[] = [];
    const leave = new AbortController();
    const worker = runNodeWorker({
      ...{ url: coordinator.url, name: 'gpu', engine, signal: leave.signal },
      threadFile: await writeThread(MEASURED),
      onMessage: (message) => {
        if (message.type === 'engine') opened.push(message.text.split(' ')[0] ?? '');
      },
      note: () => undefined,
    });
    await waitForWorkerReady(coordinator, 'gpu');
    expect([...coordinator.pool.workers.values()].map((each) => each.engine.backend)).toEqual([expected]);
    expect(opened).toEqual(expected === 'wasm' ? ['webgpu', 'wasm'] : [expected]);
    leave.abort();
    await worker;
    await coordinator.close('done');
  },
);
