import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import { bundleFile, readTrustedBundle, type CodeBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import {
  describeModel,
  readModel,
  type LoadedModel,
  type ModelMetadata,
} from '../../shared/model/saved-model.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import type { TestScores } from '../report/reporter.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';
import { readRegularFile } from '../files/read-file.ts';
import { writeFileAtomic, type WriteOptions } from '../files/write-file.ts';

export interface ModelToSave {
  readonly metadata: ModelMetadata;
  readonly topology: Job['topology'];
  /** Flat vector. */
  readonly weights: Float32Array;
  /** Names of its tensors, in the order of the layout. */
  readonly names: readonly string[];
  /** Custom code of the job, which is written beside the model. @default none */
  readonly customCode?: CodeBundle | undefined;
}

/** Metadata of a model that is the same for its whole run. */
export type TrainedBy = Pick<ModelMetadata, 'gradcast' | 'dataDescription' | 'classNames'> & {
  readonly preprocessing?: Preprocessing;
};

/** Metadata of a model of a data set. @param gradcast version of the program */
export const trainedBy = (
  { description, preprocessing, classNames }: Pick<Dataset, 'description' | 'preprocessing' | 'classNames'>,
  gradcast: string,
): TrainedBy => ({
  gradcast,
  dataDescription: description,
  ...(preprocessing === undefined ? {} : { preprocessing }),
  ...(classNames === undefined ? {} : { classNames: [...classNames] }),
});

/**
 * Description of data without the folders around it, which name a person's account.
 * @example
 * ```ts
 * withoutFolders('Your own data, from /home/ada/iris.csv.'); // 'Your own data, from iris.csv.'
 * ```
 */
export const withoutFolders = (description: string): string =>
  description.replace(/(?<= (?:from|downloaded to) )(?:[A-Za-z]:)?[\\/].*[\\/]/, '');

/**
 * A job's trained model.
 * @param scores scores on the test data; null if they were not measured
 */
export function modelToSave(
  { topology, ...job }: Job,
  { weights, names }: Pick<ModelToSave, 'weights' | 'names'>,
  training: TrainedBy & Pick<ModelMetadata, 'epochs'>,
  scores: TestScores | null,
): ModelToSave {
  const metrics = new Scoring({ ...job, topology }).names.map((name) => `val_${name}`);
  const values: Record<string, number | null> = {};
  for (const name of metrics) {
    const value = scores?.[name];
    values[name] = typeof value === 'number' ? value : null;
  }
  return {
    metadata: {
      ...training,
      dataDescription: withoutFolders(training.dataDescription),
      val_loss: scores?.val_loss ?? null,
      ...values,
      job,
    },
    topology,
    weights,
    names,
  };
}

/**
 * Writes a model in the format of tfjs-layers (model.json and one file of weights), which tf.loadLayersModel reads.
 * At every instant model.json names a complete file of weights: the weights get a new name, model.json is replaced in one
 * rename, and the previous weights are removed after that.
 * @throws Error with a sentence that names the file and the reason; the previous model is unchanged
 */
export async function saveModel(dir: string, model: ModelToSave, options: WriteOptions = {}): Promise<void> {
  await makeFolder(dir);
  const { metadata, topology, weights, names, customCode } = model;
  if (customCode !== undefined) await writeCustomCode(dir, customCode, options);
  const weightsFile = `weights-${Date.now().toString(36)}.bin`;
  const bytes = Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
  const weightsPath = join(dir, weightsFile);
  await writeFileAtomic(weightsPath, bytes, options);
  const description = describeModel(metadata, topology, names, weightsFile);
  const text = `${JSON.stringify(description, null, 2)}\n`;
  try {
    await writeFileAtomic(join(dir, 'model.json'), text, options);
  } catch (error) {
    await rm(weightsPath, { force: true }).catch(() => undefined);
    throw error;
  }
  const old = (await readdir(dir)).filter(
    (file) =>
      (/^weights-.*\.bin(\.\d+)?$/.test(file) && file !== weightsFile) || /^model\.json\.\d+$/.test(file),
  );
  await Promise.allSettled(old.map((file) => rm(join(dir, file), { force: true })));
}

/** Writes custom code beside what needs it. @throws Error with a sentence that names the file and the reason */
export async function writeCustomCode(
  dir: string,
  { code, bytes }: CodeBundle,
  options: WriteOptions = {},
): Promise<void> {
  const file = join(dir, bundleFile(code.hash));
  if (!existsSync(file)) await writeFileAtomic(file, Buffer.from(bytes), options);
}

/**
 * Reads the custom code of a model that saveModel wrote.
 * @param trusts hashes of the code that may be run
 * @returns undefined if the model has none
 * @throws Error with a sentence if it is not trusted, missing, or another
 */
export async function loadCustomCode(
  dir: string,
  { customCode }: Job,
  trusts: readonly string[],
): Promise<CodeBundle | undefined> {
  if (customCode === undefined) return undefined;
  return readTrustedBundle(customCode, trusts, dir, async (file) => {
    const inside = join(dir, 'model', file);
    return readRegularFile(existsSync(inside) ? inside : join(dir, file));
  });
}

/** Reads a model that saveModel wrote. @throws the errors of readModel */
export function loadModel(dir: string): Promise<LoadedModel> {
  const bytes = (file: string): Promise<Buffer> =>
    readRegularFile(join(dir, file)).catch((error: unknown) => {
      throw new Error(`${file} cannot be read: ${describeDiskError(error)}.`, { cause: error });
    });
  return readModel(dir, { bytes, text: async (file) => (await bytes(file)).toString('utf8') });
}
