import { afterEach, expect, test } from 'vitest';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { JobSettings } from '../../coordinator/model/model.ts';
import { roundingEngine } from '../support/rounding-engine.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkersReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import {
  attachWorker,
  withoutTimings,
  trainToEnd,
  type LocalWorker,
  type RunResult,
} from '../support/training-run.ts';

// The last batch has 104 samples, and its last micro-shard 8. The last micro-shard of the test split has 13.
const dataset = syntheticDigits({ seed: 1, trainCount: 1000, testCount: 301 });
const settings: Partial<JobSettings> = { epochs: 2, microShard: 16, topology: tinyTopology([28, 28, 1], 10) };

let coordinator: TestCoordinator;
let workers: LocalWorker[] = [];

afterEach(async () => {
  await coordinator.close('done');
  await Promise.all(workers.map(({ ended }) => ended));
  workers = [];
});

async function run(count: number, changes: (step: number) => void = () => undefined): Promise<RunResult> {
  coordinator = await testCoordinator(dataset, settings);
  for (let i = 0; i < count; i++) {
    // Every third worker is four times as fast as the others.
    workers.push(
      attachWorker(coordinator.url, `w${i}`, roundingEngine({ perSampleMs: i % 3 === 2 ? 0.05 : 0.2 })),
    );
  }
  await waitForWorkersReady(coordinator, count);
  return trainToEnd(coordinator, dataset, { beforeStep: changes });
}

let alone: RunResult | null = null;
async function reference(): Promise<RunResult> {
  if (alone === null) {
    alone = await run(1);
    await coordinator.close('done');
  }
  return alone;
}

function expectSame(result: RunResult, expected: RunResult): void {
  expect(result.history.map(withoutTimings)).toEqual(expected.history.map(withoutTimings));
  expect(Buffer.from(result.weights.buffer).equals(Buffer.from(expected.weights.buffer))).toBe(true);
}

test.each([2, 3, 5, 8])(
  '%i unequal workers give the same bits as one, in weights and history',
  async (count) => {
    const expected = await reference();
    expectSame(await run(count), expected);
  },
);

test('workers that join and leave give the same bits as one', async () => {
  const expected = await reference();
  let joined = 0;
  expectSame(
    await run(3, (step) => {
      if (step % 2 === 0) return;
      workers.push(attachWorker(coordinator.url, `later-${step}`, roundingEngine()));
      joined++;
      // The oldest worker leaves within the step.
      setImmediate(() => workers[joined - 1]?.leave());
    }),
    expected,
  );
  expect(joined).toBeGreaterThan(5);
});

test('without exact mode the bits depend on the number of workers', async () => {
  const results: Float32Array[] = [];
  for (const count of [1, 3]) {
    coordinator = await testCoordinator(dataset, { ...settings, microShard: undefined });
    for (let i = 0; i < count; i++) workers.push(attachWorker(coordinator.url, `w${i}`, roundingEngine()));
    await waitForWorkersReady(coordinator, count);
    results.push((await trainToEnd(coordinator, dataset)).weights);
    await coordinator.close('done');
  }
  expect(results[0]).not.toEqual(results[1]);
});

test('a worker whose engine computes other bits is rejected with the reason', async () => {
  coordinator = await testCoordinator(dataset, settings);
  workers.push(attachWorker(coordinator.url, 'ann', roundingEngine()));
  await waitForWorkersReady(coordinator, 1);
  const other = attachWorker(coordinator.url, 'bob', roundingEngine({ build: 1 }));
  await waitForWorkersReady(coordinator, 2);
  // The first step decides which bits count: in a tie, those of the worker that joined first.
  const { weights } = await trainToEnd(coordinator, dataset);
  expect(await other.ended).toContain('this engine computes other bits: its build or processor differs');
  expect(coordinator.lines.some((line) => line.includes('bob'))).toBe(true);
  expect(coordinator.pool.workers.size).toBe(1);
  await coordinator.close('done');
  expect(Buffer.from(weights.buffer).equals(Buffer.from((await reference()).weights.buffer))).toBe(true);
});
