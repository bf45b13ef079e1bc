import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import type { Job } from '../../shared/model/job.ts';
import {
  describeModel,
  readModel,
  type LoadedModel,
  type ModelMetadata,
} from '../../shared/model/saved-model.ts';

export interface ModelToSave {
  readonly metadata: ModelMetadata;
  readonly topology: Job['topology'];
  /** The flat vector. */
  readonly weights: Float32Array;
  /** Names of its tensors, in order of the layout. */
  readonly names: readonly string[];
}

/**
 * Writes a model in the format of tfjs-layers (model.json and one file of weights), which tf.loadLayersModel reads.
 * At every instant model.json belongs to a complete file of weights: the weights get a name of their own, and
 * model.json is replaced in one move.
 */
export async function saveModel(dir: string, model: ModelToSave): Promise<void> {
  await mkdir(dir, { recursive: true });
  const { metadata, topology, weights, names } = model;
  const weightsFile = `weights-${Date.now().toString(36)}.bin`;
  const bytes = Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
  await writeFileAtomic(join(dir, weightsFile), bytes);
  const description = describeModel(metadata, topology, names, weightsFile);
  await writeFileAtomic(join(dir, 'model.json'), `${JSON.stringify(description, null, 2)}\n`);
  const old = (await readdir(dir)).filter(
    (file) => /^weights-.*\.bin(\.\d+)?$/.test(file) && file !== weightsFile,
  );
  await Promise.all(old.map((file) => rm(join(dir, file), { force: true })));
}

/** Reads what saveModel wrote. See readModel for what it throws. */
export function loadModel(dir: string): Promise<LoadedModel> {
  return readModel(dir, {
    text: (file) => readFile(join(dir, file), 'utf8'),
    bytes: (file) => readFile(join(dir, file)),
  });
}
