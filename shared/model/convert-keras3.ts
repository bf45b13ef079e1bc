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
import { dropMasks, markMerging } from './keras3-masks.ts';
import { snakeCase } from './layer-rules.ts';
import { renameKey } from './normalize-config.ts';
import { convertOperation, isOperation } from './operations.ts';

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
    if (isOperation(layer)) convertOperation(layer, convertTensors);
    else if (layer.inbound_nodes !== undefined)
      layer.inbound_nodes = asArray(layer.inbound_nodes).map((node) => convertNode(layer, node));
    for (const key of ['input_layers', 'output_layers']) {
      const ends = config[key];
      if (Array.isArray(ends) && typeof ends[0] === 'string') config[key] = [ends];
    }
  }
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) renumberModelCalls(outer);
  markMerging(model);
}

/**
 * Renumbers the calls of nested models. Keras 2 and tfjs count the call from a model's own input to its output, before the calls by
 * other models. Keras 3 does not, except for functional models in output_layers.
 */
function renumberModelCalls(outer: LayerConfig): void {
  const layers = layersOf(outer);
  const namesOf = (models: readonly LayerConfig[]): ReadonlySet<unknown> =>
    new Set(models.map(({ config, name }) => name ?? config.name));
  const models = namesOf(layers.filter(isModel));
  const sequential = namesOf(layers.filter(({ class_name: name }) => name === 'Sequential'));
  const countIn =
    (names: ReadonlySet<unknown>) =>
    (tensor: unknown): void => {
      if (Array.isArray(tensor) && names.has(tensor[0])) tensor[1] = Number(tensor[1]) + 1;
    };
  asArray(outer.config.output_layers).forEach(countIn(sequential));
  for (const layer of layers)
    asArray(layer.inbound_nodes).forEach((node) => asArray(node).forEach(countIn(models)));
}

/** Removes a Bidirectional's second layer if it mirrors the first. Keras 3 always writes it; tfjs derives it from the first. */
function dropMirroredLayer({ config }: LayerConfig): void {
  const { layer: forward, backward_layer: backward } = config;
  if (!isLayer(forward) || !isLayer(backward)) return;
  const withDirection = (layer: LayerConfig, backwards: boolean): string =>
    JSON.stringify(
      [
        layer.class_name,
        ...Object.entries(layer.config)
          .map(([key, value]): [string, unknown] => [key, key === 'go_backwards' ? backwards : value])
          .filter(([key]) => key !== 'name')
          .toSorted(([a], [b]) => (a < b ? -1 : 1)),
      ],
      (key, value: unknown) => (key === 'shared_object_id' ? undefined : value),
    );
  const mirrored = forward.config.go_backwards !== true;
  if (
    backward.config.go_backwards === mirrored &&
    withDirection(forward, true) === withDirection(backward, true)
  ) {
    delete config.backward_layer;
  }
}

/**
 * Converts a call from Keras 3's { args, kwargs } to Keras 2's [[name, node, tensor, arguments], ...]. The argument training has no
 * effect in Keras 3: it also writes it on its own, and a model that is trained or evaluated overrides it.
 */
function convertNode(layer: LayerConfig, node: unknown): unknown {
  if (!isRecord(node)) return node;
  const kwargs = isRecord(node.kwargs) ? (convertTensors(node.kwargs) as Record<string, unknown>) : {};
  Reflect.deleteProperty(kwargs, 'training');
  const inputs = [node.args].flat(9);
  return inputs.map((tensor) => {
    const reference = convertTensors(tensor);
    if (Array.isArray(reference)) return [...(reference as unknown[]), kwargs];
    throw new Error(
      `${layerLabel(layer)} is called with an argument that is not a tensor, which is not supported.`,
    );
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
