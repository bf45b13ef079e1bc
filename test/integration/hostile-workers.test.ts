import { readSamples } from '../../shared/data/dataset.ts';
import { afterEach, expect, test } from 'vitest';
import type { Step } from '../../shared/protocol/messages.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { stubEngine, stubGradient, openStubEngine, type StubSettings } from '../support/stub-engine.ts';
import {
  testCoordinator,
  tinyTopology,
  waitForWorkerReady,
  type TestCoordinator,
} from '../support/test-coordinator.ts';
import { attachWorker } from '../support/training-run.ts';
import { fixedWeights } from '../../coordinator/optimizer/fixed-weights.ts';

const BATCH = 120;
const dataset = syntheticDigits({ seed: 1, trainCount: BATCH, testCount: 40 });
const batch = Uint32Array.from({ length: BATCH }, (_, i) => i);

interface Attached extends StubSettings {
  readonly ended: Promise<string>;
}

let coordinator: TestCoordinator;
let attached: Attached[] = [];
let step = 0;

async function start(options: Parameters<typeof testCoordinator>[1] = {}): Promise<void> {
  attached = [];
  step = 0;
  coordinator = await testCoordinator(dataset, {
    topology: tinyTopology([28, 28, 1], 10),
    openOwnEngine: openStubEngine,
    ...options,
  });
}

afterEach(async () => {
  await coordinator.close('The run is finished.');
  await Promise.all(attached.map(({ ended }) => ended));
});

/** Attaches real workers over real sockets in this process. The test changes their settings. */
async function attach(...names: string[]): Promise<Attached[]> {
  const made = names.map((name) => {
    const settings: StubSettings = { perSampleMs: 0.02, tamper: (value) => value };
    const { ended } = attachWorker(coordinator.url, name, stubEngine(settings, name));
    return Object.assign(settings, { ended });
  });
  attached.push(...made);
  for (const name of names) await waitForWorkerReady(coordinator, name);
  return made;
}

/** Runs steps. @returns whether every sum was that of honest gradients */
async function sumsAreRight(steps: number): Promise<boolean> {
  let isRight = true;
  for (let i = 0; i < steps; i++, step++) {
    const optimizer = fixedWeights(coordinator.initialWeights);
    const input = { step: step as Step, batch: readSamples(dataset.train, batch), optimizer };
    const { gradientSum } = await coordinator.stepRunner.run(input);
    for (const position of [0, 1, gradientSum.length - 1]) {
      isRight &&= gradientSum[position] === stubGradient(step, batch, position);
    }
    await coordinator.stepRunner.waitForChecks();
  }
  return isRight;
}

const present = (): string[] => [...coordinator.pool.workers.values()].map(({ name }) => name).toSorted();

test.each([1e30, 1e18, -1, -3, 0])(
  'an answer of %d times the true gradient in the first step does not count, and its worker is banned',
  async (factor) => {
    await start();
    const [eve] = await attach('eve', 'ann', 'bob', 'cyd');
    eve!.tamper = (value) => factor * value;
    expect(await sumsAreRight(3)).toBe(true);
    expect(present()).toEqual(['ann', 'bob', 'cyd']);
    expect(await eve!.ended).toMatch(/: The gradient in its answer for \d+ samples of step 0 differs by/);
  },
);

test('two of five workers that send the same wrong answers are banned, and no honest worker is', async () => {
  await start({ audit: 0.02 });
  const [eve, mal] = await attach('eve', 'mal', 'ann', 'bob', 'cyd');
  expect(await sumsAreRight(5)).toBe(true);
  for (const liar of [eve!, mal!]) liar.tamper = (value) => -value;
  const areRight = await sumsAreRight(150);
  expect(present()).toEqual(['ann', 'bob', 'cyd']);
  // Wrong answers count if the random shards hide them from the filter; the run then has to rewind to a step before them.
  const rewindTo = coordinator.stepRunner.consumeRewindRequest();
  expect(areRight || (rewindTo !== null && rewindTo <= 5)).toBe(true);
});

test('a worker that answers zeros without computing is banned', async () => {
  await start();
  const [eve] = await attach('eve', 'ann', 'bob');
  expect(await sumsAreRight(3)).toBe(true);
  Object.assign(eve!, { perSampleMs: 0, tamper: () => 0 });
  expect(await sumsAreRight(10)).toBe(true);
  expect(present()).toEqual(['ann', 'bob']);
});

test('the coordinator bans no worker if its own engines disagree', async () => {
  let opened = 0;
  await start({
    openOwnEngine: () =>
      Promise.resolve({
        // Each opened engine computes another value.
        engine: stubEngine({ perSampleMs: 0, tamper: (value) => (1 + ++opened) * value + 1 }),
        close: () => Promise.resolve(),
      }),
  });
  await attach('ann', 'bob');
  expect(await sumsAreRight(3)).toBe(true);
  expect(present()).toEqual(['ann', 'bob']);
  expect(coordinator.lines.join('\n')).toMatch(
    /! Answers of workers are not checked: two engines of this machine differ/,
  );
});
