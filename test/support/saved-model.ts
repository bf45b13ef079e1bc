import { join } from 'node:path';
import { prepareJob, type JobSettings } from '../../coordinator/model/model.ts';
import { modelToSave, saveModel } from '../../coordinator/run/model-folder.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';

export interface SavedFixture {
  readonly dir: string;
  readonly job: Job;
  readonly weights: Float32Array;
}

/** Saves an untrained model for a data set as a run does. */
export async function saveUntrained(
  scratch: string,
  dataset: Dataset,
  settings: Partial<JobSettings> = {},
): Promise<SavedFixture> {
  const {
    job,
    initialWeights: weights,
    weightNames: names,
  } = await prepareJob(dataset, {
    batchSize: 16,
    epochs: 1,
    seed: 1,
    ...settings,
  });
  const { preprocessing, classNames } = dataset;
  const training = {
    gradcast: '0',
    dataDescription: 'made',
    epochs: 1,
    ...(preprocessing === undefined ? {} : { preprocessing }),
    ...(classNames === undefined ? {} : { classNames: [...classNames] }),
  };
  const dir = join(scratch, 'model');
  await saveModel(dir, modelToSave(job, { weights, names }, training, null));
  return { dir, job, weights };
}
