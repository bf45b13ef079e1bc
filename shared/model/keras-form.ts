import { arrayOf, entryOf, isLayer, isRecord, layerLabel, walk, type LayerConfig } from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';

/** Keys as Python writes them, through the whole topology; tfjs-layers reads both, checks know one. */
export function withSnakeKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSnakeKeys);
  if (!isRecord(value)) return value;
  const renamed: Record<string, unknown> = {};
  for (const [key, inside] of Object.entries(value)) {
    const name = snakeCase(key);
    if (Object.hasOwn(renamed, name))
      throw new Error(`The model has the key ${name} twice, as ${key} too. Remove one.`);
    renamed[name] = withSnakeKeys(inside);
  }
  return renamed;
}

/**
 * Whether Keras 3 wrote a topology: it gives some names another meaning. Files rarely say so themselves, but they hold
 * what Keras 2 never wrote.
 * @param topology with snake_case keys
 * @param version the file's keras_version, if it has one
 */
export function isKeras3(topology: LayerConfig, version: unknown): boolean {
  if (typeof version === 'string' && /^[3-9]\./.test(version)) return true;
  const { module } = topology as { module?: unknown };
  if (typeof module === 'string' && module.startsWith('keras.src.models.')) return true;
  return [topology, ...walk(topology)].some(
    ({ class_name: className, config }) =>
      config.batch_shape !== undefined ||
      config.quantization_config !== undefined ||
      (isLayer(config.dtype) && config.dtype.class_name === 'DTypePolicy') ||
      (className === 'LeakyReLU' && config.negative_slope !== undefined),
  );
}

/** Rewrites what Keras 3 says otherwise than Keras 2, in place. @throws Error where it means something else */
export function fromKeras3(model: LayerConfig): void {
  for (const layer of [model, ...walk(model)]) {
    const { config } = layer;
    rename(layer, 'batch_shape', 'batch_input_shape');
    for (const key of ['activation', 'recurrent_activation']) {
      if (typeof config[key] !== 'string' || snakeCase(config[key]) !== 'hard_sigmoid') continue;
      throw new Error(
        `${layerLabel(layer)} has the ${key} hard_sigmoid, which is another function in Keras 3 (relu6(x + 3) / 6) than ` +
          'in TensorFlow.js. Use sigmoid.',
      );
    }
    dropMirroredLayer(layer);
    if (layer.inbound_nodes !== undefined) layer.inbound_nodes = arrayOf(layer.inbound_nodes).map(nodeOf);
    for (const key of ['input_layers', 'output_layers']) {
      const ends = config[key];
      if (Array.isArray(ends) && typeof ends[0] === 'string') config[key] = [ends];
    }
  }
}

/** Keras 3 always writes a Bidirectional's second layer; tfjs makes it from the first. */
function dropMirroredLayer({ config }: LayerConfig): void {
  const { layer: forward, backward_layer: backward } = config;
  if (!isLayer(forward) || !isLayer(backward)) return;
  const plain = (one: LayerConfig, backwards: boolean): string =>
    JSON.stringify([
      one.class_name,
      ...Object.entries(one.config)
        .map(([key, value]): [string, unknown] => [key, key === 'go_backwards' ? backwards : value])
        .filter(([key]) => key !== 'name')
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ]);
  const mirrored = forward.config.go_backwards !== true;
  if (backward.config.go_backwards === mirrored && plain(forward, true) === plain(backward, true)) {
    delete config.backward_layer;
  }
}

/** A call as Keras 2 writes it, [[name, node, tensor, arguments], ...], from Keras 3's { args, kwargs }. */
function nodeOf(node: unknown): unknown {
  if (!isRecord(node)) return node;
  const kwargs = isRecord(node.kwargs) ? node.kwargs : {};
  const tensors = [node.args].flat(9).map((tensor) => {
    const history = isLayer(tensor) ? arrayOf(tensor.config.keras_history) : [];
    if (history.length === 3) return [...history, kwargs];
    throw new Error('The model calls a layer with something else than tensors, which is not supported.');
  });
  return tensors;
}

function rename({ config }: LayerConfig, from: string, to: string): void {
  if (config[from] === undefined) return;
  config[to] ??= config[from];
  Reflect.deleteProperty(config, from);
}

/**
 * Brings what both generations write in several ways into the one that the table of layers knows, in place.
 * @throws Error naming the layer if a key contradicts another, or the class is a person's own
 */
export function simplify(model: LayerConfig): void {
  for (const layer of [model, ...walk(model)]) {
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
    config.dtype = dtypeOf(config.dtype);
    if (config.dtype === undefined) delete config.dtype;
    inputShapeOf(layer);
    aliases(layer);
  }
}

/** A policy that computes in and stores one type is that type. */
function dtypeOf(dtype: unknown): unknown {
  if (!isLayer(dtype)) return dtype;
  return ['DTypePolicy', 'Policy'].includes(dtype.class_name) ? dtype.config.name : dtype;
}

/** input_shape and input_dim, as a person writes them; a batch size has no meaning for what is computed. */
function inputShapeOf({ config }: LayerConfig): void {
  const { input_shape: shape, batch_input_shape: batchShape } = config;
  if (Array.isArray(shape)) config.batch_input_shape ??= [null, ...(shape as unknown[])];
  delete config.input_shape;
  delete config.batch_size;
  if (Array.isArray(batchShape)) config.batch_input_shape = [null, ...(batchShape as unknown[]).slice(1)];
  if (config.batch_input_shape === null) delete config.batch_input_shape;
}

function aliases(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  if (className === 'LeakyReLU') {
    const { alpha, negative_slope: slope } = config;
    if (alpha !== undefined && slope !== undefined && alpha !== slope) {
      throw new Error(`${layerLabel(layer)} has both alpha and negative_slope. Keep one.`);
    }
    rename(layer, 'negative_slope', 'alpha');
  }
  // Keras 2 writes them for separable convolutions too, where they have no meaning, and tfjs refuses them.
  if (className.startsWith('SeparableConv')) {
    for (const key of ['kernel_initializer', 'kernel_regularizer', 'kernel_constraint']) {
      Reflect.deleteProperty(config, key);
    }
  }
  spatialDropout(layer);
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

const SPATIAL = { SpatialDropout1D: [null, 1, null], SpatialDropout2D: [null, 1, 1, null] };

/** Dropout of whole channels is dropout with a noise shape, which keyed masks can have. */
function spatialDropout(layer: LayerConfig): void {
  const { class_name: className, config } = layer;
  const shape = entryOf(SPATIAL, className);
  if (shape === undefined) return;
  const first = typeof config.data_format === 'string' && snakeCase(config.data_format) === 'channels_first';
  config.noise_shape = first ? [null, null, 1, 1] : shape;
  delete config.data_format;
  layer.class_name = 'Dropout';
}
