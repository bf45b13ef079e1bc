import * as tf from '@tensorflow/tfjs';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Topology } from '../../shared/model/job.ts';
import { isRecord } from '../../shared/model/keras-layer.ts';
import { withCpuBackend } from '../model/cpu-backend.ts';
import { modelFromJson, readModelFile, type ModelFile } from '../model-file/model-file.ts';
import type { NamedWeights } from '../model-file/weights-file.ts';
import { measureTargets } from '../model/statistics.ts';
import type { ModelDataset, ModelFunction, TargetSpec, TaskModel } from './task.ts';
import type { LayersModel, TensorFlow } from './tensorflow.ts';

/**
 * Reads the model of a task. Training starts from the weights of a file or a model; a function's model gets its initial weights
 * from the seed, unless the function has set any.
 * @param weightsFile file whose weights take the place of the model's
 * @param openData opens the data of the task, for a function
 * @returns null if the task has no model
 * @throws Error with a sentence if it is no model
 */
export async function readTaskModel(
  model: TaskModel | undefined,
  weightsFile: string | undefined,
  openData: () => Promise<Dataset>,
): Promise<ModelFile | null> {
  if (model === undefined) return null;
  if (typeof model === 'string') return readModelFile(model, weightsFile);
  if (weightsFile !== undefined)
    throw new Error('A file of weights needs a file with its model. Name that file as the model.');
  if (typeof model === 'function') {
    const dataset = await openData();
    return withCpuBackend(() => callFunction(model, dataset));
  }
  return isLayersModel(model) ? readLayersModel(model, true) : modelFromJson('The model', model);
}

const isLayersModel = (model: unknown): model is LayersModel =>
  isRecord(model) && typeof model.toJSON === 'function' && Array.isArray(model.weights);

/** Variables that functions of models have assigned values to, and the number of functions in progress. */
const assigned = { variables: new WeakSet<tf.Variable>(), functions: 0, stop: (): void => undefined };

/** Records assignments to variables from now on. Layers make one only for setWeights, which loaders of saved models call too. */
function recordAssignments(): () => void {
  const { prototype } = tf.Variable;
  const original = Object.getOwnPropertyDescriptor(prototype, 'assign') as PropertyDescriptor;
  Object.defineProperty(prototype, 'assign', {
    ...original,
    value(this: tf.Variable, value: tf.Tensor) {
      assigned.variables.add(this);
      (original.value as (this: tf.Variable, value: tf.Tensor) => void).call(this, value);
    },
  });
  return () => Object.defineProperty(prototype, 'assign', original);
}

/** @throws Error with a sentence if the data set has no input or no target */
async function withTargetStatistics(dataset: Dataset): Promise<ModelDataset> {
  const [input, ...inputs] = dataset.inputs;
  const measured = await measureTargets(dataset.targets, dataset.train);
  const [target, ...targets] = dataset.targets.map((spec, i): TargetSpec => ({
    ...spec,
    ...(measured[i] ?? { mean: 0, std: 1 }),
  }));
  if (input === undefined || target === undefined)
    throw new Error(`${dataset.name} needs at least one input and one target.`);
  return { ...dataset, inputs: [input, ...inputs], targets: [target, ...targets] };
}

async function callFunction(create: ModelFunction, dataset: Dataset): Promise<ModelFile> {
  // Functions of several runs may be in progress at a time.
  if (assigned.functions++ === 0) assigned.stop = recordAssignments();
  let created: LayersModel | Topology;
  try {
    created = await create(tf as unknown as TensorFlow, await withTargetStatistics(dataset));
  } finally {
    if (--assigned.functions === 0) assigned.stop();
  }
  if (!isRecord(created))
    throw new Error('The function of the model returned no model. Return a tf.LayersModel or a topology.');
  if (!isLayersModel(created)) return modelFromJson("The function's model", created);
  try {
    const { weights } = created as unknown as tf.LayersModel;
    const hasSetWeights = weights.some((weight) =>
      assigned.variables.has((weight as unknown as { readonly val: tf.Variable }).val),
    );
    return await readLayersModel(created, hasSetWeights);
  } finally {
    (created as Partial<tf.LayersModel>).dispose?.();
  }
}

async function readLayersModel(model: LayersModel, keepsWeights: boolean): Promise<ModelFile> {
  const file = modelFromJson('The model', model.toJSON(null, false));
  if (!keepsWeights) return file;
  const weights: NamedWeights = new Map(
    await Promise.all(
      model.weights.map(async (weight) => {
        const { originalName } = weight;
        const tensor = weight.read();
        return [
          originalName,
          { shape: tensor.shape, values: Float32Array.from(await tensor.data()) },
        ] as const;
      }),
    ),
  );
  return { ...file, weights };
}

/** Name of a model for config.json: a file as it is, another model by its kind. */
export function describeTaskModel(model: TaskModel | undefined): string | undefined {
  if (model === undefined || typeof model === 'string') return model;
  if (typeof model === 'function') return 'a function';
  return isLayersModel(model) ? 'a model of TensorFlow.js' : 'a topology';
}
