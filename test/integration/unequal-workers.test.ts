import { afterEach, expect, test } from 'vitest';
import { clockOf } from '../../shared/clock.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { runWorker, RefusedError } from '../../shared/worker/connection-loop.ts';
import { connectWebSocket } from '../../worker-node/connect.ts';
import { cheapEngine, cheapGradient, type CheapSettings } from '../support/cheap-engine.ts';
import {
  testCoordinator,
  tinyTopology,
  workerReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';

const BATCH = 128;
const dataset = drawDigits({ seed: 1, trainCount: BATCH, testCount: 400 });
const batch = Uint32Array.from({ length: BATCH }, (_, i) => i);
const clock = clockOf(globalThis);

interface Attached extends CheapSettings {
  readonly notes: string[];
  /** Why it ended. */
  readonly ended: Promise<string>;
}

let coordinator: TestCoordinator;
let attached: Attached[] = [];
let step = 0;

async function start(audit?: number): Promise<void> {
  [attached, step] = [[], 0];
  coordinator = await testCoordinator(dataset, { topology: tinyTopology([28, 28, 1], 10), audit });
}

afterEach(async () => {
  await coordinator.close('The run is finished.');
  await Promise.all(attached.map(({ ended }) => ended));
});

/** A real worker over a real socket, in this process. */
async function attach(name: string, perSampleMs: number, device = 'cheap'): Promise<Attached> {
  const settings: CheapSettings = { perSampleMs, lie: (value) => value };
  const notes: string[] = [];
  const ended = runWorker({
    url: coordinator.url,
    name,
    engine: cheapEngine(settings, device),
    connect: connectWebSocket,
    clock,
    random: Math.random,
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
  await workerReady(coordinator, name);
  return worker;
}

/** @returns how long each step took; each has counted every sample once if all are honest */
async function run(steps: number, honest = true): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < steps; i++) {
    const startedMs = clock.now();
    const input = { step: step as Step, weights: coordinator.initialWeights, split: dataset.train };
    const { gradientSum } = await coordinator.rounds.gradient(input, batch, { next: batch });
    times.push(clock.now() - startedMs);
    for (const position of honest ? [0, 1, 777, gradientSum.length - 1] : []) {
      expect(gradientSum[position]).toBe(cheapGradient(step, batch, position));
    }
    step++;
  }
  return times;
}

const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

test('a worker that is ten times slower does not slow four others down', async () => {
  await start();
  for (const name of ['ann', 'bob', 'cyd', 'dan']) await attach(name, 1);
  await run(15);
  const without = medianOf(await run(30));
  const slow = await attach('slow', 10, 'phone');
  await run(60);
  const beside = medianOf(await run(30));
  console.log(`  ${without.toFixed(1)} ms a step without it, ${beside.toFixed(1)} ms with it`);
  expect(beside).toBeLessThan(1.2 * without);
  expect(slow.notes.join()).toMatch(/^Kept in reserve: A step takes \d+ ms without it/);
  expect(coordinator.lines.join()).toMatch(/slow is kept in reserve: A step takes/);
});

test('speeds of 1, 2 and 4 are used, and a worker that becomes five times slower is followed', async () => {
  await start();
  const [fast] = [
    await attach('fast', 0.5, 'a'),
    await attach('middle', 1, 'b'),
    await attach('slow', 2, 'c'),
  ];
  await run(20);
  const idealMs = BATCH / (1 / 0.5 + 1 + 1 / 2);
  const first = medianOf(await run(20));
  fast.perSampleMs = 2.5;
  await run(20);
  const second = medianOf(await run(20));
  const slowerMs = BATCH / (1 / 2.5 + 1 + 1 / 2);
  console.log(
    `  ${first.toFixed(1)} ms where ${idealMs.toFixed(1)} are ideal, then ${second.toFixed(1)} and ${slowerMs.toFixed(1)}`,
  );
  expect(first).toBeLessThan(1.3 * idealMs);
  expect(second).toBeLessThan(1.3 * slowerMs);
});

test('a worker that hangs costs a step a moment, and nobody waits for it at the end of an evaluation', async () => {
  await start();
  const [, , cyd] = [await attach('ann', 0.5), await attach('bob', 0.5), await attach('cyd', 0.5)];
  await run(15);
  cyd.perSampleMs = 60;
  const times = await run(5);
  expect(Math.max(...times)).toBeLessThan(1_000);
  const startedMs = clock.now();
  const input = { step: step as Step, weights: coordinator.initialWeights, split: dataset.test };
  expect(await coordinator.rounds.evaluate(input)).toMatchObject({ lossSum: 400 });
  expect(clock.now() - startedMs).toBeLessThan(15_000);
  cyd.perSampleMs = 0;
}, 60_000);

test('a worker that turns the sign is expelled by an audit of one shard in fifty, and stays away', async () => {
  await start(0.02);
  const [eve] = [
    await attach('eve', 0.02),
    await attach('ann', 0.02),
    await attach('bob', 0.02),
    await attach('cyd', 0.02, 'other'),
  ];
  await run(3);
  eve.lie = (value) => -value;
  let count = 0;
  while (coordinator.pool.members.size === 4 && count < 200) {
    await run(1, false);
    count++;
  }
  console.log(`  after ${count} steps`);
  expect(await eve.ended).toMatch(/^Its gradients are not those of .* and .*\.$/);
  expect(coordinator.lines.join()).toMatch(
    /! eve \(cheap on cheap\) is expelled: .* answers of it had counted\./,
  );
  await run(150);
  expect(coordinator.pool.members.size).toBe(3);
}, 60_000);
