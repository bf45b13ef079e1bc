import { readSamples } from '../../shared/data/dataset.ts';
import { expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { runNodeWorker } from '../../worker-node/run-node-worker.ts';
import { writeFakeThread } from '../support/fake-thread.ts';
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
