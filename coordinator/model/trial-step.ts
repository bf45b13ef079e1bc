import * as tf from '@tensorflow/tfjs';
import { readSamples, type Dataset } from '../../shared/data/dataset.ts';
import { randomContext } from '../../shared/engine/layers/random-source.ts';
import { buildModel } from '../../shared/engine/model.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { customTerms } from '../../shared/model/outputs.ts';
import { foldActivations } from '../../shared/model/fold-activations.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { CustomBundle } from '../../shared/engine/custom-objects.ts';
import { explainModelError, LayerError } from './model-errors.ts';

/** A run to try. */
export interface TrialRun {
  readonly job: Job;
  readonly initialWeights: Float32Array;
  /** The job's custom code. @default none */
  readonly custom?: CustomBundle | undefined;
}

/**
 * Computes one step on one sample before a run starts, so that a model that no worker can train is rejected here.
 * @throws Error with a sentence that names the layer, if it can be found
 */
export async function tryStep(
  engine: Engine,
  { job, initialWeights, custom }: TrialRun,
  { train }: Dataset,
): Promise<void> {
  const shard = await readSamples(train, Uint32Array.of(0));
  const gradient = new Float32Array(initialWeights.length);
  let lossSum: number;
  try {
    const computer = await engine.load(job, custom?.module);
    try {
      computer.setWeights(initialWeights);
      ({ lossSum } = await computer.gradient(0 as Step, shard, gradient));
    } finally {
      computer.dispose();
    }
  } catch (error) {
    const losses = customTerms(job.outputs).flatMap(({ kind, name }) => (kind === 'loss' ? [name] : []));
    const { layers = [] } = job.customCode ?? {};
    throw explainModelError(await locateFailingLayer(job, custom, error), 'trained', { layers, losses });
  }
  if (Number.isFinite(lossSum) && gradient.every(Number.isFinite)) return;
  const customLoss = job.outputs.find(({ loss }) => loss.function !== undefined)?.loss.function;
  if (customLoss !== undefined && !Number.isFinite(lossSum)) {
    throw new Error(
      `The loss ${customLoss} is ${lossSum} for the first sample. Keep its logarithms and quotients finite.`,
    );
  }
  throw new Error(
    "The model's first step has no finite loss or gradient, so the model cannot learn. " +
      'Use other initializers, or normalize between the layers.',
  );
}

/** Finds the layer of an engine's error, which does not name it: the first layer without a gradient of its own. */
async function locateFailingLayer(
  job: Job,
  custom: CustomBundle | undefined,
  error: unknown,
): Promise<unknown> {
  const built = await buildModel(tf, foldActivations(job).topology, custom?.objects ?? null).catch(
    () => null,
  );
  if (built === null) return error;
  const random = randomContext(tf);
  // Without numbers, random layers would pass their inputs on.
  random.masks = { draw: (_layer, _draw, shape) => tf.fill(shape, 0.25) };
  try {
    return findUntrainableLayer(built.model.layers) ?? error;
  } finally {
    random.masks = null;
    built.dispose();
  }
}

/** @param layers in the order of the topology; those before the first trained one need no gradient */
function findUntrainableLayer(layers: readonly tf.layers.Layer[]): LayerError | null {
  let isTrained = false;
  for (const layer of allLayersOf(layers)) {
    isTrained ||= layer.trainableWeights.length > 0;
    const error = isTrained ? findGradientError(layer) : null;
    if (error !== null) return error;
  }
  return null;
}

/** Layers, with those of nested models in place of the models. */
const allLayersOf = (layers: readonly tf.layers.Layer[]): tf.layers.Layer[] =>
  layers.flatMap((layer) => {
    const { layers: inner } = layer as { readonly layers?: readonly tf.layers.Layer[] };
    return inner === undefined ? [layer] : allLayersOf(inner);
  });

function findGradientError(layer: tf.layers.Layer): LayerError | null {
  const shapes = layer.inboundNodes[0]?.inputShapes ?? [];
  const inputShapes = (Array.isArray(shapes[0]) ? shapes : [shapes]) as tf.Shape[];
  if (layer.getClassName() === 'InputLayer' || inputShapes.length === 0) return null;
  try {
    tf.tidy(() => {
      const ones = inputShapes.map((shape) => tf.ones([1, ...shape.slice(1).map((size) => size ?? 1)]));
      const sumOutput = (...inputs: tf.Tensor[]): tf.Scalar => {
        const [input] = inputs;
        const output = layer.call(input === undefined || inputs.length > 1 ? inputs : input, {
          training: true,
        });
        return tf.sum(Array.isArray(output) ? (output[0] as tf.Tensor) : output);
      };
      tf.grads(sumOutput)(ones);
      const weights = layer.trainableWeights.map((weight) => weight.read() as tf.Variable);
      if (weights.length > 0) tf.variableGrads(() => sumOutput(...ones), weights);
    });
    return null;
  } catch (error) {
    return new LayerError(`${layer.name} (${layer.getClassName()})`, error);
  }
}
