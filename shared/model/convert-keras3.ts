import {
  asArray,
  isLayer,
  isModel,
  isRecord,
  layerLabel,
  layersOf,
  walkLayers,
  type LayerConfig,
} from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';
import { renameKey } from './normalize-config.ts';

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
  return [topology, ...walkLayers(topology)].some(
    ({ class_name: className, config }) =>
      config.batch_shape !== undefined ||
      config.quantization_config !== undefined ||
      (isLayer(config.dtype) && config.dtype.class_name === 'DTypePolicy') ||
      (className === 'LeakyReLU' && config.negative_slope !== undefined),
  );
}

/** Rewrites what Keras 3 says otherwise than Keras 2, in place. @throws Error where it means something else */
export function convertKeras3(model: LayerConfig): void {
  for (const layer of [model, ...walkLayers(model)]) {
    const { config } = layer;
    renameKey(layer, 'batch_shape', 'batch_input_shape');
    for (const key of ['activation', 'recurrent_activation']) {
      if (typeof config[key] !== 'string' || snakeCase(config[key]) !== 'hard_sigmoid') continue;
      throw new Error(
        `${layerLabel(layer)} has the ${key} hard_sigmoid, which is another function in Keras 3 (relu6(x + 3) / 6) than ` +
          'in TensorFlow.js. Use sigmoid.',
      );
    }
    dropMirroredLayer(layer);
    if (layer.inbound_nodes !== undefined)
      layer.inbound_nodes = asArray(layer.inbound_nodes).map(convertNode);
    for (const key of ['input_layers', 'output_layers']) {
      const ends = config[key];
      if (Array.isArray(ends) && typeof ends[0] === 'string') config[key] = [ends];
    }
  }
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) renumberSequentialCalls(outer);
}

/**
 * Calls are numbered. Of a Sequential model, Keras 3 counts those by other models alone; Keras 2 and tfjs count the one from
 * its own input to its output as well, as all do of a functional one.
 */
function renumberSequentialCalls(outer: LayerConfig): void {
  const layers = layersOf(outer);
  const sequential = new Set(
    layers
      .filter(({ class_name: name }) => name === 'Sequential')
      .map(({ config, name }) => name ?? config.name),
  );
  const count = (tensor: unknown): void => {
    if (Array.isArray(tensor) && sequential.has(tensor[0])) tensor[1] = Number(tensor[1]) + 1;
  };
  asArray(outer.config.output_layers).forEach(count);
  for (const layer of layers) asArray(layer.inbound_nodes).forEach((node) => asArray(node).forEach(count));
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
function convertNode(node: unknown): unknown {
  if (!isRecord(node)) return node;
  const kwargs = isRecord(node.kwargs) ? node.kwargs : {};
  const tensors = [node.args].flat(9).map((tensor) => {
    const history = isLayer(tensor) ? asArray(tensor.config.keras_history) : [];
    if (history.length === 3) return [...history, kwargs];
    throw new Error('The model calls a layer with something else than tensors, which is not supported.');
  });
  return tensors;
}
