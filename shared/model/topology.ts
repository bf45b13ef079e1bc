import { randomStream, Purpose } from '../random/stream.ts';
import type { Topology } from './job.ts';
import {
  copyModel,
  isLayer,
  layersOf,
  nestedLayers,
  walkLayers,
  type LayerConfig,
  asArray,
} from './keras-layer.ts';

// Functions that rewrite a Keras topology without building the model. Each returns a changed copy.

/** Class name of the dropout layer with keyed masks. */
export const KEYED_DROPOUT = 'KeyedDropout';

/** Layers that draw random numbers in training, whatever their settings. */
export const RANDOM_LAYERS: ReadonlySet<string> = new Set([
  'AlphaDropout',
  'Dropout',
  'GaussianDropout',
  'GaussianNoise',
  'RandomBrightness',
  'RandomContrast',
  'RandomCrop',
  'RandomFlip',
  'RandomRotation',
  'RandomTranslation',
  'RandomZoom',
]);

/** Layer numbers that a layer takes for its random numbers. */
function drawsOf({ class_name: className, config }: LayerConfig): number {
  if (RANDOM_LAYERS.has(className)) return 1;
  const dropout = Number(config.dropout ?? 0);
  // Recurrent layers and cells draw one mask for their inputs and one for their state.
  if (/^((SimpleRNN|LSTM|GRU)(Cell)?|ConvLSTM[123]D)$/.test(className))
    return dropout > 0 || Number(config.recurrent_dropout ?? 0) > 0 ? 2 : 0;
  return dropout > 0 ? 1 : 0;
}

/**
 * Topology whose random layers have numbers, in the order of the topology, with KeyedDropout in place of Dropout, as workers
 * build it. PROTOCOL.md, section 8, has the rules.
 */
export function withKeyedDropout(topology: Topology): Topology {
  const model = copyModel(topology);
  numberDraws(model, 0);
  return { ...model };
}

/** Numbers the random layers within a layer, in place. @returns the next free number */
function numberDraws(layer: LayerConfig, first: number): number {
  let next = first;
  for (const nested of nestedLayers(layer)) {
    const draws = drawsOf(nested);
    if (draws > 0) nested.config.number = next;
    next = numberDraws(nested, next + draws);
    if (nested.class_name === 'Dropout') nested.class_name = KEYED_DROPOUT;
  }
  // The second layer, which the first describes, has numbers of its own after those of the first.
  return layer.class_name === 'Bidirectional' ? 2 * next - first : next;
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
  const isPlain = layer.config.activity_regularizer === undefined;
  if (layer.config.activation !== 'softmax' || typeof outputs !== 'number' || !isPlain) return unchanged;
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
