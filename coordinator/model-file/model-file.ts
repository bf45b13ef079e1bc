import { existsSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import type { Topology } from '../../shared/model/job.ts';
import { asArray, isRecord } from '../../shared/model/keras-layer.ts';
import { withTensorRules } from './tensor-rules.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import {
  readCompileConfig,
  readHdf5Configs,
  readKerasArchive,
  readKerasWeights,
  type CompileConfig,
} from './keras-file.ts';
import type { Hdf5Tensor } from './hdf5.ts';
import { readWeights, type NamedWeights } from './weights-file.ts';

/** Contents of the file of --model. */
export interface ModelFile {
  readonly topology: Topology;
  /** Weights that the file contains or names; null if it holds a topology alone. */
  readonly weights: NamedWeights | null;
  /** Settings of model.compile() as Keras wrote them; null if the file has none. */
  readonly compileConfig: CompileConfig | null;
  /** State of the optimizer that the model was trained with; null if the file has none. */
  readonly optimizerState: OptimizerState | null;
}

/** State of an optimizer of Keras. */
export interface OptimizerState {
  /** Steps that it has made. */
  readonly iterations: number;
  /** Its tensors in the order of the file. */
  readonly tensors: readonly Hdf5Tensor[];
}

const MODEL_OPTION_HELP =
  '--model takes a .keras or .h5 file of Keras, or its topology as JSON: ' +
  "open('model.json', 'w').write(model.to_json()) in Python.";
const SAVE_AS_KERAS = "Load it in Python and save it with model.save('model.keras').";
const BUILD_IN_KERAS = "Build the model in Keras and save it with model.save('model.keras').";

const ZIP: readonly number[] = [0x50, 0x4b, 0x03, 0x04];
const HDF5: readonly number[] = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
const UTF16: readonly number[] = [0xff, 0xfe];

/** Formats that are not supported: description and remedy, by the file's first bytes or the ending of its name. */
const OTHER_FORMATS: readonly {
  readonly description: string;
  readonly remedy: string;
  readonly endings?: readonly string[];
  readonly start?: readonly number[];
  readonly offset?: number;
}[] = [
  { description: 'compressed by gzip', remedy: `Unpack it. ${MODEL_OPTION_HELP}`, start: [0x1f, 0x8b] },
  {
    description: 'a model of TensorFlow Lite, which cannot be trained',
    remedy: "Save the Keras model that it was made from with model.save('model.keras').",
    endings: ['.tflite'],
    start: [0x54, 0x46, 0x4c, 0x33],
    offset: 4,
  },
  {
    description: 'a pickle of Python, which could run any program and is not read',
    remedy: `If it is a Keras model: ${SAVE_AS_KERAS}`,
    endings: ['.pkl', '.pickle', '.joblib'],
    start: [0x80],
  },
  { description: 'a model of PyTorch', remedy: BUILD_IN_KERAS, endings: ['.pt', '.pth'] },
  { description: 'an ONNX model', remedy: BUILD_IN_KERAS, endings: ['.onnx'] },
  {
    description: 'a file of weights alone (safetensors)',
    remedy: BUILD_IN_KERAS,
    endings: ['.safetensors'],
  },
  {
    description: 'a graph of TensorFlow',
    remedy: `If it is part of a SavedModel: ${SAVE_AS_KERAS}`,
    endings: ['.pb', '.pbtxt'],
  },
];

/** Layers of the largest models of Keras are several hundred. */
const MAX_LAYERS = 10_000;
/** Depth of the configuration as JSON. Models within models take six levels each. */
const MAX_DEPTH = 100;
/** Values in the configuration. */
const MAX_VALUES = 2_000_000;

/**
 * Reads a model: a .keras file, a whole .h5 file, or a topology as JSON, alone or inside a tfjs-layers model.json with its weights.
 * @param weightsFile .weights.h5 file (or another file of the same model) whose weights take the place of the model file's
 * @throws Error with a sentence that names the file
 */
export async function readModelFile(file: string, weightsFile?: string): Promise<ModelFile> {
  const model = await readFormat(file, await readBytes(file, '--model'));
  if (weightsFile === undefined) return model;
  const bytes = await readBytes(weightsFile, '--weights');
  // The state belongs to the weights that are replaced.
  const weights = await readWeightsOption(weightsFile, bytes, model.topology);
  return { ...model, weights, optimizerState: null };
}

/**
 * Model of JSON in memory: a topology of Keras or TensorFlow.js, with its compile settings if it has any.
 * @param name name of the model in errors
 * @throws Error with a sentence if it is no model, or names weights in files
 */
export function modelFromJson(name: string, json: unknown): ModelFile {
  const model = readTopology(name, json);
  if (asRecord(json).weightsManifest !== undefined)
    throw new Error(`${name} names weights in files. Name the path of its model.json as the model.`);
  return { ...model, weights: null, optimizerState: null };
}

async function readBytes(file: string, option: '--model' | '--weights'): Promise<Buffer> {
  try {
    return await readRegularFile(file);
  } catch (error) {
    const contains = (name: string): boolean => existsSync(join(file, name));
    if (contains('saved_model.pb')) {
      throw new Error(`${file} is a SavedModel folder of TensorFlow. ${SAVE_AS_KERAS}`, { cause: error });
    }
    if (contains('model.json')) {
      throw new Error(`${file} is a folder. Name its model: ${option} ${join(file, 'model.json')}`, {
        cause: error,
      });
    }
    throw new Error(`${file} cannot be read: ${describeDiskError(error)}. ${MODEL_OPTION_HELP}`, {
      cause: error,
    });
  }
}

const startsWith = (bytes: Uint8Array, start: readonly number[], offset = 0): boolean =>
  start.every((byte, i) => bytes[offset + i] === byte);

async function readFormat(file: string, bytes: Uint8Array): Promise<ModelFile> {
  if (startsWith(bytes, ZIP)) {
    const { config, weights } = await readKerasArchive(file, bytes);
    const model = readTopology(file, config);
    const { weights: named, optimizer } = await readKerasWeights(file, weights, model.topology);
    return { ...model, weights: named, optimizerState: optimizer };
  }
  if (startsWith(bytes, HDF5)) {
    const { model: config, training, kerasVersion } = await readHdf5Configs(file, bytes);
    if (config === null) {
      throw new Error(
        `${file} contains weights alone. Name the model's topology too: --model model.json --weights ${file}`,
      );
    }
    const { topology } = readTopology(file, {
      model_config: config,
      keras_version: kerasVersion ?? undefined,
    });
    const { weights, optimizer } = await readKerasWeights(file, bytes, topology);
    return { topology, weights, compileConfig: readCompileConfig(training), optimizerState: optimizer };
  }
  rejectOtherFormats(file, bytes);
  const record = parseModelFile(file, bytes);
  const { weightsManifest, userDefinedMetadata } = record;
  const model = readTopology(file, record);
  const weights = await readWeights(file, dirname(file), weightsManifest);
  // A model that gradcast saved has the regularizers and constraints in its job.
  const { optimizer } = asRecord(asRecord(userDefinedMetadata).job);
  return {
    ...model,
    topology: withTensorRules(model.topology, [...(weights?.keys() ?? [])], optimizer),
    weights,
    optimizerState: null,
  };
}

/** @throws Error that names the format, if it is another one that contains models */
function rejectOtherFormats(file: string, bytes: Uint8Array): void {
  const ending = extname(file).toLowerCase();
  const other =
    OTHER_FORMATS.find(({ endings }) => endings?.includes(ending) === true) ??
    OTHER_FORMATS.find(({ start, offset }) => start !== undefined && startsWith(bytes, start, offset));
  if (other !== undefined) throw new Error(`${file} is ${other.description}. ${other.remedy}`);
}

/** Weights of a .weights.h5, .h5, .keras or model.json file for a topology. */
async function readWeightsOption(file: string, bytes: Uint8Array, topology: Topology): Promise<NamedWeights> {
  if (startsWith(bytes, HDF5)) return (await readKerasWeights(file, bytes, topology)).weights;
  if (startsWith(bytes, ZIP)) {
    return (await readKerasWeights(file, (await readKerasArchive(file, bytes)).weights, topology)).weights;
  }
  throw new Error(
    `${file} is not an HDF5 file. --weights takes a file of model.save_weights('model.weights.h5') in Python.`,
  );
}

function readTopology(file: string, contents: unknown): Omit<ModelFile, 'weights' | 'optimizerState'> {
  checkExtent(file, contents);
  const record = asRecord(contents);
  const { model_topology, modelTopology = model_topology } = record;
  const topology = asRecord(modelTopology ?? record);
  if (Array.isArray(topology.node)) {
    throw new Error(
      `${file} is a graph model of TensorFlow.js, which cannot be trained. Convert the Keras model with ` +
        '--output_format tfjs_layers_model.',
    );
  }
  const config = topology.model_config ?? topology.modelConfig;
  const model = asRecord(typeof config === 'string' ? parseNested(file, config) : (config ?? topology));
  const { class_name, className = class_name } = model;
  if (typeof className !== 'string' || typeof model.config !== 'object') {
    throw new Error(`${file} holds no Keras model: class_name and config are missing. ${MODEL_OPTION_HELP}`);
  }
  const version = topology.keras_version ?? topology.kerasVersion;
  return {
    topology: { ...model, ...(version === undefined ? {} : { keras_version: version }) },
    compileConfig: readCompileConfig(
      model.compile_config ?? topology.training_config ?? record.trainingConfig ?? record.training_config,
    ),
  };
}

/** Parses a configuration that is text within JSON. */
function parseNested(file: string, text: string): unknown {
  const config = parseText(text);
  checkExtent(file, config);
  return config;
}

/** @throws Error if a configuration is nested too deeply or too large to be a model, before functions that recurse read it */
function checkExtent(file: string, contents: unknown): void {
  const reject = (problem: string): never => {
    throw new Error(`${file} is no usable model: ${problem}. Save the model again with Keras.`);
  };
  const pending: { readonly value: unknown; readonly depth: number }[] = [{ value: contents, depth: 0 }];
  let values = 0;
  let layers = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { value, depth } = next;
    if (typeof value !== 'object' || value === null) continue;
    if (depth > MAX_DEPTH) reject(`its configuration is nested more than ${MAX_DEPTH} levels deep`);
    if (isRecord(value)) layers += asArray(value.layers).length;
    if (layers > MAX_LAYERS) reject(`it has more than ${MAX_LAYERS} layers`);
    const members: readonly unknown[] = Object.values(value);
    values += members.length;
    if (values > MAX_VALUES) reject(`its configuration has more than ${MAX_VALUES} values`);
    for (const member of members) pending.push({ value: member, depth: depth + 1 });
  }
}

const asRecord = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});

/** Accepts text within text, as json.dump(model.to_json()) writes it, and the byte order marks of Windows' editors and shells. */
function parseModelFile(file: string, bytes: Uint8Array): Record<string, unknown> {
  try {
    const encoding = startsWith(bytes, UTF16) ? 'utf-16le' : 'utf-8';
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    const parsed = parseText(text);
    return asRecord(typeof parsed === 'string' ? parseText(parsed) : parsed);
  } catch (error) {
    const problem = bytes.length === 0 ? 'is empty' : 'is not JSON';
    throw new Error(`${file} ${problem}. ${MODEL_OPTION_HELP}`, { cause: error });
  }
}

const parseText = (text: string): unknown => JSON.parse(text) as unknown;
