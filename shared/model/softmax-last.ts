import type { Topology } from './job.ts';
import { asArray, copyModel, layersOf, type LayerConfig } from './keras-layer.ts';

/** Layers that only lay values out otherwise. */
const RESHAPING_LAYERS: ReadonlySet<string> = new Set(['Flatten', 'Reshape']);

/** Name of the softmax that was put last. */
const SOFTMAX_NAME = 'softmax_of_classes';

/**
 * The topology with its softmax last, where a Flatten or Reshape stands behind it: a loss of logits needs it there. That is the
 * same as long as the softmax is taken over all outputs.
 * @param topology as expandTopology returns it
 * @returns as `outputs` how many outputs the model must have for that; null if nothing was changed
 */
export function moveSoftmaxLast(topology: Topology): {
  readonly topology: Topology;
  readonly outputs: number | null;
} {
  const model = copyModel(topology);
  const unchanged = { topology, outputs: null };
  let layer = lastLayer(model);
  const last = layer;
  while (layer !== undefined && RESHAPING_LAYERS.has(layer.class_name)) layer = layerBefore(model, layer);
  if (layer === undefined || layer === last || last === undefined) return unchanged;
  const outputs = layer.config.units ?? layer.config.filters;
  if (layer.config.activation !== 'softmax' || typeof outputs !== 'number') return unchanged;
  layer.config.activation = 'linear';
  const softmax: LayerConfig = { class_name: 'Activation', config: { name: SOFTMAX_NAME, activation: 'softmax' } };
  if (model.class_name !== 'Sequential') {
    softmax.name = SOFTMAX_NAME;
    softmax.inbound_nodes = [[[last.config.name, 0, 0, {}]]];
    model.config.output_layers = [[SOFTMAX_NAME, 0, 0]];
  }
  model.config.layers = [...layersOf(model), softmax];
  return { topology: { ...model }, outputs };
}

function lastLayer(model: LayerConfig): LayerConfig | undefined {
  if (model.class_name === 'Sequential') return layersOf(model).at(-1);
  const outputs = asArray(model.config.output_layers);
  const [name] = asArray(outputs[0]);
  return outputs.length === 1 ? layersOf(model).find((layer) => layer.config.name === name) : undefined;
}

/** The one layer whose output a layer takes. */
function layerBefore(model: LayerConfig, layer: LayerConfig): LayerConfig | undefined {
  const layers = layersOf(model);
  if (model.class_name === 'Sequential') return layers[layers.indexOf(layer) - 1];
  const calls = asArray(layer.inbound_nodes);
  const [name] = asArray(asArray(calls[0])[0]);
  // A softmax that something else takes too has to stay where it is.
  const users = layers.filter((one) =>
    JSON.stringify(one.inbound_nodes ?? []).includes(JSON.stringify(name)),
  );
  return calls.length === 1 && users.length === 1
    ? layers.find((one) => one.config.name === name)
    : undefined;
}
