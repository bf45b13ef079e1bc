import { dirname } from 'node:path';
import type { Topology } from '../../shared/model/job.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import { readWeights, type NamedWeights } from './weights-file.ts';

/** Contents of the file of --model. */
export interface ModelFile {
  readonly topology: Topology;
  /** Weights that the file names; null if it holds a topology alone. */
  readonly weights: NamedWeights | null;
}

/** Common formats that are not supported: first bytes and description. */
const OTHER_FORMATS: readonly (readonly [readonly number[], string])[] = [
  [[0x50, 0x4b, 0x03, 0x04], 'a zip archive, such as a .keras file of Keras 3'],
  [[0x89, 0x48, 0x44, 0x46], 'an HDF5 file, such as an .h5 file of Keras'],
  [[0x1f, 0x8b], 'compressed by gzip'],
];

const MODEL_OPTION_HELP =
  "--model takes a topology as JSON: open('model.json', 'w').write(model.to_json()) in Python.";

/**
 * Reads a model: a Keras topology as JSON, alone or inside a tfjs-layers model.json with its weights.
 * @throws Error with a sentence that names the file
 */
export async function readModelFile(file: string): Promise<ModelFile> {
  const bytes = await readRegularFile(file).catch((error: unknown) => {
    throw new Error(`${file} cannot be read: ${describeDiskError(error)}. ${MODEL_OPTION_HELP}`, {
      cause: error,
    });
  });
  const other = OTHER_FORMATS.find(([start]) => start.every((byte, i) => bytes[i] === byte));
  if (other !== undefined) throw new Error(`${file} is ${other[1]}. ${MODEL_OPTION_HELP}`);
  const record = parseModelFile(file, bytes);
  const { model_topology, modelTopology = model_topology, weightsManifest } = record;
  const topology = asRecord(modelTopology ?? record);
  if (Array.isArray(topology.node)) {
    throw new Error(
      `${file} is a graph model of TensorFlow.js, which cannot be trained. Convert the Keras model with ` +
        '--output_format tfjs_layers_model.',
    );
  }
  const config = topology.model_config ?? topology.modelConfig;
  const model = asRecord(typeof config === 'string' ? parseText(config) : (config ?? topology));
  const { class_name, className = class_name } = model;
  if (typeof className !== 'string' || typeof model.config !== 'object') {
    throw new Error(`${file} holds no Keras model: class_name and config are missing. ${MODEL_OPTION_HELP}`);
  }
  const version = topology.keras_version ?? topology.kerasVersion;
  return {
    topology: { ...model, ...(version === undefined ? {} : { keras_version: version }) },
    weights: await readWeights(file, dirname(file), weightsManifest),
  };
}

const asRecord = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};

/** Accepts text within text, as json.dump(model.to_json()) writes it, and the byte order mark of Windows' editors. */
function parseModelFile(file: string, bytes: Uint8Array): Record<string, unknown> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const parsed = parseText(text);
    return asRecord(typeof parsed === 'string' ? parseText(parsed) : parsed);
  } catch (error) {
    const problem = bytes.length === 0 ? 'is empty' : 'is not JSON';
    throw new Error(`${file} ${problem}. ${MODEL_OPTION_HELP}`, { cause: error });
  }
}

const parseText = (text: string): unknown => JSON.parse(text) as unknown;
