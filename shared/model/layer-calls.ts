import {
  asArray,
  ownEntry,
  isModel,
  isRecord,
  layerLabel,
  layersOf,
  walkLayers,
  type LayerConfig,
  nestedLayers,
} from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';

/** Layers with several inputs that may be named in a call, in the order of a list of unnamed inputs. */
const NAMED_INPUTS: Readonly<Record<string, readonly string[]>> = {
  MultiHeadAttention: ['query', 'value', 'key'],
  GroupQueryAttention: ['query', 'value', 'key'],
};

/** Recurrent layers, whose initial state may be given in a call. */
const RECURRENT: ReadonlySet<string> = new Set(['Bidirectional', 'GRU', 'LSTM', 'RNN', 'SimpleRNN']);

/** Arguments of calls that are settings here. */
const CALL_SETTINGS: Readonly<Record<string, readonly string[]>> = {
  MultiHeadAttention: ['use_causal_mask'],
  GroupQueryAttention: ['use_causal_mask'],
  Attention: ['use_causal_mask'],
  AdditiveAttention: ['use_causal_mask'],
};

const isTensor = (value: unknown): value is unknown[] =>
  Array.isArray(value) && value.length >= 3 && typeof value[0] === 'string' && Number.isInteger(value[1]);

/**
 * Writes the arguments of calls as engines read them, in place: named inputs as a list, and settings in the configuration.
 * @param model in the form of Keras 2
 * @throws Error naming the layer if its calls have different settings
 */
export function convertCallArguments(model: LayerConfig): void {
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) {
    for (const layer of layersOf(outer)) {
      const names = ownEntry(NAMED_INPUTS, layer.class_name);
      const settings = ownEntry(CALL_SETTINGS, layer.class_name) ?? [];
      const calls = asArray(layer.inbound_nodes).map(asArray);
      if (RECURRENT.has(layer.class_name)) layer.inbound_nodes = calls.map(listStates);
      if (names !== undefined) layer.inbound_nodes = calls.map((call) => listInputs(layer, call, names));
      for (const setting of settings) moveSetting(layer, asArray(layer.inbound_nodes).map(asArray), setting);
    }
  }
}

/** Keyword arguments of a call. They are stored with each of its tensors. */
function argumentsOf(call: readonly unknown[]): Record<string, unknown> {
  const kwargs = asArray(call[0])[3];
  return isRecord(kwargs) ? kwargs : {};
}

/**
 * Inputs of a call as a list: first the unnamed ones, then the named ones in the order of their names, as Keras orders the layers
 * that compute them. The setting input_order names the inputs, if that is not their usual order.
 */
function listInputs(layer: LayerConfig, call: readonly unknown[], names: readonly string[]): unknown[] {
  const kwargs = argumentsOf(call);
  const rest = Object.fromEntries(Object.entries(kwargs).filter(([key]) => !names.includes(key)));
  const named = names.filter((name) => isTensor(kwargs[name])).toSorted();
  const order = [...names.slice(0, call.length), ...named];
  if (order.some((name, i) => name !== names[i])) layer.config.input_order = order;
  return [...call, ...named.map((name) => kwargs[name])].map((tensor) => [
    ...asArray(tensor).slice(0, 3),
    rest,
  ]);
}

/** Inputs of a call of a recurrent layer, followed by the initial state. */
function listStates(call: readonly unknown[]): unknown[] {
  const { initial_state: state, ...rest } = argumentsOf(call);
  const states = isTensor(state) ? [state] : asArray(state);
  // Anything else is rejected as an argument.
  if (states.length === 0 || !states.every(isTensor)) return [...call];
  return [...call, ...states].map((tensor) => [...asArray(tensor).slice(0, 3), rest]);
}

function moveSetting(layer: LayerConfig, calls: readonly unknown[][], setting: string): void {
  const values = calls.map((call) => argumentsOf(call)[setting] === true);
  if (new Set(values).size > 1)
    throw new Error(`${layerLabel(layer)} is called with ${setting} in one place and without it in another.`);
  for (const tensor of calls.flat()) {
    const kwargs = asArray(tensor)[3];
    if (isRecord(kwargs)) Reflect.deleteProperty(kwargs, setting);
  }
  if (values[0] === true) layer.config[setting] = true;
}

/**
 * Checks the arguments of calls. Engines support only training=False, and only if all calls of a layer have it.
 * @throws Error naming the layer if it is called with an argument that would be ignored
 */
export function checkCallArguments(model: LayerConfig): void {
  for (const outer of [model, ...walkLayers(model)].filter(isModel)) {
    for (const layer of layersOf(outer)) {
      const calls = asArray(layer.inbound_nodes);
      const inference = calls.filter((call) => isInferenceCall(layer, call)).length;
      if (inference === 0 || inference === calls.length) continue;
      throw new Error(
        `${layerLabel(layer)} is called with training=False in one place and without it in another.`,
      );
    }
  }
}

/** Whether a call has training=False. @throws Error if it has another argument */
function isInferenceCall(layer: LayerConfig, call: unknown): boolean {
  let inference = false;
  for (const tensor of asArray(call)) {
    const kwargs = asArray(tensor)[3];
    for (const [key, value] of Object.entries(isRecord(kwargs) ? kwargs : {})) {
      if (key === 'training' && value === false) inference = true;
      else if (value !== null) {
        throw new Error(
          `${layerLabel(layer)} is called with ${key}=${JSON.stringify(value)}, which is not supported. Remove the argument.`,
        );
      }
    }
  }
  return inference;
}

/**
 * Gives every layer a unique name, also across nested models, because the names identify the tensors of a saved model. The first
 * layer with a name keeps it.
 * @param nameOf name that a layer gets, if no other layer has it @default its own
 * @throws Error if two layers of one model have the same name, because calls refer to layers by name, or one has that of a member of
 *   every object
 * @example
 * assignUniqueNames(model, kerasName); // conv1/bn becomes conv1_bn
 */
export function assignUniqueNames(
  model: LayerConfig,
  nameOf: (name: string) => string = (name) => name,
): void {
  assignNames(model, new Set<string>(), nameOf);
}

/** Name of a layer as Keras 3 accepts it: without slashes, which Keras 2 has in models such as DenseNet. */
export const kerasName = (name: string): string => name.replaceAll('/', '_');

function assignNames(model: LayerConfig, taken: Set<string>, nameOf: (name: string) => string): void {
  const renamed = new Map<string, string>();
  for (const layer of nestedLayers(model)) {
    const original =
      typeof layer.config.name === 'string' && layer.config.name !== '' ? layer.config.name : null;
    if (original !== null && renamed.has(original) && isModel(model)) {
      throw new Error(`The model has two layers named ${original}. Give each layer its own name.`);
    }
    const preferred = nameOf(original ?? snakeCase(layer.class_name).toLowerCase());
    if (preferred in Object.prototype) {
      throw new Error(
        `${layerLabel(layer)} has a name that every object of JavaScript has, so that calls of it cannot be found. ` +
          'Give it another name.',
      );
    }
    let unique = preferred;
    for (let i = 1; taken.has(unique); i++) unique = `${preferred}_${i}`;
    taken.add(unique);
    if (original !== null) renamed.set(original, unique);
    layer.config.name = unique;
    if (layer.name !== undefined || Array.isArray(layer.inbound_nodes)) layer.name = unique;
    assignNames(layer, taken, nameOf);
  }
  if (isModel(model)) renameCalls(model, renamed);
}

function renameCalls(model: LayerConfig, renamed: ReadonlyMap<string, string>): void {
  const rename = (tensor: unknown): void => {
    if (!Array.isArray(tensor)) return;
    const [called] = tensor as unknown[];
    if (typeof called === 'string') tensor[0] = renamed.get(called) ?? called;
  };
  const ends = (tensors: unknown): unknown[] =>
    typeof asArray(tensors)[0] === 'string' ? [tensors] : asArray(tensors);
  ends(model.config.input_layers).forEach(rename);
  ends(model.config.output_layers).forEach(rename);
  for (const layer of layersOf(model))
    asArray(layer.inbound_nodes).forEach((node) => asArray(node).forEach(rename));
}

/** Freezes the layers in frozen models and wrappers, in place. tfjs considers only each layer's own setting. */
export function freezeNestedLayers(layer: LayerConfig, frozen = false): void {
  const isFrozen = frozen || layer.config.trainable === false;
  // tfjs' models do not accept this setting.
  if (isModel(layer)) delete layer.config.trainable;
  else if (isFrozen) layer.config.trainable = false;
  for (const nested of nestedLayers(layer)) freezeNestedLayers(nested, isFrozen);
}
