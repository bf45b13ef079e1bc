import { asArray, isModel, nestedLayers, layersOf, type LayerConfig } from './keras-layer.ts';
import { snakeCase } from './layer-rules.ts';

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
