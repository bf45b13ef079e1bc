import * as tf from '@tensorflow/tfjs';
import type { InferenceSession } from 'onnxruntime-node';
import { InferenceSession as Session, Tensor } from 'onnxruntime-node';
import { modelGraph } from '../../coordinator/export/graph/model-graph.ts';
import { writeOnnx } from '../../coordinator/export/onnx.ts';
import { ONNX_DIALECT, TENSORFLOW_DIALECT } from '../../coordinator/export/write-model.ts';
import { writeSavedModel } from '../../coordinator/export/saved-model.ts';
import type { Dialect } from '../../coordinator/export/graph/graph.ts';
import { nameWeights, type NamedWeights } from '../../coordinator/model-file/weights-file.ts';
import { buildModel } from '../../shared/engine/model.ts';
import type { Job } from '../../shared/model/job.ts';
import { convertTensor, type TensorValues } from '../../shared/model/tensors.ts';
import { imagesOf } from './images.ts';
import { layerJob } from './keras-layers.ts';
import { kerasDataset, kerasJob, kerasModels } from './keras-models.ts';
import { layerCases } from './layer-cases.ts';
import { wasmEngine } from './wasm-engine.ts';

/** Model with weights and samples, of which an exported file must predict the same as the WebAssembly engine. */
export interface ExportCase {
  readonly job: Job;
  readonly weights: Float32Array;
  readonly names: readonly string[];
  readonly inputs: readonly TensorValues[];
  readonly count: number;
}

/** Largest difference between outputs that are computed in float32 in any order. */
export const TOLERANCE = 1e-5;

const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));

/** All models of test/reference by their names. */
export function exportCases(): [string, () => Promise<ExportCase>][] {
  const reference = kerasModels();
  const dataset = kerasDataset(reference);
  const models = reference.models.map((model): [string, () => Promise<ExportCase>] => [
    model.name,
    async () => ({
      ...(await kerasJob(dataset, model)),
      inputs: [imagesOf(dataset.train)],
      count: dataset.train.count,
    }),
  ]);
  const layers = layerCases.map((each): [string, () => Promise<ExportCase>] => [
    `${each.name} (one layer)`,
    async () => {
      const job = await layerJob(tf, each);
      const built = await buildModel(tf, job.topology);
      const { names } = built;
      built.dispose();
      const weights = new Float32Array(bytesOf(each.weights).buffer);
      return { job, weights, names, inputs: [bytesOf(each.images)], count: each.labels.length };
    },
  ]);
  return [...models, ...layers];
}

export const namedWeights = ({ job, weights, names }: ExportCase): NamedWeights =>
  nameWeights(weights, names, job.layout);

/** Values that the inputs of a model take. */
export const inputValues = ({ job, inputs }: ExportCase): Float32Array[] =>
  job.inputs.map((spec, i) => {
    const stored = inputs[i]!;
    const values = new Float32Array(stored.length);
    convertTensor(spec, stored, values);
    return values;
  });

/** Outputs that the WebAssembly engine computes: those of all samples, output by output. */
export async function predictOutputs({ job, weights, inputs, count }: ExportCase): Promise<Float32Array> {
  const computer = await (await wasmEngine()).load(job);
  try {
    computer.setWeights(weights);
    return Float32Array.from(await computer.predict([...inputs], count));
  } finally {
    computer.dispose();
  }
}

const inputName = (i: number): string => `in_${i}`;
const outputName = (i: number): string => `out_${i}`;

/** Bytes of a model as .onnx. @param dialect operators that are used */
export const onnxOf = (each: ExportCase, dialect: Dialect = ONNX_DIALECT): Uint8Array =>
  writeOnnx(modelGraph(each.job, namedWeights(each), dialect), {
    inputs: each.job.inputs.map((_, i) => inputName(i)),
    outputs: each.job.outputs.map((_, i) => outputName(i)),
    version: '0',
    description: '',
    metadata: {},
  });

/** Outputs that ONNX Runtime computes, as predictOutputs() has them. */
export async function runOnnx(bytes: Uint8Array, each: ExportCase): Promise<Float32Array> {
  const session = await Session.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const feeds: Record<string, Tensor> = {};
  inputValues(each).forEach((values, i) => {
    feeds[inputName(i)] = new Tensor('float32', values, [each.count, ...each.job.inputs[i]!.shape]);
  });
  const found: InferenceSession.OnnxValueMapType = await session.run(feeds);
  const outputs = each.job.outputs.map((_, i) => found[outputName(i)]!.data as Float32Array);
  await session.release();
  return joined(outputs);
}

/** Values of several arrays, one after the other. */
export function joined(arrays: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const values of arrays) {
    all.set(values, at);
    at += values.length;
  }
  return all;
}

/** Bytes of a model as the saved_model.pb of a SavedModel. */
export const savedModelOf = (each: ExportCase): Uint8Array =>
  writeSavedModel(modelGraph(each.job, namedWeights(each), TENSORFLOW_DIALECT), {
    inputs: each.job.inputs.map((_, i) => inputName(i)),
    outputs: each.job.outputs.map((_, i) => outputName(i)),
  });

/** Largest difference of two lists of values; infinite if their lengths differ or a value is NaN. */
export function largestDifference(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length) return Infinity;
  return found.reduce((largest, value, i) => {
    const difference = Math.abs(value - expected[i]!);
    return difference <= largest ? largest : Number.isNaN(difference) ? Infinity : difference;
  }, 0);
}
