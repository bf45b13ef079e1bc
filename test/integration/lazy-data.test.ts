import { expect, test } from 'vitest';
import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { epochOrder } from '../../coordinator/training/sampler.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { lazySplit } from '../support/lazy-split.ts';
import { testCoordinator, tinyTopology, waitForWorkersReady } from '../support/test-coordinator.ts';
import { attachWorker, trainToEnd, withoutTimings, type RunOptions } from '../support/training-run.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const SEED = 5;
const digits = syntheticDigits({ seed: 1, trainCount: 150, testCount: 90 });

/** Two epochs of a small model on one worker. */
async function run(dataset: Dataset, onCheckpoint: RunOptions['checkpoint'] = () => undefined) {
  const topology = tinyTopology([28, 28, 1], 10);
  const coordinator = await testCoordinator(dataset, { topology, batchSize: 32, epochs: 2, seed: SEED });
  attachWorker(coordinator.url, 'worker', await wasmEngine());
  await waitForWorkersReady(coordinator, 1);
  try {
    return await trainToEnd(coordinator, dataset, { checkpoint: onCheckpoint });
  } finally {
    await coordinator.close('done');
  }
}

test('samples that are read when they are needed give the weights of samples in memory', async () => {
  const stored = await run(digits);
  const lazy = await run({ ...digits, train: lazySplit(digits.train), test: lazySplit(digits.test) });
  expect(lazy.weights).toEqual(stored.weights);
  const scores = (history: typeof stored.history) =>
    history.map(withoutTimings).map(({ val_loss, ...record }) => ({
      ...record,
      // The test set is summed in parts.
      val_loss: val_loss.toFixed(5),
    }));
  expect(scores(lazy.history)).toEqual(scores(stored.history));
  expect(stored.history).toHaveLength(2);
});

test('a sample that cannot be read ends the run with its file, after a checkpoint of the steps before', async () => {
  const [damaged = 0] = epochOrder(SEED, 1, 150).slice(-1);
  const broken = lazySplit(digits.train, (numbers) =>
    numbers.includes(damaged)
      ? Promise.reject(new DataError('photos/7.jpg is cut short.'))
      : Promise.resolve(),
  );
  const steps: number[] = [];
  await expect(run({ ...digits, train: broken }, (position) => steps.push(position.steps))).rejects.toThrow(
    'photos/7.jpg is cut short.',
  );
  // Four of five batches were computed; the position is kept once more at the end.
  expect(steps).toEqual([1, 2, 3, 4, 4]);
});
