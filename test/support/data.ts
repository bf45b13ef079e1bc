import type { Dataset } from '../../shared/data/dataset.ts';
import { limitTo } from '../../shared/data/dataset.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import { openDataset } from '../../coordinator/data/open-dataset.ts';
import { recordingReport } from './test-coordinator.ts';

/** Real MNIST where MNIST_DIR says where it is, else drawn digits: `count` samples to train on. */
export async function someDigits(count: number): Promise<Dataset> {
  const data = process.env.MNIST_DIR;
  if (data === undefined) return drawDigits({ seed: 1, trainCount: count, testCount: 500 });
  return limitTo(await openDataset({ data, seed: 1 }, recordingReport()), count);
}
