import { randomStream, Purpose } from '../random/stream.ts';
import type { Topology } from './job.ts';

/**
 * Rewrites of a Keras topology, as data: no tf, no built model. Each returns a changed copy.
 */

/** The class under which workers know dropout with keyed masks. */
export const KEYED_DROPOUT = 'KeyedDropout';

/** Layers whose noise is not keyed by (seed, step, sample): their result would depend on who computed them. */
const UNKEYED_RANDOM_LAYERS = new Set([
  'AlphaDropout',
  'GaussianDropout',
  'GaussianNoise',
  'RandomWidth',
  'SpatialDropout1D',
  'SpatialDropout2D',
]);

interface LayerConfig {
  class_name: string;
  config: Record<string, unknown>;
  name?: unknown;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isLayer = (value: unknown): value is LayerConfig =>
  isRecord(value) && typeof value.class_name === 'string' && isRecord(value.config);

/** The model itself, whether or not it is wrapped as keras.Model.save() writes it. */
function copyOfModel(topology: Topology): LayerConfig {
  const model: unknown = structuredCopy(topology.model_config ?? topology);
  if (!isLayer(model)) throw new Error('The topology is no Keras model: class_name and config are missing.');
  return model;
}

function layersOf(model: LayerConfig): LayerConfig[] {
  const { layers } = model.config;
  return Array.isArray(layers) ? layers.filter(isLayer) : [];
}

/** Every layer, those of models within the model and of wrappers included, in order of the topology. */
function* walk(model: LayerConfig): Generator<LayerConfig> {
  const { layer: wrapped, cell, cells } = model.config;
  const inside = [wrapped, cell, ...(Array.isArray(cells) ? (cells as unknown[]) : [])].filter(isLayer);
  for (const layer of [...layersOf(model), ...inside]) {
    yield layer;
    yield* walk(layer);
  }
}

/**
 * The topology as a worker builds it: dropout layers numbered, to take their masks from outside.
 * @throws Error if a layer draws random numbers of its own while training
 */
export function withKeyedDropout(topology: Topology): Topology {
  const model = copyOfModel(topology);
  let number = 0;
  for (const layer of walk(model)) {
    const { class_name: className, config } = layer;
    const recurrentNoise = Number(config.recurrent_dropout ?? 0) + Number(config.dropout ?? 0);
    if (UNKEYED_RANDOM_LAYERS.has(className) || recurrentNoise > 0) {
      throw new Error(
        `Layer ${String(config.name)} (${className}) draws random numbers of its own, so a step would depend on ` +
          'how it was shared out. Use Dropout layers instead.',
      );
    }
    if (className === 'Dropout') {
      if (Array.isArray(config.noise_shape)) {
        throw new Error(`Layer ${String(config.name)}: Dropout with a noise_shape is not supported.`);
      }
      layer.class_name = KEYED_DROPOUT;
      config.number = number++;
    }
  }
  return { ...model };
}

/**
 * The topology up to the logits: the softmax that ends the model is taken off, because the loss of logits is exact
 * where that of probabilities has to be clipped. Keras does the same.
 * @throws Error if the model does not end in a softmax
 */
export function withLogits(topology: Topology): Topology {
  const model = copyOfModel(topology);
  const last = outputLayer(model);
  if (last?.class_name === 'Softmax') {
    last.class_name = 'Activation';
    last.config = { name: last.config.name, trainable: true, dtype: 'float32', activation: 'linear' };
  } else if (last?.config.activation === 'softmax') {
    last.config.activation = 'linear';
  } else {
    throw new Error('Categorical cross-entropy needs a model whose last layer is a softmax.');
  }
  return { ...model };
}

/**
 * Workers compute the gradient of the loss alone, and nothing holds weights within bounds after an update.
 * @throws Error naming layer and property if the model asks for either
 */
export function refuseWhatIsIgnored(topology: Topology): void {
  for (const { class_name: className, config } of walk(copyOfModel(topology))) {
    for (const [property, value] of Object.entries(config)) {
      const [, kind] = /_(regularizer|constraint)$/.exec(property) ?? [];
      if (kind === undefined || value === null || (kind === 'regularizer' && weighsNothing(value))) continue;
      throw new Error(
        `Layer ${String(config.name)} (${className}) has a ${property}, which would be ignored: no ${kind} is supported. ` +
          'Take it out of the model.',
      );
    }
  }
}

/** What Keras writes for l1_l2(0, 0). */
const weighsNothing = (regularizer: unknown): boolean =>
  isLayer(regularizer) &&
  Number(regularizer.config.l1 ?? 0) === 0 &&
  Number(regularizer.config.l2 ?? 0) === 0;

/**
 * Gives every initializer that has no seed one of its own, derived from the run's, so that a run can be repeated.
 * @param topology with every initializer written out, as writtenOut does it
 */
export function withSeededInitializers(topology: Topology, seed: number): Topology {
  const model = copyOfModel(topology);
  const stream = randomStream(seed, Purpose.initialWeights);
  for (const layer of walk(model)) {
    for (const value of Object.values(layer.config)) {
      if (isLayer(value) && 'seed' in value.config) value.config.seed ??= stream.uint32();
    }
  }
  return { ...model };
}

function outputLayer(model: LayerConfig): LayerConfig | undefined {
  const layers = layersOf(model);
  const outputs = model.config.output_layers;
  if (!Array.isArray(outputs)) return layers.at(-1);
  const [first] = (Array.isArray(outputs[0]) ? outputs[0] : outputs) as unknown[];
  if (outputs.length > 1 && Array.isArray(outputs[0])) {
    throw new Error(`The model has ${outputs.length} outputs; exactly one can be trained.`);
  }
  return layers.find((layer) => layer.name === first || layer.config.name === first);
}

const structuredCopy = (value: unknown): unknown => JSON.parse(JSON.stringify(value)) as unknown;
