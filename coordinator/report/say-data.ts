import type { Dataset } from '../../shared/data/dataset.ts';
import type { Reporter } from './report.ts';

/** Says what a run trains on, as Keras' example does. */
export function printDataset(
  { name, description, train: training, test, sampleShape }: Dataset,
  report: Reporter,
): void {
  if (name === 'drawn-digits') report.warn(description);
  else report.info(description);
  report.info(`x_train shape: (${[training.count, ...sampleShape].join(', ')})`);
  report.info(`x_test shape: (${[test.count, ...sampleShape].join(', ')})`);
  report.info(`Train on ${training.count} samples, validate on ${test.count} samples`);
}
