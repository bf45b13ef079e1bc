import type { Job } from '../../shared/model/job.ts';
import { outputLayers } from '../../shared/model/fold-activations.ts';
import { copyModel, isLayer, isRecord, layersOf, type LayerConfig } from '../../shared/model/keras-layer.ts';
import { isOneHot, type LossSpec } from '../../shared/model/outputs.ts';
import type { Split } from '../../shared/data/dataset.ts';
import { measureTargets } from './statistics.ts';

/** Losses of the difference between target and output, whose gradients and steps do not grow with a target that is far away. */
const DIFFERENCES: ReadonlySet<LossSpec['name']> = new Set([
  'mean_squared_error',
  'mean_absolute_error',
  'mean_absolute_percentage_error',
  'huber',
  'log_cosh',
]);
/** Magnitude from which on a target is far: an optimizer whose steps are some 0.001 needs tens of thousands of them. */
const FAR = 30;
/** Layers that change the shape of values alone. */
const SHAPING: ReadonlySet<string> = new Set(['Reshape', 'Flatten', 'Permute']);
/** Layers of Keras whose values stay near 0 with initial weights and inputs near 0. */
const NEAR_ZERO =
  /^(Dense|EinsumDense|Activation|Dropout|(Separable|Depthwise)?Conv\dD(Transpose)?|SimpleRNN|LSTM|GRU|Bidirectional|\w*Pooling\dD|Add|Average|Concatenate|(Leaky|P)?ReLU|ELU|(Batch|Layer)Normalization)$/;

/**
 * A line for each target of numbers that is far from where the model starts.
 * @example
 * await describeFarTargets(job, dataset.train); // ['price has mean 846,527 and deviation 352,635; ...']
 */
export async function describeFarTargets(
  { topology, outputs, targets }: Pick<Job, 'topology' | 'outputs' | 'targets'>,
  train: Split,
): Promise<string[]> {
  const model = copyModel(topology);
  const layers = outputLayers(model);
  const slow = outputs.map((output, i) => {
    const target = targets[i];
    const isDifference =
      DIFFERENCES.has(output.loss.name) && target !== undefined && !isOneHot(output, target);
    return isDifference && startsNearZero(model, layers[i]);
  });
  if (!slow.includes(true)) return [];
  // Whole numbers of a loss of differences are values, not classes.
  const numbers = targets.map(({ classes, ...spec }, i) => (slow[i] === true ? spec : { ...spec, classes }));
  const statistics = await measureTargets(numbers, train);
  return statistics.flatMap((measured, i) => {
    if (slow[i] !== true || measured === null) return [];
    const { mean, std } = measured;
    if (Math.abs(mean) <= FAR && std <= FAR) return [];
    return [
      `${targets[i]?.name} has mean ${shown(mean)} and deviation ${shown(std)}; a model that starts near 0 learns it slowly. End it in a ` +
        'Rescaling layer (docs/guide/model.md), or divide the target.',
    ];
  });
}

const shown = (value: number): string =>
  value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) < 100 ? 1 : 0 });

/** Whether an output has values near 0 before training; false if that is not known. */
function startsNearZero(model: LayerConfig, layer: LayerConfig | undefined): boolean {
  if (layer === undefined) return false;
  const { class_name: name, config } = layer;
  if (SHAPING.has(name)) return startsNearZero(model, layerBefore(model, layer));
  if (name === 'TimeDistributed') return isLayer(config.layer) && startsNearZero(model, config.layer);
  const inner = layersOf(layer);
  if (inner.length > 0) return outputLayers(layer).every((output) => startsNearZero(layer, output));
  const { bias_initializer: bias } = config;
  return NEAR_ZERO.test(name) && !(isRecord(bias) && bias.class_name === 'Constant');
}

/** Layer whose values a layer takes; undefined if it takes several. */
function layerBefore(model: LayerConfig, layer: LayerConfig): LayerConfig | undefined {
  const layers = layersOf(model);
  if (layer.inbound_nodes === undefined) return layers[layers.indexOf(layer) - 1];
  const nodes = JSON.stringify(layer.inbound_nodes);
  const before = layers.filter(
    (other) => other !== layer && nodes.includes(JSON.stringify(other.config.name ?? other.name)),
  );
  return before.length === 1 ? before[0] : undefined;
}
