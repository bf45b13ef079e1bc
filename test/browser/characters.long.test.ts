import { readSamples } from '../../shared/data/dataset.ts';
import { expect, test } from 'vitest';
import { FLOAT32_LINK } from '../../coordinator/links/codecs.ts';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { NO_GPU, openChromium } from '../support/chromium.ts';
import { describeInBrowser } from '../support/in-browser.ts';
import {
  jobBatches,
  kerasRuns,
  lossDifference,
  prepareRun,
  settingsOf,
  stepsDataset,
} from '../support/keras-runs.ts';
import { describeNative } from '../support/native.ts';
import { testCoordinator, waitForWorkersReady, type TestCoordinator } from '../support/test-coordinator.ts';
import { spawnWorker } from '../support/worker-process.ts';

const STEPS = 6;

const reference = kerasRuns();
const run = reference.tasks.find(({ name }) => name === 'characters')!;

/**
 * Trains the transformer of characters on two workers and compares the losses of its steps with those of Keras.
 * @param join starts the workers. @returns a function that ends them
 */
async function trainOnTwo(
  join: (coordinator: TestCoordinator) => Promise<() => Promise<unknown>>,
): Promise<string[]> {
  const dataset = await stepsDataset(reference, run);
  const { initialWeights } = await prepareRun(dataset, run, reference.seed);
  const coordinator = await testCoordinator(dataset, {
    ...settingsOf(run, reference.seed),
    codecs: FLOAT32_LINK,
  });
  const { job, stepRunner, pool } = coordinator;
  const end = await join(coordinator);
  await waitForWorkersReady(coordinator, 2);
  const engines = [...pool.workers.values()].map(({ engine }) => engine.backend);
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  optimizer.weights.set(initialWeights);
  const losses: number[] = [];
  for (const samples of jobBatches(job, dataset.train.count)) {
    const step = losses.length as Step;
    if (step === STEPS) break;
    const { lossSum } = await stepRunner.run({ step, batch: readSamples(dataset.train, samples), optimizer });
    losses.push(lossSum / samples.length);
  }
  expect(pool.workers.size).toBe(2);
  await coordinator.close('done');
  await end();
  expect(lossDifference(losses, run)).toBeLessThan(1e-4);
  return engines;
}

describeInBrowser('in a browser', () => {
  test('two tabs train a transformer with the losses of Keras', async () => {
    const browser = await openChromium(NO_GPU);
    const engines = await trainOnTwo(async ({ url }) => {
      for (let tab = 0; tab < 2; tab++) {
        const page = await browser.newPage();
        await page.goto(`${url.replace(/^ws/, 'http')}/?engine=wasm&threads=1`);
      }
      return () => browser.close();
    });
    expect(engines).toEqual(['wasm', 'wasm']);
  });
});

describeNative(() => {
  test('two native workers train a transformer with the losses of Keras', async () => {
    const engines = await trainOnTwo(({ url }) => {
      const workers = ['a', 'b'].map((name) => spawnWorker(url, '--engine', 'native', '--name', name));
      return Promise.resolve(() => Promise.all(workers.map(({ ended }) => ended)));
    });
    expect(engines).toEqual(['tensorflow', 'tensorflow']);
  });
});
