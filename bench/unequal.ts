// Compares steps on workers of unequal speed with the ideal: one that is ten times slower than four others, speeds of 1, 2 and
// 4, and one that becomes five times slower. The workers run in this process on real sockets; they compute nothing and wait
// for a configured time. Arguments: [steps = 60]
import { readSamples } from '../shared/data/dataset.ts';
import type { Step } from '../shared/protocol/messages.ts';
import { systemClock } from '../shared/util/clock.ts';
import { syntheticDigits } from '../shared/data/synthetic-digits.ts';
import { stubEngine, type StubSettings } from '../test/support/stub-engine.ts';
import { testCoordinator, tinyTopology, waitForWorkerReady } from '../test/support/test-coordinator.ts';
import { attachWorker } from '../test/support/training-run.ts';
import { median } from './support/statistics.ts';
import { fixedWeights } from '../coordinator/optimizer/fixed-weights.ts';

const BATCH = 128;
const WARM_UP_STEPS = 20;
const steps = Number(process.argv[2] ?? 60);
const clock = systemClock(globalThis);
const dataset = syntheticDigits({ seed: 1, trainCount: BATCH, testCount: 10 });
const batch = Uint32Array.from({ length: BATCH }, (_, i) => i);

interface Bench {
  readonly attach: (name: string, perSampleMs: number) => Promise<StubSettings>;
  /** Runs steps. @returns their times in milliseconds */
  readonly run: (count: number) => Promise<number[]>;
}

async function withCoordinator(work: (bench: Bench) => Promise<void>): Promise<void> {
  const coordinator = await testCoordinator(dataset, { topology: tinyTopology([28, 28, 1], 10) });
  const ended: Promise<string>[] = [];
  let taken = 0;
  await work({
    async attach(name, perSampleMs) {
      const settings = { perSampleMs, tamper: (value: number) => value };
      // Each worker reports a device of its own and so counts as another machine.
      ended.push(attachWorker(coordinator.url, name, stubEngine(settings, name)).ended);
      await waitForWorkerReady(coordinator, name);
      return settings;
    },
    async run(count) {
      const times: number[] = [];
      for (let i = 0; i < count; i++) {
        const startedMs = clock.now();
        const optimizer = fixedWeights(coordinator.initialWeights);
        const samples = readSamples(dataset.train, batch);
        await coordinator.stepRunner.run({ step: taken++ as Step, batch: samples, optimizer }, samples);
        times.push(clock.now() - startedMs);
      }
      return times;
    },
  });
  await coordinator.close('done');
  await Promise.all(ended);
}

const printRatio = (what: string, ratio: number, limit: number): void =>
  console.log(`  ${what}: ${ratio.toFixed(3)} (at most ${limit})`);

/** Ideal step time of workers with these times per sample, if all are busy for the whole step. */
const idealMs = (...perSampleMs: number[]): number =>
  BATCH / perSampleMs.reduce((rate, ms) => rate + 1 / ms, 0);

await withCoordinator(async ({ attach, run }) => {
  for (const name of ['ann', 'bob', 'cyd', 'dan']) await attach(name, 1);
  await run(WARM_UP_STEPS);
  const without = median(await run(steps));
  await attach('slow', 10);
  await run(3 * WARM_UP_STEPS);
  printRatio(
    'step with a worker ten times slower / step without it',
    median(await run(steps)) / without,
    1.05,
  );
});

await withCoordinator(async ({ attach, run }) => {
  const fast = await attach('fast', 0.5);
  await attach('middle', 1);
  await attach('slow', 2);
  await run(WARM_UP_STEPS);
  printRatio('step at speeds of 1, 2 and 4 / ideal', median(await run(steps)) / idealMs(0.5, 1, 2), 1.15);
  fast.perSampleMs *= 5;
  const target = 1.15 * idealMs(2.5, 1, 2);
  const times = await run(60);
  const adapted = times.findIndex((_, i) => median(times.slice(i, i + 5)) <= target);
  console.log(`  steps to adapt to a worker that became five times slower: ${adapted} (at most 20)`);
});
