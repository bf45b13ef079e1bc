import { expect, test } from 'vitest';
import { createOptimizer } from '../../coordinator/optimizer/optimizer.ts';
import { readSamples } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { attachWorker } from '../support/training-run.ts';
import { openStubEngine, stubEngine } from '../support/stub-engine.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';

const BATCH = 1_024;
const STEPS = 6;
const dataset = syntheticDigits({ seed: 1, trainCount: BATCH, testCount: 256 });

/** Weights and loss after some steps and an evaluation with workers over sockets. */
async function trainWith(workers: number) {
  const coordinator = await testCoordinator(dataset, {
    topology: tinyTopology([28, 28, 1], 10),
    batchSize: BATCH,
    maxWorkers: workers,
    buckets: true,
    openOwnEngine: openStubEngine,
  });
  // All at once, from one address.
  for (let i = 0; i < workers; i++)
    attachWorker(coordinator.url, 'worker', stubEngine({ perSampleMs: 0, tamper: (value) => value }));
  await waitForWorkersReady(coordinator, workers);
  const optimizer = createOptimizer(coordinator.job.optimizer, layoutOf(coordinator.job.layout));
  optimizer.weights.set(coordinator.initialWeights);
  const batch = readSamples(
    dataset.train,
    Uint32Array.from({ length: BATCH }, (_, i) => i),
  );
  for (let step = 0; step < STEPS; step++)
    await coordinator.stepRunner.run({ step: step as Step, batch, isJobData: true, optimizer }, batch);
  const score = await coordinator.stepRunner.evaluate({
    step: STEPS as Step,
    weights: optimizer.weights,
    split: dataset.test,
  });
  const computed = [...coordinator.pool.workers.values()].filter(({ stats }) => stats.trainSamples > 0);
  await coordinator.close('The run is finished.');
  return { weights: optimizer.weights.slice(), score, computed: computed.length };
}

test('256 workers over sockets train the weights that one worker trains', async () => {
  const one = await trainWith(1);
  const many = await trainWith(256);
  expect(many.computed).toBe(256);
  // The gradients are integers, so that their sums are exact in any order.
  expect(many.weights).toEqual(one.weights);
  expect(many.score).toEqual(one.score);
});
