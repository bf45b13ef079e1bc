import {
  ownEntry,
  isLayer,
  isModel,
  layerLabel,
  layersOf,
  walkLayers,
  type LayerConfig,
} from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';

/**
 * Brings what both generations write in several ways into the one that the table of layers knows, in place.
 * @throws Error naming the layer if a key contradicts another, or the class is a person's own
 */
export function normalizeConfigs(model: LayerConfig): void {
  for (const layer of [model, ...walkLayers(model)]) {
    const { config } = layer;
    const { registered_name: registered, ...rest } = layer as LayerConfig & Record<string, unknown>;
    if (typeof registered === 'string' && registered.includes('>')) {
      throw new Error(
        `${layerLabel(layer)} is a class of its own (${registered}). Only Keras' layers are supported.`,
      );
    }
    for (const key of Object.keys(layer)) {
      if (!['class_name', 'config', 'name', 'inbound_nodes'].includes(key))
        Reflect.deleteProperty(layer, key);
    }
    if (typeof rest.name === 'string') config.name ??= rest.name;
    config.dtype = normalizeDtype(config.dtype);
    if (config.dtype === undefined) delete config.dtype;
    normalizeInputShape(layer);
    resolveAliases(layer);
    dropNulls(config);
  }
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) {
    // Layers behind the first one are called with what is there, whatever they were made for.
    const inputs = layersOf(outer).filter(
      (layer, i) => layer.class_name === 'InputLayer' || (i === 0 && outer.class_name === 'Sequential'),
    );
    for (const layer of layersOf(outer)) {
      if (!inputs.includes(layer)) delete layer.config.batch_input_shape;
    }
  }
}

/** Gives a setting another name. */
export function renameKey({ config }: LayerConfig, from: string, to: string): void {
  if (config[from] === undefined) return;
  config[to] ??= config[from];
  Reflect.deleteProperty(config, from);
}

/** A policy that computes in and stores one type is that type. */
function normalizeDtype(dtype: unknown): unknown {
  if (!isLayer(dtype)) return dtype;
  return ['DTypePolicy', 'Policy'].includes(dtype.class_name) ? dtype.config.name : dtype;
}

/** input_shape and input_dim, as a person writes them; a batch size has no meaning for what is computed. */
function normalizeInputShape({ config }: LayerConfig): void {
  const { input_shape: shape, batch_input_shape: batchShape } = config;
  if (Array.isArray(shape)) config.batch_input_shape ??= [null, ...(shape as unknown[])];
  delete config.input_shape;
  delete config.batch_size;
  if (Array.isArray(batchShape)) config.batch_input_shape = [null, ...(batchShape as unknown[]).slice(1)];
  if (config.batch_input_shape === null) delete config.batch_input_shape;
}

function resolveAliases(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  if (className === 'LeakyReLU') {
    const { alpha, negative_slope: slope } = config;
    if (alpha !== undefined && slope !== undefined && alpha !== slope) {
      throw new Error(`${layerLabel(layer)} has both alpha and negative_slope. Keep one.`);
    }
    renameKey(layer, 'negative_slope', 'alpha');
  }
  // Keras 2 writes them for separable convolutions too, where they have no meaning, and tfjs refuses them.
  if (className.startsWith('SeparableConv')) {
    for (const key of ['kernel_initializer', 'kernel_regularizer', 'kernel_constraint']) {
      Reflect.deleteProperty(config, key);
    }
  }
  convertSpatialDropout(layer);
  // tfjs runs recurrent layers step by step anyway, and says so each time.
  if (typeof config.unroll === 'boolean') config.unroll = false;
  for (const key of ['activation', 'recurrent_activation']) {
    if (config[key] === 'silu') config[key] = 'swish';
  }
  if (className === 'BatchNormalization' && Array.isArray(config.axis) && config.axis.length === 1) {
    const [axis] = config.axis as unknown[];
    config.axis = axis;
  }
}

const SPATIAL_NOISE_SHAPES = { SpatialDropout1D: [null, 1, null], SpatialDropout2D: [null, 1, 1, null] };

/** Dropout of whole channels is dropout with a noise shape, which keyed masks can have. */
function convertSpatialDropout(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  const shape = ownEntry(SPATIAL_NOISE_SHAPES, className);
  if (shape === undefined) return;
  const first = typeof config.data_format === 'string' && snakeCase(config.data_format) === 'channels_first';
  config.noise_shape = first ? [null, null, 1, 1] : shape;
  delete config.data_format;
  layer.class_name = 'Dropout';
}

/**
 * null stands for what a person has not said, and tfjs-layers does not take it for that everywhere; but no activation is a
 * linear one, and no merging is a mode of its own.
 */
function dropNulls(config: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(config)) {
    if (value !== null || key === 'merge_mode') continue;
    if (key.endsWith('activation')) config[key] = 'linear';
    // tfjs-layers writes null for one that it does not set.
    else if (key === 'unit_forget_bias') config[key] = false;
    else Reflect.deleteProperty(config, key);
  }
}
