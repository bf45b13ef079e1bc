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
 * Engines heed training=False, where every call of a layer says so; they heed no other argument.
 * @throws Error naming the layer if it is called with something that would be ignored
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

/** @returns whether a call is one with training=False */
function isInferenceCall(layer: LayerConfig, call: unknown): boolean {
  let inference = false;
  for (const tensor of asArray(call)) {
    const kwargs = asArray(tensor)[3];
    for (const [key, value] of Object.entries(isRecord(kwargs) ? kwargs : {})) {
      if (key === 'training' && value === false) inference = true;
      else if (value !== null) {
        throw new Error(
          `${layerLabel(layer)} is called with ${key}=${JSON.stringify(value)}, which is not supported. Call it without.`,
        );
      }
    }
  }
  return inference;
}

/**
 * Gives every layer a name that no other one has, also across models within the model: a saved model's tensors are
 * found by these names. Layers that have one of their own keep it, the first of those that share one too.
 * @throws Error if two layers of one model have the same name: calls go by it
 */
export function assignUniqueNames(model: LayerConfig): void {
  const taken = new Set<string>();
  assignNames(model, taken);
}

function assignNames(model: LayerConfig, taken: Set<string>): void {
  const renamed = new Map<string, string>();
  for (const layer of nestedLayers(model)) {
    const given =
      typeof layer.config.name === 'string' && layer.config.name !== '' ? layer.config.name : null;
    if (given !== null && renamed.has(given) && isModel(model)) {
      throw new Error(`The model has two layers named ${given}. Give each layer a name of its own.`);
    }
    const wanted = given ?? snakeCase(layer.class_name).toLowerCase();
    let unique = wanted;
    for (let i = 1; taken.has(unique); i++) unique = `${wanted}_${i}`;
    taken.add(unique);
    if (given !== null) renamed.set(given, unique);
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

/** A frozen model or wrapper freezes what is in it: tfjs looks at each layer alone. In place. */
export function freezeNestedLayers(layer: LayerConfig, frozen = false): void {
  const here = frozen || layer.config.trainable === false;
  // tfjs' models take no such setting.
  if (isModel(layer)) delete layer.config.trainable;
  else if (here) layer.config.trainable = false;
  for (const inside of nestedLayers(layer)) freezeNestedLayers(inside, here);
}
