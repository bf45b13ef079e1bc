import { type StoredDataset, limitTrainSamples } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { openDataset } from '../../coordinator/data/load-dataset.ts';
import { storedDataset } from './images.ts';
import { recordingReport } from './test-coordinator.ts';

/** Loads MNIST from MNIST_DIR, or draws synthetic digits if it is not set: `count` training samples. */
export async function loadDigits(count: number): Promise<StoredDataset> {
  const data = process.env.MNIST_DIR;
  if (data === undefined) return syntheticDigits({ seed: 1, trainCount: count, testCount: 500 });
  return limitTrainSamples(storedDataset(await openDataset({ data, seed: 1 }, recordingReport())), count);
}
