import {
  asArray,
  isModel,
  isRecord,
  layerLabel,
  layersOf,
  walkLayers,
  type LayerConfig,
  nestedLayers,
} from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';

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
 * @throws Error if two layers of one model have the same name, because calls refer to layers by name
 */
export function assignUniqueNames(model: LayerConfig): void {
  const taken = new Set<string>();
  assignNames(model, taken);
}

function assignNames(model: LayerConfig, taken: Set<string>): void {
  const renamed = new Map<string, string>();
  for (const layer of nestedLayers(model)) {
    const original =
      typeof layer.config.name === 'string' && layer.config.name !== '' ? layer.config.name : null;
    if (original !== null && renamed.has(original) && isModel(model)) {
      throw new Error(`The model has two layers named ${original}. Give each layer its own name.`);
    }
    const preferred = original ?? snakeCase(layer.class_name).toLowerCase();
    let unique = preferred;
    for (let i = 1; taken.has(unique); i++) unique = `${preferred}_${i}`;
    taken.add(unique);
    if (original !== null) renamed.set(original, unique);
    layer.config.name = unique;
    if (layer.name !== undefined || Array.isArray(layer.inbound_nodes)) layer.name = unique;
    assignNames(layer, taken);
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
