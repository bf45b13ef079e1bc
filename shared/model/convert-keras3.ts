import {
  asArray,
  isLayer,
  isModel,
  isRecord,
  layersOf,
  walkLayers,
  type LayerConfig,
} from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';
import { renameKey } from './normalize-config.ts';

/** Topology with all keys in snake_case. tfjs-layers also reads camelCase, but the layer table has only snake_case. */
export function withSnakeKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSnakeKeys);
  if (!isRecord(value)) return value;
  const renamed: Record<string, unknown> = {};
  for (const [key, nested] of Object.entries(value)) {
    const name = snakeCase(key);
    if (Object.hasOwn(renamed, name))
      throw new Error(`The model has the key ${name} twice, as ${key} too. Remove one.`);
    renamed[name] = withSnakeKeys(nested);
  }
  return renamed;
}

/**
 * Whether Keras 3 wrote a topology; it gives some names another meaning. Files rarely contain a version, but often settings that
 * Keras 2 does not have.
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

/** Rewrites the settings of Keras 3 as those of Keras 2, in place. @throws Error if one has no equivalent in Keras 2 */
export function convertKeras3(model: LayerConfig): void {
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) dropMasks(outer);
  for (const layer of [model, ...walkLayers(model)]) {
    const { config } = layer;
    renameKey(layer, 'batch_shape', 'batch_input_shape');
    for (const key of ['activation', 'recurrent_activation']) {
      if (typeof config[key] === 'string' && snakeCase(config[key]) === 'hard_sigmoid')
        config[key] = 'hard_sigmoid_keras3';
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
 * Removes the masks of calls and the operations that only compute masks, in place. Keras 3 writes both; engines find the masks from
 * the layers that make them.
 */
function dropMasks(model: LayerConfig): void {
  const layers = layersOf(model);
  for (const node of layers.flatMap((layer) => asArray(layer.inbound_nodes))) {
    const kwargs = isRecord(node) ? node.kwargs : null;
    if (isRecord(kwargs)) for (const key of MASK_ARGUMENTS) Reflect.deleteProperty(kwargs, key);
  }
  const isUsed = (layer: LayerConfig, rest: readonly LayerConfig[]): boolean =>
    JSON.stringify([model.config.output_layers, rest.map((other) => other.inbound_nodes)]).includes(
      JSON.stringify(layer.config.name ?? layer.name),
    );
  let kept = layers;
  for (;;) {
    const used = kept.filter((layer) => !isOperation(layer) || isUsed(layer, kept));
    if (used.length === kept.length) break;
    kept = used;
  }
  if (kept.length < layers.length) model.config.layers = kept;
}

/** Arguments of calls with the masks of inputs. */
const MASK_ARGUMENTS = ['mask', 'query_mask', 'value_mask', 'key_mask'];

/** Whether a layer is an operation on tensors, such as those that make masks. */
const isOperation = (layer: LayerConfig): boolean =>
  String((layer as { module?: unknown }).module).startsWith('keras.src.ops');

/**
 * Renumbers the calls of nested Sequential models. Keras 3 numbers only the calls by other models. Keras 2 and tfjs also count
 * the call from the model's own input to its output.
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

/** Removes a Bidirectional's second layer if it mirrors the first. Keras 3 always writes it; tfjs derives it from the first. */
function dropMirroredLayer({ config }: LayerConfig): void {
  const { layer: forward, backward_layer: backward } = config;
  if (!isLayer(forward) || !isLayer(backward)) return;
  const withDirection = (layer: LayerConfig, backwards: boolean): string =>
    JSON.stringify([
      layer.class_name,
      ...Object.entries(layer.config)
        .map(([key, value]): [string, unknown] => [key, key === 'go_backwards' ? backwards : value])
        .filter(([key]) => key !== 'name')
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ]);
  const mirrored = forward.config.go_backwards !== true;
  if (
    backward.config.go_backwards === mirrored &&
    withDirection(forward, true) === withDirection(backward, true)
  ) {
    delete config.backward_layer;
  }
}

/** Converts a call from Keras 3's { args, kwargs } to Keras 2's [[name, node, tensor, arguments], ...]. */
function convertNode(node: unknown): unknown {
  if (!isRecord(node)) return node;
  const kwargs = isRecord(node.kwargs) ? (convertTensors(node.kwargs) as Record<string, unknown>) : {};
  return [node.args].flat(9).map((tensor) => {
    const reference = convertTensors(tensor);
    if (Array.isArray(reference)) return [...(reference as unknown[]), kwargs];
    throw new Error('The model calls a layer with an argument that is not a tensor, which is not supported.');
  });
}

/** Replaces Keras 3's tensors, at any depth, by [name, node, tensor]. */
function convertTensors(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(convertTensors);
  if (!isRecord(value)) return value;
  const history = isLayer(value) ? asArray(value.config.keras_history) : [];
  if (history.length === 3) return history;
  return Object.fromEntries(Object.entries(value).map(([key, nested]) => [key, convertTensors(nested)]));
}
