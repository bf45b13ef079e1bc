import { asArray, isModel, isRecord, layerLabel, layersOf, walkLayers, type LayerConfig } from './keras-layer.ts';

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
