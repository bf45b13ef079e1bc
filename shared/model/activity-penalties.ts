import type { Activation } from './losses.ts';
import type { Topology } from './job.ts';
import { copyModel, isLayer, layerLabel, walkLayers, type LayerConfig } from './keras-layer.ts';

/** Penalty l1 sum |y| + l2 sum y^2 of a layer's outputs y. It is added to the loss of each sample. */
export interface ActivityPenalty {
  readonly l1: number;
  readonly l2: number;
  /** Activation of y that a loss computes in place of the layer, or null. */
  readonly activation: Activation | null;
}

/** Factors of a regularizer of Keras, with its defaults. */
function readFactors({ class_name: className, config }: LayerConfig): Pick<ActivityPenalty, 'l1' | 'l2'> {
  const factor = (key: 'l1' | 'l2', other: 'L1' | 'L2'): number => {
    if (className === other) return 0;
    return typeof config[key] === 'number' ? config[key] : className === 'L1L2' ? 0 : 0.01;
  };
  return { l1: factor('l1', 'L2'), l2: factor('l2', 'L1') };
}

/** Writes the regularizer of a layer's output as an L1L2, in place, or removes it if its factors are 0. */
export function normalizeActivityPenalty({ config }: LayerConfig): void {
  const { activity_regularizer: regularizer } = config;
  if (!isLayer(regularizer)) return;
  const { l1, l2 } = readFactors(regularizer);
  if (l1 === 0 && l2 === 0) delete config.activity_regularizer;
  else config.activity_regularizer = { class_name: 'L1L2', config: { l1, l2 } };
}

/** Wrappers that call their layers without Keras' rule for penalties of outputs. */
const WRAPPERS: ReadonlySet<string> = new Set(['RNN', 'StackedRNNCells', 'TimeDistributed']);

/** @throws Error naming the layer if a layer inside a wrapper has a penalty of its output, which Keras 3 drops */
export function rejectInnerPenalties(model: LayerConfig): void {
  for (const wrapper of walkLayers(model)) {
    if (!WRAPPERS.has(wrapper.class_name)) continue;
    for (const layer of walkLayers(wrapper)) {
      if (!isLayer(layer.config.activity_regularizer)) continue;
      throw new Error(
        `${layerLabel(layer)} has an activity_regularizer inside ${wrapper.class_name}, which is not supported. Give it to the layer around it.`,
      );
    }
  }
}

/** Whether a layer of a topology has a penalty of its output. */
export const hasActivityPenalties = (topology: Topology): boolean =>
  [...walkLayers(copyModel(topology))].some(({ config }) => isLayer(config.activity_regularizer));

/**
 * Takes the penalties of outputs out of a topology, because tfjs-layers reads them only of some layers and computes none.
 * @param topology as expandTopology returns it
 * @returns also the penalties by the layers' names
 */
export function takeActivityPenalties(topology: Topology): {
  readonly topology: Topology;
  readonly penalties: ReadonlyMap<string, ActivityPenalty>;
} {
  const penalties = new Map<string, ActivityPenalty>();
  if (!hasActivityPenalties(topology)) return { topology, penalties };
  const model = copyModel(topology);
  for (const layer of walkLayers(model)) {
    const { activity_regularizer: regularizer, name } = layer.config;
    delete layer.config.activity_regularizer;
    if (!isLayer(regularizer)) continue;
    const { activation } = regularizer.config;
    penalties.set(String(name), {
      ...readFactors(regularizer),
      activation: activation === 'softmax' || activation === 'sigmoid' ? activation : null,
    });
  }
  return { topology: { ...model }, penalties };
}
