import { readSamples } from '../../shared/data/dataset.ts';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import type { Worker } from '../../coordinator/pool/worker.ts';
import { systemClock } from '../../shared/util/clock.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { runWorker, RefusedError } from '../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../worker-node/connect-websocket.ts';
import { stubEngine, stubGradient, type StubSettings } from '../support/stub-engine.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkerReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import { fixedRandom } from '../support/property.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const BATCH = 128;
const dataset = syntheticDigits({ seed: 1, trainCount: BATCH, testCount: 400 });
const batch = Uint32Array.from({ length: BATCH }, (_, i) => i);
const clock = systemClock(globalThis);

interface Attached extends StubSettings {
  readonly notes: string[];
  /** Reason why the worker ended. */
  readonly ended: Promise<string>;
}

let coordinator: TestCoordinator;
let attached: Attached[] = [];
let step = 0;

async function start(): Promise<void> {
  attached = [];
  step = 0;
  coordinator = await testCoordinator(dataset, { topology: tinyTopology([28, 28, 1], 10) });
}

afterEach(async () => {
  await coordinator.close('The run is finished.');
  await Promise.all(attached.map(({ ended }) => ended));
  // Workers that leave at the end of a run are not reported.
  expect(coordinator.lines.join('\n')).not.toContain('left: The run is finished.');
});

/** Attaches a real worker over a real socket in this process. */
async function attach(name: string, perSampleMs: number, device = 'cheap'): Promise<Attached> {
  const settings: StubSettings = { perSampleMs, tamper: (value) => value };
  const notes: string[] = [];
  const ended = runWorker({
    url: coordinator.url,
    name,
    engine: stubEngine(settings, device),
    connect: connectWebSocket,
    clock,
    random: fixedRandom(),
    report: {
      joined: () => undefined,
      computed: () => undefined,
      waiting: (line) => notes.push(line),
      note: (line) => notes.push(line),
    },
    signal: new AbortController().signal,
  }).catch((error: unknown) => {
    if (error instanceof RefusedError) return error.reason;
    throw error;
  });
  const worker = Object.assign(settings, { notes, ended });
  attached.push(worker);
  await waitForWorkerReady(coordinator, name);
  return worker;
}

/** Runs steps. If all workers are honest, checks that each step has counted every sample once. */
async function run(steps: number, honest = true): Promise<void> {
  for (let i = 0; i < steps; i++) {
    const optimizer = fixedWeights(coordinator.initialWeights);
    const samples = readSamples(dataset.train, batch);
    const input = { step: step as Step, batch: samples, optimizer };
    const { gradientSum } = await coordinator.stepRunner.run(input, samples);
    for (const position of honest ? [0, 1, 777, gradientSum.length - 1] : []) {
      expect(gradientSum[position]).toBe(stubGradient(step, batch, position));
    }
    step++;
  }
}

/** Runs steps until the condition is true. Decisions by measured times take more steps on a busy machine. */
async function runUntil(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 400 && !condition(); i++) await run(1);
  expect(condition()).toBe(true);
}

function workerNamed(name: string): Worker {
  const found = [...coordinator.pool.workers.values()].find((worker) => worker.name === name);
  if (found === undefined) throw new Error(`There is no worker ${name}.`);
  return found;
}

/** Names of the workers, sorted by the samples of their last shard, the largest first. */
const byShardSize = (...names: string[]): string[] => {
  const samplesOf = (name: string): number => workerNamed(name).link.meter.shard?.samples ?? 0;
  return names.toSorted((a, b) => samplesOf(b) - samplesOf(a));
};

test('a worker that is ten times slower is put on standby and told so', async () => {
  await start();
  for (const name of ['ann', 'bob', 'cyd', 'dan']) await attach(name, 1);
  await run(15);
  const slow = await attach('slow', 10, 'phone');
  await runUntil(() => workerNamed('slow').isStandby);
  await run(1);
  expect(['ann', 'bob', 'cyd', 'dan'].map((name) => workerNamed(name).isStandby)).not.toContain(true);
  expect(slow.notes.join()).toMatch(/^Standby: Steps take \d+ ms without this worker/);
  expect(coordinator.lines.join()).toMatch(/slow is on standby: Steps take/);
});

test('shards follow speeds of 1, 2 and 4, and adapt when a worker becomes five times slower', async () => {
  await start();
  const fast = await attach('fast', 0.5, 'a');
  await attach('middle', 1, 'b');
  await attach('slow', 2, 'c');
  await runUntil(() => byShardSize('slow', 'middle', 'fast').join() === 'fast,middle,slow');
  fast.perSampleMs = 2.5;
  await runUntil(
    () => byShardSize('fast', 'slow', 'middle')[0] === 'middle' && byShardSize('fast', 'slow')[0] === 'slow',
  );
});

test('neither a step nor an evaluation waits for a worker that hangs', async () => {
  await start();
  await attach('ann', 0.5);
  await attach('bob', 0.5);
  const cyd = await attach('cyd', 0.5);
  await run(15);
  let release: () => void = () => undefined;
  cyd.hang = new Promise<void>((resolve) => (release = resolve));
  onTestFinished(() => release());
  const { stats } = workerNamed('cyd');
  const before = stats.samples;
  await run(5);
  const input = { step: step as Step, weights: coordinator.initialWeights, split: dataset.test };
  expect(await coordinator.stepRunner.evaluate(input)).toMatchObject({ lossSum: 400 });
  expect(stats.samples).toBe(before);
  release();
}, 60_000);
