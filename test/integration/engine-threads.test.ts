import { afterEach, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import { openEngineThreads } from '../../worker-node/thread/engine-threads.ts';
import type { ThreadedEngine } from '../../worker-node/thread/threaded-engine.ts';
import { engineThreadFile } from '../support/fake-thread.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkerReady,
  waitForWorkersReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import {
  attachWorker,
  trainToEnd,
  withoutTimings,
  type LocalWorker,
  type RunResult,
} from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';
import { spawnWorker } from '../support/worker-process.ts';

// The last batch has 40 samples, and its last micro-shard 8.
const dataset = syntheticDigits({ seed: 1, trainCount: 168, testCount: 45 });
const settings = {
  epochs: 1,
  batchSize: 64,
  microShard: 16,
  topology: tinyTopology([28, 28, 1], 10),
};

let coordinator: TestCoordinator;
let workers: LocalWorker[] = [];
let opened: ThreadedEngine[] = [];
afterEach(closeAll);

async function closeAll(): Promise<void> {
  await coordinator.close('done');
  await Promise.all(workers.map(({ ended }) => ended));
  await Promise.all(opened.map(({ close }) => close()));
  [workers, opened] = [[], []];
}

async function withThreads(threads: number): Promise<Engine> {
  const threaded = await openEngineThreads({
    file: engineThreadFile,
    choice: 'wasm',
    threads,
    note: () => undefined,
  });
  opened.push(threaded);
  return threaded.engine;
}

async function run(engines: readonly Engine[]): Promise<RunResult> {
  coordinator = await testCoordinator(dataset, settings);
  workers = engines.map((engine, i) => attachWorker(coordinator.url, `w${i}`, engine));
  await waitForWorkersReady(coordinator, engines.length);
  return trainToEnd(coordinator, dataset);
}

test('workers with one, two and three threads give an exact run the same bits', async () => {
  const alone = await run([await wasmEngine()]);
  await closeAll();
  const together = await run([await withThreads(2), await wasmEngine(), await withThreads(3)]);
  expect(together.history.map(withoutTimings)).toEqual(alone.history.map(withoutTimings));
  expect(Buffer.from(together.weights.buffer).equals(Buffer.from(alone.weights.buffer))).toBe(true);
});

test('a worker with --threads is one place in a run, whose engine has the threads', async () => {
  coordinator = await testCoordinator(dataset, settings);
  const worker = spawnWorker(coordinator.url, '--threads', '2', '--name', 'many');
  await waitForWorkerReady(coordinator, 'many');
  expect([...coordinator.pool.workers.values()].map(({ engine }) => engine.threads)).toEqual([2]);
  await trainToEnd(coordinator, dataset);
  await coordinator.close('done');
  expect(await worker.ended).toBe(0);
});
