import * as tf from '@tensorflow/tfjs';
import type { Dataset } from '../../shared/data/dataset.ts';
import { buildModel } from '../../shared/engine/model.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { sizeOf } from '../../shared/model/layout.ts';
import { withLogits } from '../../shared/model/topology.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { explainModelError, LayerError } from './model-errors.ts';

/**
 * Tries one step on one sample before a run begins, so that a model that no worker could train is refused here and not by
 * each of them.
 * @throws Error with a sentence that names the layer, if that can be known
 */
export async function tryStep(
  engine: Engine,
  { job, initialWeights }: { readonly job: Job; readonly initialWeights: Float32Array },
  { train, sampleShape }: Dataset,
): Promise<void> {
  const shard = {
    sampleNumbers: Uint32Array.of(0),
    images: train.images.subarray(0, sizeOf(sampleShape)),
    labels: train.labels.subarray(0, 1),
  };
  const gradient = new Float32Array(initialWeights.length);
  let lossSum: number;
  try {
    const trainer = await engine.load(job);
    try {
      trainer.setWeights(initialWeights);
      ({ lossSum } = await trainer.gradient(0 as Step, shard, gradient));
    } finally {
      trainer.dispose();
    }
  } catch (error) {
    throw explainModelError(await locateFailingLayer(job, error), 'trained');
  }
  if (Number.isFinite(lossSum) && gradient.every(Number.isFinite)) return;
  throw new Error(
    "The model's first step has no finite loss or gradient, so nothing would be learnt. " +
      'Use other initializers, or normalize between the layers.',
  );
}

/** An error of an engine, which does not know of layers, with the first layer that has no gradient by itself. */
async function locateFailingLayer(job: Job, error: unknown): Promise<unknown> {
  const built = await buildModel(tf, withLogits(job.topology)).catch(() => null);
  if (built === null) return error;
  try {
    return findUntrainableLayer(built.model.layers) ?? error;
  } finally {
    built.dispose();
  }
}

function findUntrainableLayer(layers: readonly tf.layers.Layer[]): LayerError | null {
  for (const layer of layers) {
    const inside = (layer as { readonly layers?: readonly tf.layers.Layer[] }).layers;
    const found = inside === undefined ? findGradientError(layer) : findUntrainableLayer(inside);
    if (found !== null) return found;
  }
  return null;
}

function findGradientError(layer: tf.layers.Layer): LayerError | null {
  const shapes = layer.inboundNodes[0]?.inputShapes ?? [];
  const each = (Array.isArray(shapes[0]) ? shapes : [shapes]) as tf.Shape[];
  if (layer.getClassName() === 'InputLayer' || each.length === 0) return null;
  try {
    tf.tidy(() => {
      const inputs = each.map((shape) => tf.ones([1, ...shape.slice(1).map((size) => size ?? 1)]));
      const output = (...given: tf.Tensor[]): tf.Scalar => {
        const [one] = given;
        const made = layer.call(one === undefined || given.length > 1 ? given : one, { training: true });
        return tf.sum(Array.isArray(made) ? (made[0] as tf.Tensor) : made);
      };
      tf.grads(output)(inputs);
      const weights = layer.trainableWeights.map((weight) => weight.read() as tf.Variable);
      if (weights.length > 0) tf.variableGrads(() => output(...inputs), weights);
    });
    return null;
  } catch (error) {
    return new LayerError(`${layer.name} (${layer.getClassName()})`, error);
  }
}
