import * as v from 'valibot';
import { sampleSize, type TensorSpec } from './tensors.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';
import { CUSTOM, customName, type CustomCode } from './custom-code.ts';
import { LOSS_NAMES, lossDefinition, type LossOptions } from './losses.ts';
import type { MetricOptions } from './metric.ts';
import { METRIC_NAMES, metricDefinition } from './metrics.ts';
import type { SchemaFields } from '../util/schema-fields.ts';

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(200), v.transform(sanitizeForTerminal));
const fraction = v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(1));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const lossOptions = {
  fromLogits: v.optional(v.boolean()),
  labelSmoothing: v.optional(fraction),
  delta: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0))),
  alpha: v.optional(fraction),
  gamma: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(100))),
  applyClassBalancing: v.optional(v.boolean()),
  q: v.optional(v.pipe(v.number(), v.gtValue(0), v.ltValue(1))),
  function: v.optional(customName),
} satisfies SchemaFields<LossOptions>;

/** Names of the fields that are set, apart from those that every loss or metric has. */
const optionsOf = (spec: object): string[] =>
  Object.entries(spec)
    .filter(([name, value]) => value !== undefined && !['name', 'label', 'weighted'].includes(name))
    .map(([name]) => name);

/** Loss by Keras' name, with Keras' defaults for options that are missing. */
export interface LossSpec extends LossOptions {
  readonly name: (typeof LOSS_NAMES)[number] | typeof CUSTOM;
  /** Name in Keras by which it was chosen, if that is another: targets of one-hot vectors are class numbers here. */
  readonly label?: string | undefined;
}

/** @internal */
export const lossSchema: v.GenericSchema<unknown, LossSpec> = v.pipe(
  // An option that is not known would change what is computed.
  v.strictObject({
    name: v.picklist([...LOSS_NAMES, CUSTOM]),
    label: v.optional(text),
    ...lossOptions,
  } satisfies SchemaFields<LossSpec>),
  v.check((loss) => {
    const { options } = lossDefinition(loss.name);
    return optionsOf(loss).every((name) => (options as readonly string[]).includes(name));
  }, 'options of the loss'),
  v.check(({ name, function: own }) => name !== CUSTOM || own !== undefined, 'the function of the loss'),
);

/** Metric by Keras' name, with Keras' defaults for options that are missing. */
export interface MetricSpec extends MetricOptions {
  /** Name of METRIC_NAMES, or CUSTOM. */
  readonly name: string;
  /** Name in the history. @default the metric's name */
  readonly label?: string | undefined;
  /** Whether samples count by their weights. */
  readonly weighted?: boolean | undefined;
}

/** @internal */
export const metricSchema: v.GenericSchema<unknown, MetricSpec> = v.pipe(
  v.strictObject({
    name: v.picklist([...METRIC_NAMES, CUSTOM]),
    label: v.optional(text),
    weighted: v.optional(v.boolean()),
    threshold: v.optional(v.pipe(v.number(), v.finite())),
    k: v.optional(positive),
    thresholds: v.optional(v.pipe(positive, v.minValue(2), v.maxValue(400))),
    curve: v.optional(v.picklist(['ROC', 'PR'])),
    summation: v.optional(v.picklist(['interpolation', 'minoring', 'majoring'])),
    average: v.optional(v.picklist(['micro', 'macro', 'weighted'])),
    beta: v.optional(v.pipe(v.number(), v.gtValue(0), v.maxValue(1e6))),
    classAggregation: v.optional(v.picklist(['uniform_average', 'variance_weighted_average'])),
    numClasses: v.optional(v.pipe(positive, v.maxValue(65_536))),
    targetClassIds: v.optional(
      v.pipe(v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0))), v.minLength(1), v.maxLength(512)),
    ),
    ignoreClass: v.optional(v.pipe(v.number(), v.safeInteger())),
    sparseYTrue: v.optional(v.boolean()),
    sparseYPred: v.optional(v.boolean()),
    precision: v.optional(fraction),
    recall: v.optional(fraction),
    sensitivity: v.optional(fraction),
    specificity: v.optional(fraction),
    ...lossOptions,
  } satisfies SchemaFields<MetricSpec>),
  v.check((metric) => {
    const options: readonly string[] = metricDefinition(metric.name)?.options ?? [];
    return optionsOf(metric).every((name) => options.includes(name));
  }, 'options of the metric'),
  v.check(
    (metric) => (metricDefinition(metric.name)?.required ?? []).every((name) => metric[name] !== undefined),
    'required options of the metric',
  ),
);

/** @internal Factor of an output's loss in the sum over the outputs. */
export const lossWeight = v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(1e6));

/** Output of the model with its loss and metrics. */
export interface OutputSpec {
  /** Name of its layer. */
  readonly name: string;
  /** Shape for one sample. */
  readonly shape: number[];
  readonly loss: LossSpec;
  /** @default 1 */
  readonly weight?: number | undefined;
  readonly metrics: MetricSpec[];
}

const outputSpec = v.object({
  name: text,
  shape: v.pipe(v.array(positive), v.maxLength(8)),
  loss: lossSchema,
  weight: v.optional(lossWeight),
  metrics: v.pipe(v.array(metricSchema), v.maxLength(16)),
} satisfies SchemaFields<OutputSpec>);

/** @internal */
export const outputSpecs: v.GenericSchema<unknown, OutputSpec[]> = v.pipe(
  v.array(outputSpec),
  v.minLength(1),
  v.maxLength(16),
  v.check((outputs) => new Set(outputs.map(({ name }) => name)).size === outputs.length, 'different names'),
);

/** Name of a metric in the history: with that of its output if there are several. */
export const metricName = (
  { name: output }: Pick<OutputSpec, 'name'>,
  { name, label = name }: Pick<MetricSpec, 'name' | 'label'>,
  isOnly: boolean,
): string => (isOnly ? label : `${output}_${label}`);

/** Names of the metrics in the history, in its order; the loss is not among them. */
export const metricNames = (outputs: readonly Pick<OutputSpec, 'name' | 'metrics'>[]): string[] =>
  outputs.flatMap((output) => [
    ...(outputs.length === 1 ? [] : [`${output.name}_loss`]),
    ...output.metrics.map((metric) => metricName(output, metric, outputs.length === 1)),
  ]);

/** Length of an output's last axis. */
export const outputWidth = ({ shape }: Pick<OutputSpec, 'shape'>): number => shape.at(-1) ?? 1;

/** Whether the classes of a target become one-hot vectors for the losses and metrics that take a value for each output. */
export const isOneHot = (output: Pick<OutputSpec, 'shape'>, target: TensorSpec): boolean =>
  target.classes !== undefined && outputWidth(output) > 1 && sampleSize(target) !== sampleSize(output);

/**
 * Whether a target has what a loss or metric of an output takes.
 * @param isSparse whether it takes the class of each row, not a value for each output
 */
export function fitsTarget(
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  isSparse: boolean,
): boolean {
  const width = outputWidth(output);
  const isClass = sampleSize(target) * width === sampleSize(output) && (target.classes ?? Infinity) <= width;
  if (isSparse) return isClass;
  return sampleSize(target) === sampleSize(output) || (isOneHot(output, target) && isClass);
}

/** @returns the first loss or metric of an output that does not fit its target, or null */
export function findMisfit(output: OutputSpec, target: TensorSpec): string | null {
  const { loss, metrics } = output;
  if (!fitsTarget(output, target, lossDefinition(loss.name).isSparse === true)) return loss.name;
  const wrong = metrics.find(
    ({ name }) => !fitsTarget(output, target, metricDefinition(name)?.isSparse === true),
  );
  return wrong?.name ?? null;
}

/** Function of a job's custom code whose values the engine computes for each sample. */
export interface CustomTerm {
  readonly kind: 'loss' | 'metric';
  readonly name: string;
  /** Number of the output that it is for. */
  readonly output: number;
}

/** Custom losses and metrics of outputs, in the order in which an engine returns their values: of each output the loss first. */
export const customTerms = (outputs: readonly Pick<OutputSpec, 'loss' | 'metrics'>[]): CustomTerm[] =>
  outputs.flatMap(({ loss, metrics }, output) => [
    ...(loss.function === undefined ? [] : [{ kind: 'loss', name: loss.function, output } as const]),
    ...metrics.flatMap(({ function: name }) =>
      name === undefined ? [] : [{ kind: 'metric', name, output } as const],
    ),
  ]);

/** Whether the custom code of a job has all functions that its outputs name. */
export const hasCustomTerms = (
  outputs: readonly Pick<OutputSpec, 'loss' | 'metrics'>[],
  code: CustomCode | undefined,
): boolean =>
  customTerms(outputs).every(({ kind, name }) =>
    (kind === 'loss' ? code?.losses : code?.metrics)?.includes(name),
  );
