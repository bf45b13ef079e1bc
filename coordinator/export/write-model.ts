import { constants } from 'node:buffer';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Job } from '../../shared/model/job.ts';
import { copyModel, layerLabel, walkLayers } from '../../shared/model/keras-layer.ts';
import { makeFolder } from '../files/make-folder.ts';
import { removeTemporaryFiles, writeFileAtomic } from '../files/write-file.ts';
import { kerasArchive } from '../model-file/save-keras.ts';
import type { NamedWeights } from '../model-file/weights-file.ts';
import { compileConfigOf } from '../model/compile-export.ts';
import {
  describeModel,
  metadataOf,
  signatureNames,
  tensorNames,
  type ExportedModel,
} from './describe-model.ts';
import type { ExportFormat, ExportTarget } from './formats.ts';
import type { Dialect } from './graph/graph.ts';
import { modelGraph } from './graph/model-graph.ts';
import { writeOnnx } from './onnx.ts';
import { writeSafetensors } from './safetensors.ts';
import { writeSavedModel } from './saved-model.ts';

export type { ExportedModel } from './describe-model.ts';

/** Operations that each format has. */
export const ONNX_DIALECT: Dialect = { hasRecurrent: true, hasLayerNorm: true };
export const TENSORFLOW_DIALECT: Dialect = { hasRecurrent: false, hasLayerNorm: false };

/** Name of the only file in the folder of a SavedModel. */
const SAVED_MODEL_FILE = 'saved_model.pb';

/** Room in a file for what is not weights. */
const OTHER_BYTES = 2 ** 24;

interface Limit {
  readonly kind: string;
  readonly bytes: number;
  readonly advice: string;
}

/** Largest file of Protocol Buffers. */
const GRAPH = { bytes: 2 ** 31 - 1, advice: 'Use --format keras or --format safetensors.' };
const FOLDER = 'Use the model of TensorFlow.js in the folder of the run.';

/** Largest file of each format. */
const LIMITS: Readonly<Record<ExportFormat, Limit>> = {
  onnx: { ...GRAPH, kind: 'an ONNX file' },
  savedmodel: { ...GRAPH, kind: 'the graph of a SavedModel' },
  // A zip archive without its extension for large files.
  keras: { kind: 'a .keras file', bytes: 2 ** 32 - 1, advice: 'Use --format safetensors.' },
  safetensors: {
    kind: 'a .safetensors file that is made in memory',
    bytes: constants.MAX_LENGTH,
    advice: FOLDER,
  },
};

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
  rejectCustomLayers(job, format);
  checkSize(bytesOf(weights) + OTHER_BYTES, format);
  if (format === 'keras') await kerasArchive(job, weights, new Date(0));
  if (format === 'onnx' || format === 'savedmodel')
    modelGraph(job, weights, format === 'onnx' ? ONNX_DIALECT : TENSORFLOW_DIALECT);
}

/** @throws Error if the model has a layer that only its custom code can compute */
function rejectCustomLayers({ topology, customCode }: Job, format: ExportFormat): void {
  if (customCode === undefined || format === 'safetensors') return;
  const custom = [...walkLayers(copyModel(topology))].find(({ class_name: name }) =>
    customCode.layers.includes(name),
  );
  if (custom === undefined) return;
  throw new Error(
    `${layerLabel(custom)} is custom code, which ${format === 'keras' ? 'a .keras file' : `the format ${format}`} cannot express. ` +
      'Use safetensors for the weights, or the model of TensorFlow.js in the folder of the run.',
  );
}

/** @throws Error if a file of so many bytes cannot be written, or read again */
function checkSize(bytes: number, format: ExportFormat): void {
  const { kind, bytes: limit, advice } = LIMITS[format];
  if (bytes <= limit) return;
  const [size, largest] = [bytes, limit].map((each) => (each / 1e9).toFixed(1)) as [string, string];
  throw new Error(`The model has ${size} GB, and ${kind} holds at most ${largest}. ${advice}`);
}

/**
 * Writes a trained model in a format; an existing file is replaced.
 * @throws Error with a sentence if the format cannot express a layer, or the file cannot be written
 * @example
 * await writeModelFile(model, { format: 'onnx', file: 'model.onnx' });
 */
export async function writeModelFile(model: ExportedModel, { format, file }: ExportTarget): Promise<void> {
  const { job, weights } = model;
  rejectCustomLayers(job, format);
  checkSize(bytesOf(weights) + OTHER_BYTES, format);
  switch (format) {
    case 'keras': {
      const compiled = compileConfigOf(job, [...weights.keys()]);
      return writeFileAtomic(file, await kerasArchive(job, weights, new Date(), compiled));
    }
    case 'safetensors':
      return writeFileAtomic(file, writeSafetensors(model));
    case 'onnx': {
      const graph = modelGraph(job, weights, ONNX_DIALECT);
      const bytes = writeOnnx(graph, {
        ...tensorNames(job),
        version: model.gradcast,
        description: describeModel(model),
        metadata: metadataOf(model),
      });
      checkSize(bytes.length, format);
      return writeFileAtomic(file, bytes);
    }
    case 'savedmodel': {
      const bytes = writeSavedModel(modelGraph(job, weights, TENSORFLOW_DIALECT), signatureNames(job));
      // The weights of a layer that is called in several loops are in each of them.
      checkSize(bytes.length, format);
      await makeModelFolder(file);
      return writeFileAtomic(join(file, SAVED_MODEL_FILE), bytes);
    }
  }
}

/** @throws Error if the folder has files of something else, which would become parts of the model */
async function makeModelFolder(folder: string): Promise<void> {
  await makeFolder(folder);
  await removeTemporaryFiles(folder, [SAVED_MODEL_FILE]);
  const others = (await readdir(folder)).filter((name) => name !== SAVED_MODEL_FILE);
  if (others.length > 0)
    throw new Error(
      `${folder} has other files (${others[0] ?? ''}). Name a folder of its own for the SavedModel.`,
    );
}
