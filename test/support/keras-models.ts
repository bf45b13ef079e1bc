import { readFileSync } from 'node:fs';
import { prepareJob } from '../../coordinator/model/model.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import { kerasWeights, type KerasModel, type KerasModels } from './model-differences.ts';

export { compareWithKeras, kerasDataset } from './model-differences.ts';

/** Reads the figures of test/reference. */
export function kerasModels(): KerasModels {
  const file = new URL('../reference/keras-models.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as KerasModels;
}

/** Job of a model, and its weights as Keras had them. */
export async function kerasJob(
  dataset: Dataset,
  { topology }: KerasModel,
): Promise<{ job: Job; weights: Float32Array; names: readonly string[] }> {
  const settings = { batchSize: dataset.train.count, epochs: 1, seed: 1, topology };
  const { job, weightNames: names } = await prepareJob(dataset, settings);
  return { job, weights: kerasWeights(job, names), names };
}
