import {
  arrayOf,
  isLayer,
  isModel,
  isRecord,
  layerLabel,
  layersInside,
  layersOf,
  walk,
  type LayerConfig,
} from './keras-layer.ts';

/**
 * What a topology says of how its layers are called and whether they are trained, brought to where the engines look: in
 * each layer itself. In place.
 * @throws Error naming the layer if it is called with something that would be ignored
 */
export function applyCallArguments(model: LayerConfig): void {
  for (const outer of [model, ...walk(model)].filter(isModel)) {
    for (const layer of layersOf(outer)) {
      const calls = arrayOf(layer.inbound_nodes);
      const inference = calls.filter((call) => callOf(layer, call)).length;
      if (inference === 0) continue;
      if (inference < calls.length) {
        throw new Error(
          `${layerLabel(layer)} is called with training=False in one place and without it in another.`,
        );
      }
      infer(layer);
    }
  }
}

/** Takes the arguments out of a call. @returns whether it is one with training=False */
function callOf(layer: LayerConfig, call: unknown): boolean {
  let inference = false;
  for (const tensor of arrayOf(call)) {
    if (!Array.isArray(tensor)) continue;
    for (const [key, value] of Object.entries(isRecord(tensor[3]) ? tensor[3] : {})) {
      if (key === 'training' && value === false) inference = true;
      else if (value !== null) {
        throw new Error(
          `${layerLabel(layer)} is called with ${key}=${JSON.stringify(value)}, which is not supported. Call it without.`,
        );
      }
    }
    if (tensor.length > 3) tensor[3] = {};
  }
  return inference;
}

/** A layer that never trains: nothing is dropped in it, and its statistics are those that it has. */
function infer(called: LayerConfig): void {
  for (const layer of [called, ...walk(called)]) {
    if (layer.class_name.includes('Dropout')) layer.config.rate = 0;
    if (layer.class_name === 'BatchNormalization' && layer.config.trainable !== false) {
      throw new Error(
        `${layerLabel(layer)} is called with training=False, which is not supported while its weights train. Freeze it ` +
          '(trainable = False), which makes it use its moving statistics too.',
      );
    }
  }
}

/** A frozen model or wrapper freezes what is in it: tfjs looks at each layer alone. In place. */
export function freezeInside(layer: LayerConfig, frozen = false): void {
  const here = frozen || layer.config.trainable === false;
  if (here) layer.config.trainable = false;
  for (const inside of layersInside(layer)) freezeInside(inside, here);
}

/**
 * The first thing within a TimeDistributed that Keras computes once for all time steps, or once for each, where tfjs does
 * the other.
 * @throws Error naming the layer
 */
export function rejectInTimeDistributed(model: LayerConfig): void {
  for (const layer of walk(model)) {
    const { layer: inner } = layer.config;
    if (layer.class_name !== 'TimeDistributed' || !isLayer(inner)) continue;
    for (const one of [inner, ...walk(inner)]) {
      const drops = one.class_name.includes('Dropout') && Number(one.config.rate) > 0;
      const normalizes = one.class_name === 'BatchNormalization' && one.config.trainable !== false;
      if (!drops && !normalizes) continue;
      throw new Error(
        `${layerLabel(layer)} holds ${String(one.config.name)} (${one.class_name}), which is not supported within ` +
          'TimeDistributed. Put it outside.',
      );
    }
  }
}
