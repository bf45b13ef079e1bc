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
 * Rewrites settings with several spellings in Keras 2 and 3 to the spelling of the layer table, in place.
 * @throws Error naming the layer if a key contradicts another, or the class is not one of Keras
 */
export function normalizeConfigs(model: LayerConfig, custom: readonly string[] = []): void {
  for (const layer of [model, ...walkLayers(model)]) {
    const { config } = layer;
    const { registered_name: registered, ...rest } = layer as LayerConfig & Record<string, unknown>;
    if (typeof registered === 'string' && registered.includes('>') && !custom.includes(layer.class_name)) {
      throw new Error(
        `${layerLabel(layer)} is a custom class (${registered}). Use layers of Keras, or --custom with its code.`,
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
    dropNulls(layer.config);
  }
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) {
    // The input shape of a layer after the first has no effect.
    const inputs = layersOf(outer).filter(
      (layer, i) => layer.class_name === 'InputLayer' || (i === 0 && outer.class_name === 'Sequential'),
    );
    for (const layer of layersOf(outer)) {
      if (!inputs.includes(layer)) delete layer.config.batch_input_shape;
    }
  }
}

/** Renames a setting. */
export function renameKey({ config }: LayerConfig, from: string, to: string): void {
  if (config[from] === undefined) return;
  config[to] ??= config[from];
  Reflect.deleteProperty(config, from);
}

/** Converts a policy that computes and stores one type to that type. */
function normalizeDtype(dtype: unknown): unknown {
  if (!isLayer(dtype)) return dtype;
  return ['DTypePolicy', 'Policy'].includes(dtype.class_name) ? dtype.config.name : dtype;
}

/** Converts input_shape to batch_input_shape and removes the batch size, which has no effect on the computation. */
function normalizeInputShape({ config }: LayerConfig): void {
  const { input_shape: shape, batch_input_shape: batchShape } = config;
  if (Array.isArray(shape)) config.batch_input_shape ??= [null, ...(shape as unknown[])];
  delete config.input_shape;
  delete config.batch_size;
  if (Array.isArray(batchShape)) config.batch_input_shape = [null, ...(batchShape as unknown[]).slice(1)];
  if (config.batch_input_shape === null) delete config.batch_input_shape;
}

/** Activations with two names. */
const ACTIVATION_ALIASES: Readonly<Record<string, string>> = { silu: 'swish', hard_swish: 'hard_silu' };

function resolveAliases(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  if (className === 'ActivityRegularization') {
    const { l1, l2, ...rest } = config;
    layer.class_name = 'Identity';
    layer.config = {
      ...rest,
      activity_regularizer: { class_name: 'L1L2', config: { l1: l1 ?? 0, l2: l2 ?? 0 } },
    };
    return;
  }
  if (className === 'LeakyReLU') {
    const { alpha, negative_slope: slope } = config;
    if (alpha !== undefined && slope !== undefined && alpha !== slope) {
      throw new Error(`${layerLabel(layer)} has both alpha and negative_slope. Keep one.`);
    }
    renameKey(layer, 'negative_slope', 'alpha');
  }
  // Keras 2 also writes these keys for separable convolutions, where they have no effect and tfjs rejects them.
  if (className.startsWith('SeparableConv')) {
    for (const key of ['kernel_initializer', 'kernel_regularizer', 'kernel_constraint']) {
      Reflect.deleteProperty(config, key);
    }
  }
  convertSpatialDropout(layer);
  // tfjs never unrolls recurrent layers and warns about the setting.
  if (typeof config.unroll === 'boolean') config.unroll = false;
  for (const key of ['activation', 'recurrent_activation']) {
    const alias = typeof config[key] === 'string' ? ACTIVATION_ALIASES[snakeCase(config[key])] : undefined;
    if (alias !== undefined) config[key] = alias;
  }
  // A number stands for a range on both sides of 1 in Keras 2; Keras 3 always writes the range.
  if (className === 'RandomContrast' && typeof config.factor === 'number')
    config.factor = [config.factor, config.factor];
  if (className === 'BatchNormalization' && Array.isArray(config.axis) && config.axis.length === 1) {
    const [axis] = config.axis as unknown[];
    config.axis = axis;
  }
}

/** Shapes of masks that drop whole channels, by the number of axes. */
const SPATIAL_NOISE_SHAPES = {
  SpatialDropout1D: [null, 1, null],
  SpatialDropout2D: [null, 1, 1, null],
  SpatialDropout3D: [null, 1, 1, 1, null],
};

/** Converts dropout of whole channels to Dropout with a noise shape, which keyed masks support. */
function convertSpatialDropout(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  const shape = ownEntry(SPATIAL_NOISE_SHAPES, className);
  if (shape === undefined) return;
  const first = typeof config.data_format === 'string' && snakeCase(config.data_format) === 'channels_first';
  config.noise_shape = first ? [null, null, ...shape.slice(1, -1)] : shape;
  delete config.data_format;
  layer.class_name = 'Dropout';
}

/**
 * Removes keys with null, which means a default but is not accepted by tfjs-layers everywhere. Exceptions: no activation is the
 * linear one, and no merging is a merge mode.
 */
function dropNulls(config: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(config)) {
    if (value !== null || key === 'merge_mode') continue;
    if (key.endsWith('activation')) config[key] = 'linear';
    // tfjs-layers writes null for false.
    else if (key === 'unit_forget_bias') config[key] = false;
    else Reflect.deleteProperty(config, key);
  }
}
