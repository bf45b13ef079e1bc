import * as v from 'valibot';
import type { Dataset } from '../../shared/data/dataset.ts';
import { activationOf, outputLayers } from '../../shared/model/fold-activations.ts';
import type { Topology } from '../../shared/model/job.ts';
import { asArray, copyModel, isRecord } from '../../shared/model/keras-layer.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import { ALIASES, LOSS_NAMES, lossDefinition, type LossName } from '../../shared/model/losses.ts';
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
  /**
   * Metrics of each output: one list for all of them, a list for each, or lists by the outputs' names.
   * @default `accuracy` for classes, `mae` for values
   */
  readonly metrics?:
    | readonly MetricChoice[]
    | readonly (readonly MetricChoice[])[]
    | Readonly<Record<string, readonly MetricChoice[]>>
    | undefined;
  /** Factors of the outputs' losses. @default 1 */
  readonly lossWeights?: readonly number[] | Readonly<Record<string, number>> | undefined;
  /** Names of these settings in errors. @default their keys */
  readonly optionName?: OptionName | undefined;
}

/**
 * Checks what can be checked of losses and metrics before the data is known.
 * @throws Error with a sentence that names the setting, and what it takes
 */
export function checkOutputSettings(settings: OutputSettings): void {
  const { optionName = keyName } = settings;
  const { loss, metrics, lossWeights }: Readonly<Record<string, unknown>> = { ...settings };
  const reject = (key: string, value: unknown, expected: string): never => {
    throw new Error(`${optionName(key)} takes ${expected}, not ${JSON.stringify(value)}.`);
  };
  const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
  if (loss !== undefined) {
    const isOne = isChoice(loss);
    if (!isOne && !isObject(loss)) reject('loss', loss, "a loss such as 'mse', or one for each output");
    for (const choice of isOne ? [loss] : Object.values(loss as object)) {
      if (!isChoice(choice)) reject('loss', choice, "losses such as 'mse' or { name: 'huber', delta: 2 }");
      checkLoss(choice as LossChoice, optionName);
    }
  }
  if (metrics !== undefined) {
    if (!isObject(metrics) || isChoice(metrics))
      reject('metrics', metrics, "a list such as ['accuracy'], or lists by output");
    for (const list of isListForAll(metrics) ? [metrics] : Object.values(metrics as object)) {
      if (!Array.isArray(list)) reject('metrics', list, "lists such as ['accuracy']");
      for (const choice of asArray(list)) {
        if (!isChoice(choice))
          reject('metrics', choice, "metrics such as 'auc' or { name: 'auc', curve: 'PR' }");
        checkMetric(choice as MetricChoice, optionName);
      }
    }
  }
  if (lossWeights === undefined) return;
  const factors: unknown[] = isRecord(lossWeights) ? Object.values(lossWeights) : asArray(lossWeights);
  const isFactor = (factor: unknown): boolean =>
    typeof factor === 'number' && Number.isFinite(factor) && factor >= 0;
  if (factors.length === 0 || !factors.every(isFactor))
    reject('lossWeights', lossWeights, 'a number of 0 or more for each output');
}

/** Whether a setting is one list of metrics, not a list for each output. */
const isListForAll = (metrics: unknown): boolean =>
  Array.isArray(metrics) && !metrics.some((entry) => Array.isArray(entry));

/** Names in the history of the metrics of a model's only output; null if they follow from the model. */
export function metricLabels(metrics: OutputSettings['metrics']): readonly string[] | null {
  if (metrics === undefined || !isListForAll(metrics)) return null;
  return (metrics as readonly MetricChoice[]).map((choice) =>
    typeof choice === 'string' ? choice : (choice.label ?? choice.name),
  );
}

/** @throws Error if values by output are not those of the model's outputs */
function checkNames(
  values: unknown,
  outputs: readonly ModelOutput[],
  key: string,
  optionName: OptionName,
): void {
  const names = outputs.map(({ name }) => name);
  if (Array.isArray(values) && values.length !== outputs.length) {
    throw new Error(
      `${optionName(key)} has ${values.length} entries, but the model has ${outputs.length} outputs (${names.join(', ')}).`,
    );
  }
  if (!isRecord(values) || isChoice(values)) return;
  const unknown = Object.keys(values).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new Error(
    `${optionName(key)} names the output ${unknown}, but the model has the outputs ${names.join(', ')}.`,
  );
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
  const { optionName = keyName } = settings;
  checkOutputSettings(settings);
  checkNames(settings.loss, modelOutputs, 'loss', optionName);
  checkNames(settings.lossWeights, modelOutputs, 'lossWeights', optionName);
  if (settings.metrics !== undefined && !isListForAll(settings.metrics))
    checkNames(settings.metrics, modelOutputs, 'metrics', optionName);
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
    const chosen = pick(settings.loss, output.name, i, isChoice);
    const loss =
      chosen === undefined
        ? defaultLoss({ shape }, target, activationOf(layers[i]), problem, note)
        : parseLoss(chosen, { shape }, target, optionName);
    requireFit(loss.name, lossDefinition(loss.name).isSparse === true, { shape }, target, problem);
    const metrics = (
      pickMetrics(settings.metrics, output.name, i, modelOutputs.length) ?? defaultMetrics(loss)
    ).map((choice) => parseMetric(choice, { shape }, target, optionName));
    checkLabels(metrics, optionName);
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

/** Whether a value is a loss or metric: a name, or an object with a name. */
const isChoice = (value: unknown): boolean =>
  typeof value === 'string' || (isRecord(value) && typeof value.name === 'string');

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
  position: number,
  outputs: number,
): readonly MetricChoice[] | undefined {
  if (metrics === undefined) return outputs > 1 ? [] : undefined;
  if (isListForAll(metrics)) return metrics as readonly MetricChoice[];
  return Array.isArray(metrics)
    ? (metrics as readonly (readonly MetricChoice[])[])[position]
    : ((metrics as Readonly<Record<string, readonly MetricChoice[]>>)[name] ?? []);
}

/** Fields of an epoch's record, which no metric can be named. */
const RECORD_FIELDS: readonly string[] = [
  ...['epoch', 'loss', 'seconds', 'samples_per_second', 'workers', 'data', 'codec'],
];

/** @throws Error if metrics have the same name in the history, or that of another field */
function checkLabels(metrics: readonly MetricSpec[], optionName: OptionName): void {
  const labels = metrics.map(({ name, label = name }) => label);
  const wrong = labels.find((label, i) => labels.indexOf(label) !== i || RECORD_FIELDS.includes(label));
  if (wrong === undefined) return;
  throw new Error(
    `${optionName('metrics')} has a metric named ${wrong}, which is the name of another field of the history.`,
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

/** @returns what is wrong with options, as sentences, and which there are */
function describeOptions(
  what: string,
  spec: object,
  known: readonly string[],
  issues: readonly v.BaseIssue<unknown>[],
): string {
  const [issue] = issues;
  const key = issue === undefined ? null : v.getDotPath(issue);
  const wrong = issue === undefined || key === null ? '' : ` ${key} is wrong: ${issue.message}.`;
  const takes = known.length === 0 ? 'no options' : known.join(', ');
  return `${what} does not take the options ${JSON.stringify(spec)}.${wrong} It takes ${takes}.`;
}

/** Keys of a loss or metric that are not options. */
const OWN_KEYS: readonly string[] = ['name', 'label', 'weighted'];

const hasUnknownKey = (spec: object, known: readonly string[]): boolean =>
  Object.entries(spec).some(
    ([key, value]) => value !== undefined && !OWN_KEYS.includes(key) && !known.includes(key),
  );

/**
 * Loss by its name in Keras, whatever it is compared with.
 * @throws Error with a sentence if there is none, or it does not take the options
 */
function checkLoss(choice: LossChoice, optionName: OptionName): LossSpec {
  const spec = typeof choice === 'string' ? { name: choice } : choice;
  const name = ALIASES[spec.name] ?? spec.name;
  if (!(LOSS_NAMES as readonly string[]).includes(name)) {
    throw new Error(
      `There is no loss ${spec.name}. Losses are ${LOSS_NAMES.join(', ')}; ${optionName('loss')} takes one of them.`,
    );
  }
  const { success, output: loss, issues } = v.safeParse(lossSchema, { ...spec, name });
  const { options } = lossDefinition(name as LossName);
  if (success && !hasUnknownKey(spec, options)) return loss;
  throw new Error(describeOptions(`The loss ${name}`, spec, options, issues ?? []));
}

function parseLoss(
  choice: LossChoice,
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  optionName: OptionName,
): LossSpec {
  const loss = checkLoss(choice, optionName);
  // The loss of classes is the same, whether they are numbers or one-hot.
  const isSparse = fitsTarget(output, target, true) && target.classes !== undefined;
  const isPlain = loss.name === ENTROPY.dense && loss.labelSmoothing === undefined && isSparse;
  return isPlain ? { ...loss, name: ENTROPY.sparse, label: ENTROPY.dense } : loss;
}

/**
 * Metric by its name in Keras, whatever it is compared with.
 * @throws Error with a sentence if there is none, or it does not take the options
 */
function checkMetric(choice: MetricChoice, optionName: OptionName): void {
  const { name } = typeof choice === 'string' ? { name: choice } : choice;
  const alias = ALIASES[name] ?? name;
  readMetric(choice, alias === 'accuracy' ? 'binary_accuracy' : alias, optionName);
}

/** @param name of the metric, which its choice may leave open */
function readMetric(choice: MetricChoice, name: string, optionName: OptionName): MetricSpec {
  const spec = typeof choice === 'string' ? { name: choice } : choice;
  const definition = METRICS[name];
  if (definition === undefined || !METRIC_NAMES.includes(name)) {
    throw new Error(
      `There is no metric ${spec.name}. Metrics are accuracy, ${METRIC_NAMES.join(', ')}; ${optionName('metrics')} takes some of them.`,
    );
  }
  const label = name === spec.name ? {} : { label: spec.name };
  const { success, output: metric, issues } = v.safeParse(metricSchema, { ...label, ...spec, name });
  if (success && !hasUnknownKey(spec, definition.options)) return metric;
  throw new Error(describeOptions(`The metric ${name}`, spec, definition.options, issues ?? []));
}

function parseMetric(
  choice: MetricChoice,
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  optionName: OptionName,
): MetricSpec {
  const { name } = typeof choice === 'string' ? { name: choice } : choice;
  const alias = ALIASES[name] ?? name;
  return readMetric(choice, alias === 'accuracy' ? accuracyFor(output, target) : alias, optionName);
}

/** Accuracy that Keras means by 'accuracy': by the shapes of output and target. */
function accuracyFor(output: Pick<OutputSpec, 'shape'>, target: TensorSpec): string {
  if (outputWidth(output) === 1) return 'binary_accuracy';
  return sampleSize(target) === sampleSize(output) ? 'categorical_accuracy' : 'sparse_categorical_accuracy';
}
