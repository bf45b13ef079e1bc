import * as v from 'valibot';
import type { Dataset } from '../../shared/data/dataset.ts';
import { activationOf, outputLayers } from '../../shared/model/fold-activations.ts';
import type { Topology } from '../../shared/model/job.ts';
import { copyModel } from '../../shared/model/keras-layer.ts';
import { ALIASES, LOSS_NAMES, lossDefinition } from '../../shared/model/losses.ts';
import { METRIC_NAMES, METRICS } from '../../shared/model/metrics.ts';
import {
  fitsTarget,
  lossSchema,
  metricSchema,
  outputWidth,
  type LossSpec,
  type MetricSpec,
  type OutputSpec,
} from '../../shared/model/outputs.ts';
import { describeShapes, sampleSize, type TensorSpec } from '../../shared/model/tensors.ts';

/** A value for every output, a list in the order of the outputs, or values by the outputs' names. */
export type PerOutput<Value> = Value | readonly Value[] | Readonly<Record<string, Value>>;

/** Loss by Keras' name (`mse`), or with options. */
export type LossChoice = string | LossSpec;
/** Metric by Keras' name (`accuracy`, `mae`), or with options. */
export type MetricChoice = string | MetricSpec;

export interface OutputSettings {
  /** @default by the last activation and the data */
  readonly loss?: LossChoice | readonly LossChoice[] | Readonly<Record<string, LossChoice>> | undefined;
  /** Metrics of each output. @default `accuracy` for classes, `mae` for values */
  readonly metrics?: readonly MetricChoice[] | Readonly<Record<string, readonly MetricChoice[]>> | undefined;
  /** Factors of the outputs' losses. @default 1 */
  readonly lossWeights?: readonly number[] | Readonly<Record<string, number>> | undefined;
}

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
  const layers = outputLayers(copyModel(topology));
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
    const chosen = pick(settings.loss, output.name, i, isLoss);
    const loss =
      chosen === undefined
        ? defaultLoss({ shape }, target, activationOf(layers[i]), problem, note)
        : parseLoss(chosen, { shape }, target);
    requireFit(loss.name, lossDefinition(loss.name).isSparse === true, { shape }, target, problem);
    const metrics = (
      pickMetrics(settings.metrics, output.name, modelOutputs.length) ?? defaultMetrics(loss)
    ).map((choice) => parseMetric(choice, { shape }, target));
    for (const metric of metrics) {
      requireFit(metric.name, METRICS[metric.name]?.isSparse === true, { shape }, target, problem);
    }
    const weight = pick(settings.lossWeights, output.name, i, (value) => typeof value === 'number');
    return {
      target,
      output: { name: output.name, shape, loss, ...(weight === undefined ? {} : { weight }), metrics },
    };
  });
  return { outputs: resolved.map(({ output }) => output), targets: resolved.map(({ target }) => target) };
}

const isLoss = (value: unknown): boolean =>
  typeof value === 'string' || (typeof value === 'object' && value !== null && 'name' in value);

/** Value of an output: the only one, that of its position, or that of its name. */
function pick<Value>(
  values: Value | readonly Value[] | Readonly<Record<string, Value>> | undefined,
  name: string,
  position: number,
  isValue: (value: unknown) => boolean,
): Value | undefined {
  if (values === undefined || isValue(values)) return values as Value | undefined;
  if (Array.isArray(values)) return (values as readonly Value[])[position];
  return (values as Readonly<Record<string, Value>>)[name];
}

function pickMetrics(
  metrics: OutputSettings['metrics'],
  name: string,
  outputs: number,
): readonly MetricChoice[] | undefined {
  if (metrics === undefined) return outputs > 1 ? [] : undefined;
  return Array.isArray(metrics)
    ? (metrics as readonly MetricChoice[])
    : ((metrics as Readonly<Record<string, readonly MetricChoice[]>>)[name] ?? []);
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

const ENTROPY = { sparse: 'sparse_categorical_crossentropy', dense: 'categorical_crossentropy' } as const;

/** Loss for the last activation and the data. */
function defaultLoss(
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  activation: string | null,
  problem: string,
  note: (line: string) => void,
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
    `${problem}; no loss follows from the last activation, ${activation ?? 'none'}. Name one with --loss, or end the model in a softmax.`,
  );
}

/** A cross-entropy has its accuracy, another loss the mean absolute error. */
const defaultMetrics = ({ name }: LossSpec): readonly MetricChoice[] =>
  lossDefinition(name).activation === undefined ? ['mae'] : ['accuracy'];

/** @throws Error with a sentence if there is no such loss */
function parseLoss(choice: LossChoice, output: Pick<OutputSpec, 'shape'>, target: TensorSpec): LossSpec {
  const spec = typeof choice === 'string' ? { name: choice } : choice;
  const name = ALIASES[spec.name] ?? spec.name;
  // The loss of classes is the same, whether they are numbers or one-hot.
  const isSparse = fitsTarget(output, target, true) && target.classes !== undefined;
  const isPlain = name === ENTROPY.dense && !('labelSmoothing' in spec) && isSparse;
  const { success, output: loss } = v.safeParse(lossSchema, {
    ...spec,
    name: isPlain ? ENTROPY.sparse : name,
  });
  if (success) return loss;
  throw new Error(
    (LOSS_NAMES as readonly string[]).includes(name)
      ? `The loss ${name} does not take the options ${JSON.stringify(spec)}.`
      : `There is no loss ${spec.name}. Losses are ${LOSS_NAMES.join(', ')}.`,
  );
}

/** @throws Error with a sentence if there is no such metric */
function parseMetric(
  choice: MetricChoice,
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
): MetricSpec {
  const spec = typeof choice === 'string' ? { name: choice } : choice;
  const alias = ALIASES[spec.name] ?? spec.name;
  const name = alias === 'accuracy' ? accuracyFor(output, target) : alias;
  const label = name === spec.name ? {} : { label: spec.name };
  const { success, output: metric } = v.safeParse(metricSchema, { ...label, ...spec, name });
  if (success) return metric;
  throw new Error(
    METRIC_NAMES.includes(name)
      ? `The metric ${name} does not take the options ${JSON.stringify(spec)}.`
      : `There is no metric ${spec.name}. Metrics are accuracy, ${METRIC_NAMES.join(', ')}.`,
  );
}

/** Accuracy that Keras means by 'accuracy': by the shapes of output and target. */
function accuracyFor(output: Pick<OutputSpec, 'shape'>, target: TensorSpec): string {
  if (outputWidth(output) === 1) return 'binary_accuracy';
  return sampleSize(target) === sampleSize(output) ? 'categorical_accuracy' : 'sparse_categorical_accuracy';
}
