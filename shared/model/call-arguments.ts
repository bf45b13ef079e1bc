import { arrayOf, isModel, isRecord, layerLabel, layersOf, walk, type LayerConfig } from './keras-layer.ts';

/**
 * Engines heed training=False, where every call of a layer says so; they heed no other argument.
 * @throws Error naming the layer if it is called with something that would be ignored
 */
export function checkCallArguments(model: LayerConfig): void {
  for (const outer of [model, ...walk(model)].filter(isModel)) {
    for (const layer of layersOf(outer)) {
      const calls = arrayOf(layer.inbound_nodes);
      const inference = calls.filter((call) => isInference(layer, call)).length;
      if (inference === 0 || inference === calls.length) continue;
      throw new Error(
        `${layerLabel(layer)} is called with training=False in one place and without it in another.`,
      );
    }
  }
}

/** @returns whether a call is one with training=False */
function isInference(layer: LayerConfig, call: unknown): boolean {
  let inference = false;
  for (const tensor of arrayOf(call)) {
    const kwargs = arrayOf(tensor)[3];
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
