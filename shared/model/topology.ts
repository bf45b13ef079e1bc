import { randomStream, Purpose } from '../random/stream.ts';
import type { Topology } from './job.ts';
import {
  copyModel,
  isLayer,
  layerLabel,
  layersOf,
  walkLayers,
  type LayerConfig,
  asArray,
} from './keras-layer.ts';

// Functions that rewrite a Keras topology without building the model. Each returns a changed copy.

/** Class name of the dropout layer with keyed masks. */
export const KEYED_DROPOUT = 'KeyedDropout';

/** Layers with unkeyed random numbers, whose result would depend on the worker that computes them. */
const UNKEYED_RANDOM_LAYERS: ReadonlySet<string> = new Set([
  'AlphaDropout',
  'GaussianDropout',
  'GaussianNoise',
  'RandomWidth',
  'SpatialDropout1D',
  'SpatialDropout2D',
]);

/** @throws Error if a layer draws unkeyed random numbers in training */
export function rejectUnkeyedNoise(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  const recurrentNoise = Number(config.recurrent_dropout ?? 0) + Number(config.dropout ?? 0);
  if (!UNKEYED_RANDOM_LAYERS.has(className) && !(recurrentNoise > 0)) return;
  throw new Error(
    `${layerLabel(layer)} draws its own random numbers, so that a step would depend on ` +
      'how the batch is partitioned. Use Dropout layers instead.',
  );
}

/**
 * Topology with numbered KeyedDropout layers in place of Dropout, as workers build it.
 * @throws Error if a layer draws unkeyed random numbers in training
 */
export function withKeyedDropout(topology: Topology): Topology {
  const model = copyModel(topology);
  let number = 0;
  for (const layer of walkLayers(model)) {
    rejectUnkeyedNoise(layer);
    if (layer.class_name !== 'Dropout') continue;
    layer.class_name = KEYED_DROPOUT;
    layer.config.number = number++;
  }
  return { ...model };
}

/**
 * Topology with a seed for every initializer, derived from the seed of the run, so that runs are reproducible. Existing seeds stay.
 * @param topology as expandTopology returns it
 */
export function withSeededInitializers(topology: Topology, seed: number): Topology {
  const model = copyModel(topology);
  const stream = randomStream(seed, Purpose.initialWeights);
  for (const layer of walkLayers(model)) {
    for (const value of Object.values(layer.config)) {
      if (isLayer(value) && 'seed' in value.config) value.config.seed ??= stream.uint32();
    }
  }
  return { ...model };
}

/** Whether a model has a batch normalization that is not frozen, whose result depends on all samples of a shard. */
export function usesBatchNormalization(topology: Topology): boolean {
  return [...walkLayers(copyModel(topology))].some(
    ({ class_name: className, config }) => className === 'BatchNormalization' && config.trainable !== false,
  );
}

/** Layers that change only the shape. */
const RESHAPING_LAYERS: ReadonlySet<string> = new Set(['Flatten', 'Reshape']);

/** Name of the softmax that moveSoftmaxLast() adds. */
const SOFTMAX_NAME = 'softmax_of_classes';

/**
 * Moves a softmax after the Flatten or Reshape layers that follow it, because a loss of logits needs it last. The result is the
 * same if the softmax is over all outputs.
 * @param topology as expandTopology returns it
 * @returns `outputs`: number of outputs that the model must have for that; null if nothing changed
 */
export function moveSoftmaxLast(topology: Topology): {
  readonly topology: Topology;
  readonly outputs: number | null;
} {
  const model = copyModel(topology);
  const unchanged = { topology, outputs: null };
  let layer = lastLayer(model);
  const last = layer;
  while (layer !== undefined && RESHAPING_LAYERS.has(layer.class_name)) layer = layerBefore(model, layer);
  if (layer === undefined || layer === last || last === undefined) return unchanged;
  const outputs = layer.config.units ?? layer.config.filters;
  if (layer.config.activation !== 'softmax' || typeof outputs !== 'number') return unchanged;
  layer.config.activation = 'linear';
  const softmax: LayerConfig = {
    class_name: 'Activation',
    config: { name: SOFTMAX_NAME, activation: 'softmax' },
  };
  if (model.class_name !== 'Sequential') {
    softmax.name = SOFTMAX_NAME;
    softmax.inbound_nodes = [[[last.config.name, 0, 0, {}]]];
    model.config.output_layers = [[SOFTMAX_NAME, 0, 0]];
  }
  model.config.layers = [...layersOf(model), softmax];
  return { topology: { ...model }, outputs };
}

function lastLayer(model: LayerConfig): LayerConfig | undefined {
  if (model.class_name === 'Sequential') return layersOf(model).at(-1);
  const outputs = asArray(model.config.output_layers);
  const [name] = asArray(outputs[0]);
  return outputs.length === 1 ? layersOf(model).find((layer) => layer.config.name === name) : undefined;
}

/** Layer whose output only a given layer uses; undefined if there is none. */
function layerBefore(model: LayerConfig, layer: LayerConfig): LayerConfig | undefined {
  const layers = layersOf(model);
  if (model.class_name === 'Sequential') return layers[layers.indexOf(layer) - 1];
  const calls = asArray(layer.inbound_nodes);
  const [name] = asArray(asArray(calls[0])[0]);
  // A softmax with other users cannot move.
  const users = layers.filter((candidate) =>
    JSON.stringify(candidate.inbound_nodes ?? []).includes(JSON.stringify(name)),
  );
  return calls.length === 1 && users.length === 1
    ? layers.find((candidate) => candidate.config.name === name)
    : undefined;
}
