import * as v from 'valibot';
import { isRecord } from '../../shared/model/keras-layer.ts';
import {
  canonicalName,
  isLossName,
  LOSS_NAMES,
  lossDefinition,
  type LossName,
} from '../../shared/model/losses.ts';
import { CUSTOM, type CustomCode } from '../../shared/model/custom-code.ts';
import { METRIC_NAMES, METRICS } from '../../shared/model/metrics.ts';
import {
  fitsTarget,
  lossSchema,
  lossWeight,
  metricSchema,
  outputWidth,
  type LossSpec,
  type MetricSpec,
  type OutputSpec,
} from '../../shared/model/outputs.ts';
import { sampleSize, type TensorSpec } from '../../shared/model/tensors.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import { didYouMean } from '../../shared/util/suggest.ts';

/** A list in the order of the outputs, or values by the outputs' names. */
type PerOutput<Value> = readonly Value[] | Readonly<Record<string, Value>>;

/** Loss by Keras' name (`mse`), or with options. */
export type LossChoice = string | LossSpec;
/** Metric by Keras' name (`accuracy`, `mae`), or with options. */
export type MetricChoice = string | MetricSpec;
/** Metrics of one output; null for none. */
type MetricChoices = MetricChoice | readonly MetricChoice[] | null;

export interface OutputSettings {
  /** The same for all outputs, or one for each. @default by the last activation and the data */
  readonly loss?: LossChoice | PerOutput<LossChoice> | undefined;
  /**
   * Metrics of the only output, or as Keras takes them for several outputs: an entry for each of them, or entries by name.
   * @default `accuracy` for classes, `mae` for values; none for several outputs
   */
  readonly metrics?: readonly MetricChoice[] | PerOutput<MetricChoices> | undefined;
  /** Factors of the outputs' losses. @default 1 */
  readonly lossWeights?: PerOutput<number> | undefined;
  /** Names of these settings in errors. @default their keys */
  readonly optionName?: OptionName | undefined;
  /** Custom code, whose losses and metrics may be named too. @default none */
  readonly custom?: { readonly code: CustomNames } | undefined;
}

/** Names of custom losses and metrics. */
export type CustomNames = Pick<CustomCode, 'losses' | 'metrics'>;

const NO_CODE: CustomNames = { losses: [], metrics: [] };

/** Settings of one output. */
interface ChosenSettings {
  readonly loss: LossChoice | undefined;
  /** undefined for the default */
  readonly metrics: readonly MetricChoice[] | undefined;
  readonly weight: number | undefined;
}

/**
 * Checks what can be checked of losses and metrics before model and data are known.
 * @throws Error with a sentence that names the setting, and what it takes
 */
export function checkOutputSettings(settings: OutputSettings): void {
  const { loss, metrics, lossWeights, optionName = keyName } = settings;
  const names = settings.custom?.code ?? NO_CODE;
  for (const choice of entriesOf('loss', loss, optionName)) readLoss(choice as LossChoice, optionName, names);
  for (const choice of entriesOf('metrics', metrics, optionName).flat()) {
    if (choice !== null) readMetric(choice as MetricChoice, 'binary_accuracy', optionName, names);
  }
  for (const weight of entriesOf('lossWeights', lossWeights, optionName)) parseWeight(weight, optionName);
}

/** Entries of a setting, whichever outputs they are for. */
function entriesOf(setting: string, values: unknown, optionName: OptionName): readonly unknown[] {
  if (values === undefined) return [];
  if (isSpec(values)) return [values];
  if (typeof values === 'object' && values !== null) return Object.values(values);
  throw new Error(
    `${optionName(setting)} is ${JSON.stringify(values)}; it takes a list, or entries by the names of outputs.`,
  );
}

/** Names in the history of the metrics of a model's only output; null if they follow from the model. */
export function metricLabels(metrics: OutputSettings['metrics']): readonly string[] | null {
  if (!Array.isArray(metrics) || !metrics.every(isSpec)) return null;
  return (metrics as readonly MetricChoice[]).map((choice) =>
    typeof choice === 'string' ? choice : (choice.label ?? choice.name),
  );
}

/**
 * Settings of each output, by its position.
 * @param names of the outputs
 * @throws Error with a sentence if a setting is for outputs that the model does not have
 */
export function settingsByOutput(
  settings: OutputSettings,
  names: readonly string[],
): (output: number) => ChosenSettings {
  const { optionName = keyName } = settings;
  const isOnly = names.length === 1;
  const losses = perOutput(optionName('loss'), settings.loss, names, isSpec);
  const metrics = perOutput<MetricChoices>(optionName('metrics'), settings.metrics, names, (value) =>
    Array.isArray(value) ? isOnly || value.length === 0 : isOnly && isSpec(value),
  );
  const weights = perOutput(optionName('lossWeights'), settings.lossWeights, names, () => false);
  return (i) => ({
    loss: losses[i],
    metrics: settings.metrics === undefined && isOnly ? undefined : [metrics[i] ?? []].flat(),
    weight: parseWeight(weights[i], optionName),
  });
}

const isSpec = (value: unknown): boolean =>
  typeof value === 'string' || (isRecord(value) && typeof value.name === 'string');

/**
 * Value of each output, undefined where there is none.
 * @param isForAll whether a value is that of every output
 * @throws Error if there are values of other outputs, or a list of another length
 */
function perOutput<Value>(
  setting: string,
  values: Value | PerOutput<Value> | undefined,
  names: readonly string[],
  isForAll: (value: unknown) => boolean,
): (Value | undefined)[] {
  if (values === undefined || isForAll(values)) return names.map(() => values as Value | undefined);
  const outputs = `the model has the output${names.length === 1 ? '' : 's'} ${names.join(', ')}`;
  if (Array.isArray(values)) {
    if (values.length === names.length) return values as Value[];
    throw new Error(`${setting} has a list of ${values.length}, but ${outputs}. Give one entry for each.`);
  }
  if (typeof values !== 'object' || values === null) {
    throw new Error(
      `${setting} is ${JSON.stringify(values)}; it takes a list, or entries by the names of outputs.`,
    );
  }
  const byName = new Map(Object.entries(values as Readonly<Record<string, Value>>));
  const unknown = [...byName.keys()].find((name) => !names.includes(name));
  if (unknown === undefined) return names.map((name) => byName.get(name));
  throw new Error(`${setting} has an entry for ${unknown}, but ${outputs}.${didYouMean(unknown, names)}`);
}

/** @throws Error if a weight is not one that a job can have */
function parseWeight(weight: unknown, optionName: OptionName): number | undefined {
  const { success, output } = v.safeParse(v.optional(lossWeight), weight);
  if (success) return output;
  throw new Error(
    `${optionName('lossWeights')} has the weight ${JSON.stringify(weight)}; it takes 0 to 1,000,000.`,
  );
}

/** Cross-entropies of classes as numbers and one-hot. */
export const ENTROPY = {
  sparse: 'sparse_categorical_crossentropy',
  dense: 'categorical_crossentropy',
} as const;

/** @throws Error with a sentence if there is no such loss */
export function parseLoss(
  choice: LossChoice,
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  optionName: OptionName = keyName,
  names = NO_CODE,
): LossSpec {
  const loss = readLoss(
    choice,
    optionName,
    names,
    outputWidth(output) === 1 ? 'binary_crossentropy' : ENTROPY.dense,
  );
  // The loss of classes is the same, whether they are numbers or one-hot.
  const isSparse = fitsTarget(output, target, true) && target.classes !== undefined;
  const isPlain = loss.name === ENTROPY.dense && loss.labelSmoothing === undefined && isSparse;
  return isPlain ? { ...loss, name: ENTROPY.sparse, label: ENTROPY.dense } : loss;
}

/**
 * Loss by any name that Keras takes.
 * @param entropy cross-entropy that Keras means by 'crossentropy'
 */
function readLoss(
  choice: LossChoice,
  optionName: OptionName,
  names: CustomNames,
  entropy: LossName = ENTROPY.dense,
): LossSpec {
  const spec = asSpec('loss', choice);
  const custom = readCustom('loss', spec, names.losses);
  if (custom !== null) return parseOptions('loss', lossSchema, custom, []);
  const name = ['ce', 'crossentropy'].includes(spec.name.toLowerCase()) ? entropy : canonicalName(spec.name);
  if (!isLossName(name)) {
    const all = [...names.losses, ...LOSS_NAMES];
    throw new Error(
      `There is no loss ${spec.name}.${didYouMean(canonicalName(spec.name), all)} Losses are ${all.join(', ')}; ${optionName('loss')} takes one of them.`,
    );
  }
  return parseOptions('loss', lossSchema, { ...spec, name }, lossDefinition(name).options);
}

/** @throws Error with a sentence if there is no such metric */
export function parseMetric(
  choice: MetricChoice,
  output: Pick<OutputSpec, 'shape'>,
  target: TensorSpec,
  optionName: OptionName = keyName,
  names = NO_CODE,
): MetricSpec {
  return readMetric(choice, accuracyFor(output, target), optionName, names);
}

/** @param accuracy that Keras means by 'accuracy' */
function readMetric(
  choice: MetricChoice,
  accuracy: string,
  optionName: OptionName,
  names: CustomNames,
): MetricSpec {
  const spec = asSpec('metric', choice);
  const custom = readCustom('metric', spec, names.metrics);
  if (custom !== null) return parseOptions('metric', metricSchema, custom, ['weighted']);
  const canonical = canonicalName(spec.name);
  const name = canonical === 'accuracy' ? accuracy : canonical;
  const definition = METRICS[name];
  if (definition === undefined) {
    const all = ['accuracy', ...names.metrics, ...METRIC_NAMES];
    throw new Error(
      `There is no metric ${spec.name}.${didYouMean(canonical, all)} Metrics are ${all.join(', ')}; ${optionName('metrics')} takes some of them.`,
    );
  }
  const missing = definition.required?.find((option) => (spec as MetricSpec)[option] === undefined);
  if (missing !== undefined) {
    throw new Error(
      `The metric ${spec.name} needs ${missing}, as in { "name": "${spec.name}", "${missing}": ... }.`,
    );
  }
  const label = name === spec.name ? {} : { label: spec.name };
  return parseOptions('metric', metricSchema, { ...label, ...spec, name }, [
    ...definition.options,
    'label',
    'weighted',
  ]);
}

/** A choice of custom code, by the name of its function or as a job has it; null for one of Keras. */
function readCustom<Spec extends { readonly name: string }>(
  what: string,
  spec: Spec,
  names: readonly string[],
): (Spec & { readonly name: string; readonly label: string; readonly function: string }) | null {
  const { function: own, label } = spec as { readonly function?: string; readonly label?: string };
  const name = spec.name === CUSTOM ? own : spec.name;
  if (name !== undefined && names.includes(name))
    return { ...spec, name: CUSTOM, function: name, label: label ?? name };
  if (spec.name !== CUSTOM) return null;
  throw new Error(
    `There is no custom ${what} ${own ?? 'without a name'}. Use --custom with the file that has it.`,
  );
}

function asSpec<Spec extends { readonly name: string }>(
  what: string,
  choice: string | Spec,
): Spec | { readonly name: string } {
  if (typeof choice === 'string') return { name: choice };
  if (isSpec(choice)) return choice;
  throw new Error(`A ${what} is a name, or a name with options; this one is ${JSON.stringify(choice)}.`);
}

/** @throws Error that names the option that a loss or metric does not take */
function parseOptions<Spec>(
  what: string,
  schema: v.GenericSchema<unknown, Spec>,
  spec: { readonly name: string },
  options: readonly string[],
): Spec {
  const { success, output, issues } = v.safeParse(schema, spec);
  if (success) return output;
  const { name, ...given } = spec;
  const unknown = Object.keys(given).find((option) => option !== 'label' && !options.includes(option));
  const [wrong] = issues;
  throw new Error(
    unknown === undefined
      ? `The ${what} ${name} does not take the options ${JSON.stringify(spec)}: ${wrong.path?.[0]?.key as string} is ${wrong.received} and should be ${wrong.expected}.`
      : `The ${what} ${name} does not take the options ${JSON.stringify(spec)}.${didYouMean(unknown, options)} It takes ${options.join(', ') || 'none'}.`,
  );
}

/** Accuracy that Keras means by 'accuracy': by the shapes of output and target. */
function accuracyFor(output: Pick<OutputSpec, 'shape'>, target: TensorSpec): string {
  if (outputWidth(output) === 1) return 'binary_accuracy';
  return sampleSize(target) === sampleSize(output) ? 'categorical_accuracy' : 'sparse_categorical_accuracy';
}
