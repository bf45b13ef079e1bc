import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expandTopology } from '../../shared/model/expand-topology.ts';
import type { Job } from '../../shared/model/job.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import { makeFolder } from '../files/make-folder.ts';
import { writeFileAtomic } from '../files/write-file.ts';
import { kerasArchive } from '../model-file/save-keras.ts';
import type { NamedWeights } from '../model-file/weights-file.ts';
import { compileConfigOf } from '../model/compile-export.ts';
import type { ExportFormat, ExportTarget } from './formats.ts';
import type { Dialect } from './graph/graph.ts';
import { modelGraph } from './graph/model-graph.ts';
import { writeOnnx } from './onnx.ts';
import { writeSafetensors } from './safetensors.ts';
import { writeSavedModel } from './saved-model.ts';

/** Operations that each format has. */
export const ONNX_DIALECT: Dialect = { hasRecurrent: true, hasLayerNorm: true };
export const TENSORFLOW_DIALECT: Dialect = { hasRecurrent: false, hasLayerNorm: false };

/** Name of the only file in the folder of a SavedModel. */
const SAVED_MODEL_FILE = 'saved_model.pb';

/** Largest file of Protocol Buffers, less room for what is not weights. */
const MAX_GRAPH_BYTES = 2 ** 31 - 2 ** 24;

/** Trained model to export. */
export interface ExportedModel {
  readonly job: Job;
  /** Tensors of the model by name, in the order of the layout. */
  readonly weights: NamedWeights;
  /** Version of gradcast that trained it. */
  readonly gradcast: string;
  readonly epochs: number;
  /** How raw files become inputs, if the run has it. */
  readonly preprocessing?: unknown;
}

const bytesOf = (weights: NamedWeights): number =>
  [...weights.values()].reduce((sum, { values }) => sum + values.byteLength, 0);

/**
 * Checks that a format can express a model, so that a run does not find out at its end.
 * @throws Error with a sentence that names the layer, or the limit, and what to do
 */
export async function checkExport(
  { job, weights }: Pick<ExportedModel, 'job' | 'weights'>,
  format: ExportFormat,
): Promise<void> {
  if (format === 'keras') await kerasArchive(job, weights, new Date(0));
  if (format === 'onnx' || format === 'savedmodel') {
    checkSize(weights, format);
    modelGraph(job, weights, format === 'onnx' ? ONNX_DIALECT : TENSORFLOW_DIALECT);
  }
}

function checkSize(weights: NamedWeights, format: ExportFormat): void {
  const bytes = bytesOf(weights);
  if (bytes <= MAX_GRAPH_BYTES) return;
  const kind = format === 'onnx' ? 'an ONNX file' : 'the graph of a SavedModel';
  throw new Error(
    `The model has ${(bytes / 1e9).toFixed(1)} GB of weights, and ${kind} holds at most 2. Use --format keras or --format safetensors.`,
  );
}

/**
 * Writes a trained model in a format; an existing file is replaced.
 * @throws Error with a sentence if the format cannot express a layer, or the file cannot be written
 * @example
 * await writeModelFile(model, { format: 'onnx', file: 'model.onnx' });
 */
export async function writeModelFile(model: ExportedModel, { format, file }: ExportTarget): Promise<void> {
  const { job, weights } = model;
  switch (format) {
    case 'keras': {
      const compiled = compileConfigOf(job, [...weights.keys()]);
      return writeFileAtomic(file, await kerasArchive(job, weights, new Date(), compiled));
    }
    case 'safetensors':
      return writeFileAtomic(file, writeSafetensors(weights, safetensorsMetadata(model)));
    case 'onnx': {
      checkSize(weights, format);
      const graph = modelGraph(job, weights, ONNX_DIALECT);
      const bytes = writeOnnx(graph, {
        ...tensorNames(job),
        version: model.gradcast,
        description: describeModel(model),
        metadata: metadataOf(model),
      });
      return writeFileAtomic(file, bytes);
    }
    case 'savedmodel': {
      checkSize(weights, format);
      const bytes = writeSavedModel(modelGraph(job, weights, TENSORFLOW_DIALECT), signatureNames(job));
      await makeModelFolder(file);
      return writeFileAtomic(join(file, SAVED_MODEL_FILE), bytes);
    }
  }
}

/** @throws Error if the folder has files of something else, which would become parts of the model */
async function makeModelFolder(folder: string): Promise<void> {
  await makeFolder(folder);
  const others = (await readdir(folder)).filter((name) => name !== SAVED_MODEL_FILE);
  if (others.length > 0)
    throw new Error(
      `${folder} has other files (${others[0] ?? ''}). Name a folder of its own for the SavedModel.`,
    );
}

/** Names that differ from each other and from those before. */
function distinct(names: readonly string[], taken: readonly string[] = []): string[] {
  const used = new Set(taken);
  return names.map((name) => {
    let unique = name;
    for (let i = 1; used.has(unique); i++) unique = `${name}_${i}`;
    used.add(unique);
    return unique;
  });
}

/** Names of the inputs and outputs of an ONNX model, which all differ. */
export function tensorNames({ inputs, outputs }: Pick<Job, 'inputs' | 'outputs'>): {
  inputs: string[];
  outputs: string[];
} {
  const names = distinct(inputs.map(({ name }) => name));
  return {
    inputs: names,
    outputs: distinct(
      outputs.map(({ name }) => name),
      names,
    ),
  };
}

/** Names of the inputs and outputs of a signature, which Python can write as arguments. */
export function signatureNames({ inputs, outputs }: Pick<Job, 'inputs' | 'outputs'>): {
  inputs: string[];
  outputs: string[];
} {
  const safe = ({ name }: { readonly name: string }): string =>
    name.replaceAll(/[^A-Za-z0-9_]/g, '_').replace(/^(?![A-Za-z])/, 'x_');
  return { inputs: distinct(inputs.map(safe)), outputs: distinct(outputs.map(safe)) };
}

/**
 * Values that an input takes, in words: "pixels divided by 255, as float32".
 * @param input as the job has it
 */
export function describeInput({ dtype, shape, scale = 1, offset = 0, classes }: TensorSpec): string {
  const isImage = dtype === 'uint8' && shape.length === 3;
  const what = isImage
    ? 'pixels'
    : dtype === 'bool'
      ? '0 and 1'
      : classes === undefined
        ? 'values'
        : `whole numbers from 0 to ${classes - 1}`;
  if (isImage && scale === 1 && offset === 0) return 'pixels from 0 to 255, as float32';
  const factor = scale === 1 ? '' : Math.abs(scale * 255 - 1) < 1e-9 ? ' divided by 255' : ` times ${scale}`;
  return `${what}${factor}${offset === 0 ? '' : ` plus ${offset}`}, as float32`;
}

/** What a model takes and returns, in words. */
function describeModel({ job, epochs }: ExportedModel): string {
  const shape = (sides: readonly number[]): string => `[batch${sides.map((side) => `, ${side}`).join('')}]`;
  const names = tensorNames(job);
  const inputs = job.inputs.map(
    (input, i) => `Input ${names.inputs[i] ?? ''} ${shape(input.shape)}: ${describeInput(input)}.`,
  );
  const outputs = job.outputs.map((output, i) => `Output ${names.outputs[i] ?? ''} ${shape(output.shape)}.`);
  return [`Trained with gradcast for ${epochs} epoch${epochs === 1 ? '' : 's'}.`, ...inputs, ...outputs].join(
    ' ',
  );
}

/** Texts about a model for programs. */
function metadataOf({ job, gradcast, epochs, preprocessing }: ExportedModel): Record<string, string> {
  return {
    gradcast,
    epochs: String(epochs),
    inputs: JSON.stringify(job.inputs.map((input) => ({ ...input, values: describeInput(input) }))),
    outputs: JSON.stringify(job.outputs.map(({ name, shape, loss }) => ({ name, shape, loss }))),
    ...(preprocessing === undefined ? {} : { preprocessing: JSON.stringify(preprocessing) }),
  };
}

const safetensorsMetadata = (model: ExportedModel): Record<string, string> => ({
  format: 'keras',
  layout:
    'Tensors have the layouts of Keras: Dense [inputs, outputs], convolutions [sides..., inputs, outputs], transposed convolutions ' +
    '[sides..., outputs, inputs], recurrent layers [inputs, gates x units] with the gates i f c o (LSTM) or z r h (GRU). ' +
    'PyTorch has Linear [outputs, inputs], convolutions [outputs, inputs, sides...], recurrent layers [gates x units, inputs] ' +
    'with the gates i f g o (LSTM) or r z n (GRU).',
  model_config: JSON.stringify(expandTopology(model.job.topology)),
  ...metadataOf(model),
});

/** How a file is opened in Python. */
export function openingLine({ format, file }: ExportTarget): string {
  const name = JSON.stringify(file);
  switch (format) {
    case 'keras':
      return `keras.saving.load_model('${file}')`;
    case 'onnx':
      return `onnxruntime.InferenceSession(${name})`;
    case 'safetensors':
      return `safetensors.numpy.load_file(${name})`;
    case 'savedmodel':
      return `tf.saved_model.load(${name}).signatures["serving_default"]`;
  }
}
