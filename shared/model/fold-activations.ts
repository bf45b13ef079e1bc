import type { Job, Topology } from './job.ts';
import {
  asArray,
  copyModel,
  isLayer,
  isRecord,
  layersOf,
  ownEntry,
  type LayerConfig,
} from './keras-layer.ts';
import { foldedActivation, type Activation } from './losses.ts';
import { OPERATION } from './operations.ts';

/** Layers of a model's outputs, in their order; undefined where the topology names no layer. */
export function outputLayers(model: LayerConfig): (LayerConfig | undefined)[] {
  const layers = layersOf(model);
  const outputs = model.config.output_layers;
  if (!Array.isArray(outputs)) return [layers.at(-1)];
  const references = Array.isArray(outputs[0]) ? (outputs as unknown[][]) : [outputs as unknown[]];
  return references.map(([name]) => layers.find((layer) => (layer.config.name ?? layer.name) === name));
}

/** Operations that are activations of an output. */
const OUTPUT_OPERATIONS: Readonly<Record<string, Activation>> = { Softmax: 'softmax', Sigmoid: 'sigmoid' };

/** Activation of a layer: 'linear' without one, null if the layer has weights or options of its own. */
export function activationOf(layer: LayerConfig | undefined): string | null {
  if (layer?.class_name === 'Softmax') return 'softmax';
  const { activation, operation } = layer?.config ?? {};
  if (layer?.class_name === OPERATION) return ownEntry(OUTPUT_OPERATIONS, String(operation)) ?? null;
  return typeof activation === 'string' ? activation : null;
}

/** Whether only the model's output uses a layer. */
function isUsedOnce(model: LayerConfig, layer: LayerConfig): boolean {
  const name = JSON.stringify(layer.config.name ?? layer.name);
  const users = layersOf(model).filter((other) => JSON.stringify(other.inbound_nodes ?? []).includes(name));
  return users.length === 0 && outputLayers(model).filter((output) => output === layer).length === 1;
}

/**
 * Topology without the last softmax or sigmoid where the loss is a cross-entropy, because the loss of logits is exact, while
 * that of probabilities needs clipping. Keras does the same, even if the cross-entropy is that of the other activation.
 * @returns also the activation that each output is without, or null
 */
export function foldActivations({ topology, outputs }: Pick<Job, 'topology' | 'outputs'>): {
  readonly topology: Topology;
  readonly activations: readonly (Activation | null)[];
} {
  const model = copyModel(topology);
  const layers = outputLayers(model);
  const activations = outputs.map(({ loss }, i): Activation | null => {
    const layer = layers[i];
    if (layer === undefined) return null;
    const own = activationOf(layer);
    const activation = foldedActivation(loss, own);
    if (activation === null || !isUsedOnce(model, layer)) return null;
    if (layer.class_name === 'Softmax' || layer.class_name === OPERATION) {
      const { axis } = isRecord(layer.config.settings) ? layer.config.settings : layer.config;
      // The softmax of another axis is not that of the loss.
      if (own === 'softmax' && !isLastAxis(axis, outputs[i]?.shape.length ?? 1)) return null;
      const { name, activity_regularizer: penalty } = layer.config;
      layer.class_name = 'Activation';
      layer.config = {
        name,
        trainable: true,
        dtype: 'float32',
        activation: 'linear',
        ...(penalty === undefined ? {} : { activity_regularizer: penalty }),
      };
    } else layer.config.activation = 'linear';
    // The penalty is that of the output with its activation.
    const { activity_regularizer: regularizer } = layer.config;
    if (isLayer(regularizer)) regularizer.config.activation = own;
    return activation;
  });
  return { topology: { ...model }, activations };
}

const isLastAxis = (axis: unknown, rank: number): boolean =>
  axis === undefined ||
  axis === null ||
  axis === -1 ||
  axis === rank ||
  (asArray(axis).length === 1 && asArray(axis)[0] === -1);
