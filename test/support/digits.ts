import { type Dataset, limitTrainSamples } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { openDataset } from '../../coordinator/data/load-dataset.ts';
import { recordingReport } from './test-coordinator.ts';

/** Real MNIST where MNIST_DIR says where it is, else drawn digits: `count` samples to train on. */
export async function loadDigits(count: number): Promise<Dataset> {
  const data = process.env.MNIST_DIR;
  if (data === undefined) return syntheticDigits({ seed: 1, trainCount: count, testCount: 500 });
  return limitTrainSamples(await openDataset({ data, seed: 1 }, recordingReport()), count);
}
