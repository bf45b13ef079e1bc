import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../files/make-folder.ts';
import { writeFileAtomic } from '../files/write-file.ts';
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

/** Largest file of Protocol Buffers, less room for what is not weights. */
const MAX_GRAPH_BYTES = 2 ** 31 - 2 ** 24;

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
      return writeFileAtomic(file, writeSafetensors(model));
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
