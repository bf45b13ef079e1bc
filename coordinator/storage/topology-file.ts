import type { Topology } from '../../shared/model/job.ts';
import { readRegularFile } from './read-file.ts';

/**
 * A model from a file: a Keras topology as JSON, alone or inside a tfjs-layers model.json.
 * @throws Error with a sentence that names the file
 */
export async function readTopology(file: string): Promise<Topology> {
  let parsed: unknown;
  try {
    parsed = JSON.parse((await readRegularFile(file)).toString('utf8'));
  } catch (error) {
    throw new Error(
      `${file} cannot be read as JSON (${String(error)}). --model takes a Keras or tfjs model.json.`,
      {
        cause: error,
      },
    );
  }
  const record = (parsed ?? {}) as Record<string, unknown>;
  const topology = (record.modelTopology ?? record.model_config ?? record) as Record<string, unknown>;
  const model = (topology.model_config ?? topology) as Record<string, unknown>;
  if (typeof model.class_name !== 'string' || typeof model.config !== 'object') {
    throw new Error(`${file} holds no Keras model: class_name and config are missing.`);
  }
  return model;
}
