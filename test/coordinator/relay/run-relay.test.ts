import { afterEach, expect, test } from 'vitest';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { JobSettings } from '../../../coordinator/model/model.ts';
import { attachRelay, type TestRelay } from '../../support/relay.ts';
import { roundingEngine } from '../../support/rounding-engine.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkersReady,
  type TestCoordinator,
} from '../../support/test-coordinator.ts';
import {
  attachWorker,
  trainToEnd,
  withoutTimings,
  type LocalWorker,
  type RunResult,
} from '../../support/training-run.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 1000, testCount: 301 });
const settings: Partial<JobSettings> = { epochs: 2, topology: tinyTopology([28, 28, 1], 10) };

let root: TestCoordinator;
let relays: TestRelay[] = [];
let workers: LocalWorker[] = [];

afterEach(async () => {
  await root.close('done');
  await Promise.all([...relays, ...workers].map(({ ended }) => ended));
  relays = [];
  workers = [];
});

const worker = (url: string, perSampleMs = 0.05): LocalWorker => {
  const attached = attachWorker(url, `w${workers.length}`, roundingEngine({ perSampleMs }));
  workers.push(attached);
  return attached;
};

async function relay(url: string, ...options: [Parameters<typeof attachRelay>[2]?]): Promise<TestRelay> {
  const attached = await attachRelay(url, `relay-${relays.length}`, ...options);
  relays.push(attached);
  return attached;
}

let alone: RunResult | null = null;
/** Result of an exact run with one worker. */
async function exactReference(): Promise<RunResult> {
  if (alone !== null) return alone;
  root = await testCoordinator(dataset, { ...settings, microShard: 16 });
  worker(root.url);
  await waitForWorkersReady(root, 1);
  alone = await trainToEnd(root, dataset);
  await root.close('done');
  return alone;
}

function expectSame(result: RunResult, expected: RunResult): void {
  expect(result.history.map(withoutTimings)).toEqual(expected.history.map(withoutTimings));
  expect(Buffer.from(result.weights.buffer).equals(Buffer.from(expected.weights.buffer))).toBe(true);
}

test('two relays with two and three workers, and a nested one, give the bits of one worker in an exact run', async () => {
  const expected = await exactReference();
  root = await testCoordinator(dataset, { ...settings, microShard: 16 });
  const first = await relay(root.url);
  const second = await relay(root.url);
  const nested = await relay(second.url);
  for (const { url } of [first, first, second, nested, nested]) worker(url);
  await waitForWorkersReady(root, 2);
  const result = await trainToEnd(root, dataset);
  expectSame(result, expected);
  expect(result.samples).toEqual(expected.samples);
});
