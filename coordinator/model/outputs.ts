import type { Dataset } from '../../shared/data/dataset.ts';
import { activationOf, foldActivations, outputLayers } from '../../shared/model/fold-activations.ts';
import type { Topology } from '../../shared/model/job.ts';
import { copyModel } from '../../shared/model/keras-layer.ts';
import { foldedActivation, isLossName, lossDefinition } from '../../shared/model/losses.ts';
import { metricDefinition } from '../../shared/model/metrics.ts';
import {
  fitsTarget,
  isOneHot,
  metricNames,
  outputWidth,
  type LossSpec,
  type MetricSpec,
  type OutputSpec,
} from '../../shared/model/outputs.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import { describeShapes, sampleSize, type TensorSpec } from '../../shared/model/tensors.ts';
import {
  ENTROPY,
  parseLoss,
  parseMetric,
  settingsByOutput,
  type MetricChoice,
  type OutputSettings,
} from './output-settings.ts';

/** Output of a built model. */
export interface ModelOutput {
  readonly name: string;
  readonly shape: readonly (number | null)[];
}

/**
 * Chooses and checks losses and metrics.
 * @param note receives a sentence about a choice that the user should know
 * @returns also the targets, whose classes are as many as the outputs
 * @throws Error with a sentence that names output, shape and target that do not fit
 */
export function resolveOutputs(
  topology: Topology,
  modelOutputs: readonly ModelOutput[],
  { name, targets }: Pick<Dataset, 'name' | 'targets'>,
  settings: OutputSettings,
  note: (line: string) => void,
): { outputs: OutputSpec[]; targets: TensorSpec[] } {
  if (modelOutputs.length !== targets.length) {
    throw new Error(
      `The model has ${modelOutputs.length} outputs (${modelOutputs.map((output) => output.name).join(', ')}), ` +
        `but ${name} has ${targets.length} targets (${targets.map((target) => target.name).join(', ')}).`,
    );
  }
  const { optionName = keyName, custom } = settings;
  const layers = outputLayers(copyModel(topology));
  const names = modelOutputs.map((output) => output.name);
  const settingsOf = settingsByOutput(settings, names);
  const resolved = modelOutputs.map((output, i) => {
    const stored = targets[i] as TensorSpec;
    const shape = knownShape(output);
    const width = outputWidth({ shape });
    const { classes } = stored;
    const isClasses = classes !== undefined && width > 1 && sampleSize(stored) !== sampleSize({ shape });
    if (isClasses && width < classes) {
      throw new Error(`The model's output is [${shape.join(', ')}], but ${name} has ${classes} classes.`);
    }
    const target = isClasses ? { ...stored, classes: width } : stored;
    const problem = `The model's output ${output.name} is [${shape.join(', ')}], and the target ${stored.name} of ${name} is ${describeTarget(stored)}`;
    const { loss: chosen, metrics: choices, weight } = settingsOf(i);
    const loss =
      chosen === undefined
        ? defaultLoss({ shape }, target, activationOf(layers[i]), problem, note, optionName)
        : parseLoss(chosen, { shape }, target, optionName, custom?.code);
    requireFit(loss.name, lossDefinition(loss.name).isSparse === true, { shape }, target, problem);
    const metrics = (choices ?? defaultMetrics(loss, { shape }, target)).map((choice) =>
      parseMetric(choice, { shape }, target, optionName, custom?.code),
    );
    for (const metric of metrics) {
      const { name: metricName, ...options } = metric;
      requireFit(metricName, metricDefinition(metricName)?.isSparse === true, { shape }, target, problem);
      const rows = sampleSize({ shape }) / width;
      const isClass = isOneHot({ shape }, target);
      const misfit = metricDefinition(metricName)?.findProblem?.(options, { rows, width }, isClass) ?? null;
      if (misfit !== null) throw new Error(`${problem}; ${metricName} ${misfit}.`);
    }
    return {
      target,
      output: { name: output.name, shape, loss, ...(weight === undefined ? {} : { weight }), metrics },
    };
  });
  const outputs = resolved.map(({ output }) => output);
  for (const [i, folded] of foldActivations({ topology, outputs }).activations.entries()) {
    const { name: outputName, loss } = outputs[i] as OutputSpec;
    requireLogits(outputs[i] as OutputSpec, activationOf(layers[i]), folded !== null);
    if (folded === null || loss.fromLogits !== true) continue;
    note(
      `The loss of ${outputName} is told that it gets logits, but the model ends in a ${folded}. As in Keras, its logits are taken.`,
    );
  }
  return {
    outputs: withUniqueLabels(outputs),
    targets: resolved.map(({ target }) => target),
  };
}

/**
 * @throws Error if Keras takes the logits of the last activation for a loss or metric, and those that a run would take give
 *   another value
 */
function requireLogits({ loss, metrics, name }: OutputSpec, own: string | null, isFolded: boolean): void {
  if (loss.name === 'binary_focal_crossentropy' && loss.fromLogits !== true && own === 'softmax') {
    throw new Error(
      `The output ${name} ends in a softmax, but ${loss.name} takes a sigmoid. End the model in a sigmoid.`,
    );
  }
  if (isFolded) return;
  const entropies = [loss, ...metrics].filter((spec): spec is LossSpec => isLossName(spec.name));
  const wrong = entropies.find(
    (spec) =>
      foldedActivation(spec, own) !== null &&
      (spec.fromLogits === true || lossDefinition(spec.name).activation !== own),
  );
  if (wrong === undefined) return;
  throw new Error(
    `Keras computes ${wrong.name} of the logits of the ${own} of ${name}, which this run does not have. ` +
      'Give the output a cross-entropy as its loss and the model no other use of its last layer, or leave the metric out.',
  );
}

/** Fields of a record that are not metrics. */
const RESERVED = ['epoch', 'loss', 'val_loss', 'seconds', 'samples_per_second', 'workers', 'data', 'codec'];

/**
 * Outputs whose metrics have different names in the history. As in Keras, the second `auc` is `auc_1`, or `weighted_auc`.
 * @throws Error if names of outputs or metrics are the same, or that of another figure of the history
 */
function withUniqueLabels(outputs: readonly OutputSpec[]): OutputSpec[] {
  const labeled = outputs.map((output) => {
    const taken = new Set<string>();
    const labelOf = ({ name, label = name, weighted = false }: MetricSpec): string => {
      const base = taken.has(label) && weighted ? `weighted_${label}` : label;
      let unique = base;
      for (let n = 1; taken.has(unique); n++) unique = `${base}_${n}`;
      taken.add(unique);
      return unique;
    };
    // Keras names the metrics without weights first.
    const order = output.metrics.toSorted(
      (a, b) => Number(a.weighted ?? false) - Number(b.weighted ?? false),
    );
    const labels = new Map(order.map((metric) => [metric, labelOf(metric)]));
    const metrics = output.metrics.map((metric) => {
      const label = labels.get(metric);
      return label === metric.name || label === metric.label ? metric : { ...metric, label };
    });
    return { ...output, metrics };
  });
  const names = metricNames(labeled);
  const all = [...RESERVED, ...names, ...names.map((name) => `val_${name}`)];
  const twice = all.find((name, i) => all.indexOf(name) !== i);
  if (twice === undefined) return labeled;
  throw new Error(
    `Two figures of the history would be named ${twice}. Give the output or the metric another name.`,
  );
}

/** @throws Error if an axis has no size */
function knownShape({ name, shape }: ModelOutput): number[] {
  if (shape.every((size): size is number => size !== null)) return [...shape];
  throw new Error(
    `The model's output ${name} has the shape [${shape.join(', ')}] with an unknown size. Give the model an input_shape.`,
  );
}

const describeTarget = ({ shape, classes }: TensorSpec): string =>
  classes === undefined
    ? `[${shape.join(', ')}]`
    : `a class of ${classes}${shape.length === 0 ? '' : ` in each of [${shape.join(', ')}]`}`;

function requireFit(
  name: string,
  isSparse: boolean,
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  problem: string,
): void {
  if (fitsTarget(output, target, isSparse)) return;
  const wanted = isSparse
    ? `a class for each of ${outputWidth(output)} outputs`
    : `a target of ${describeShapes([{ name: '', shape: output.shape }])}`;
  throw new Error(`${problem}; ${name} takes ${wanted}. Change the model, the data or the loss.`);
}

/** Loss for the last activation and the data. */
function defaultLoss(
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  activation: string | null,
  problem: string,
  note: (line: string) => void,
  optionName: OptionName,
): LossSpec {
  const isValues = sampleSize(target) === sampleSize(output);
  if (target.classes !== undefined && !isValues) {
    if (activation === 'softmax') return { name: ENTROPY.sparse };
    if (activation === 'linear') {
      note(
        'The model ends without a softmax, so its outputs are taken as logits: the loss is the cross-entropy of their softmax.',
      );
      return { name: ENTROPY.sparse, fromLogits: true };
    }
  } else if (isValues) {
    if (activation === 'sigmoid' && (target.classes ?? 2) <= 2) return { name: 'binary_crossentropy' };
    if (activation === 'softmax' && target.classes === undefined) return { name: ENTROPY.dense };
    if (target.classes === undefined) return { name: 'mean_squared_error' };
  }
  throw new Error(
    `${problem}; no loss follows from the last activation, ${activation ?? 'none'}. Name one with ${optionName('loss')}, or end the model in a softmax.`,
  );
}

/** Classes and cross-entropies have their accuracy, other values the mean absolute error. */
function defaultMetrics(
  { name }: LossSpec,
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
): readonly MetricChoice[] {
  const isClass = isOneHot(output, target) || (target.classes ?? Infinity) <= 2;
  return isClass || lossDefinition(name).activation !== undefined ? ['accuracy'] : ['mae'];
}
