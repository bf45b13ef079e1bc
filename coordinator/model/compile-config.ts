import { outputLayers } from '../../shared/model/fold-activations.ts';
import type { Topology } from '../../shared/model/job.ts';
import { asArray, copyModel, isRecord, ownEntry } from '../../shared/model/keras-layer.ts';
import { canonicalName, LOSS_NAMES, lossDefinition } from '../../shared/model/losses.ts';
import { METRICS } from '../../shared/model/metrics.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { keyName } from '../../shared/util/option-names.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { CompileConfig } from '../model-file/keras-file.ts';
import type { ModelFile } from '../model-file/model-file.ts';
import type { LossChoice, MetricChoice, OutputSettings } from './output-settings.ts';
import { DEFAULTS, type OptimizerChanges, type OptimizerOptions } from '../optimizer/hyperparameters.ts';
import { optimizerFromKeras } from '../optimizer/keras-config.ts';

/** The part of a job's settings that model.compile() has too. */
export interface TrainingSettings extends Pick<
  OutputSettings,
  'loss' | 'lossWeights' | 'metrics' | 'optionName'
> {
  readonly optimizer?: OptimizerOptions | OptimizerChanges | undefined;
}

/** Settings of a run whose model was compiled. */
export interface CompletedSettings extends Omit<TrainingSettings, 'optimizer'> {
  readonly optimizer?: OptimizerOptions | undefined;
  /** Sentence about the compile settings that are used; null if there are none. */
  readonly taken: string | null;
  /** Sentences about metrics that are not computed. */
  readonly problems: readonly string[];
}

/**
 * Completes the settings of a run by those that its model was compiled with. Each setting that is given takes the place of the
 * compiled one by itself.
 * @param file name of the model's file, for sentences
 * @throws Error with a sentence if a compiled setting changes the result and is not supported; it names the option that replaces it
 */
export function completeSettings(
  given: TrainingSettings,
  model: Pick<ModelFile, 'compileConfig' | 'topology'> | null,
  file: string,
): CompletedSettings {
  const { optionName = keyName } = given;
  const compileConfig = model?.compileConfig ?? null;
  if (model === null || compileConfig === null) {
    return { ...given, optimizer: withChanges(given, undefined), taken: null, problems: [] };
  }
  const outputs = outputNames(model.topology);
  const unsupported = (what: string, key: string, reason: string): Error =>
    new Error(
      `The ${what} that ${file} was compiled with cannot be used: ${reason} ${optionName(key)} replaces it.`,
    );
  const attempt = <Value>(what: string, key: string, read: () => Value): Value => {
    try {
      return read();
    } catch (error) {
      throw unsupported(what, key, errorMessage(error));
    }
  };
  const isNamed = given.optimizer?.name !== undefined;
  const compiled =
    compileConfig.optimizer === null || isNamed
      ? undefined
      : attempt('optimizer', 'optimizer', () => optimizerFromKeras(compileConfig.optimizer));
  const optimizer = withChanges(given, compiled);
  const loss =
    given.loss ??
    attempt('loss', 'loss', () => byOutput(compileConfig.loss, outputs, (value) => readLoss(value)));
  const lossWeights =
    given.lossWeights ??
    attempt('loss weights', 'lossWeights', () => readLossWeights(compileConfig.lossWeights));
  const problems: string[] = [];
  const compiledMetrics =
    given.metrics === undefined ? readMetrics(compileConfig, outputs, problems) : undefined;
  const metrics = given.metrics ?? compiledMetrics;
  const parts = [
    compiled === undefined ? null : describeOptimizer(optimizer as OptimizerOptions),
    given.loss === undefined && loss !== undefined ? `loss ${describeChoices(loss)}` : null,
    given.lossWeights === undefined && lossWeights !== undefined
      ? `loss weights ${describeChoices(lossWeights)}`
      : null,
    compiledMetrics === undefined ? null : `metrics ${describeChoices(compiledMetrics)}`,
  ].filter((part) => part !== null);
  return {
    optimizer,
    loss,
    lossWeights,
    metrics,
    optionName,
    taken: parts.length === 0 ? null : `From ${file}: ${parts.join('; ')}.`,
    problems:
      problems.length === 0
        ? []
        : [
            `The run does not compute ${problems.join(', ')} of ${file}. ${optionName('metrics')} chooses others.`,
          ],
  };
}

/** Names of a model's outputs. */
const outputNames = (topology: Topology): string[] =>
  outputLayers(copyModel(topology)).map((layer, i) => {
    const name = layer?.config.name ?? layer?.name;
    return typeof name === 'string' ? name : `output_${i}`;
  });

/** Options of which only one can be set. */
const CLIPS: readonly string[] = ['clipNorm', 'globalClipNorm', 'clipValue'];

/** The given optimizer, or the compiled one with changes. */
function withChanges(
  { optimizer: given, optionName = keyName }: TrainingSettings,
  compiled: OptimizerOptions | undefined,
): OptimizerOptions | undefined {
  if (given === undefined) return compiled;
  if (given.name !== undefined) return given;
  const base: Readonly<Record<string, unknown>> = { ...(compiled ?? { name: 'adadelta' }) };
  const hasClip = CLIPS.some((key) => given[key] !== undefined);
  const kept = Object.fromEntries(Object.entries(base).filter(([key]) => !hasClip || !CLIPS.includes(key)));
  const { schedule } = given;
  const [setting] = Object.keys(schedule ?? {});
  if (schedule !== undefined && schedule.name === undefined && base.schedule === undefined) {
    throw new Error(
      `${optionName(`schedule.${setting}`)} needs ${optionName('schedule.name')}: the model was not compiled with a schedule.`,
    );
  }
  const changed =
    schedule === undefined
      ? {}
      : { schedule: schedule.name === undefined ? { ...(base.schedule as object), ...schedule } : schedule };
  return { ...kept, ...given, ...changed } as unknown as OptimizerOptions;
}

/** Options of losses and metrics in Keras, with their names here. */
const OPTIONS: Readonly<Record<string, string>> = {
  from_logits: 'fromLogits',
  label_smoothing: 'labelSmoothing',
  delta: 'delta',
  alpha: 'alpha',
  gamma: 'gamma',
  apply_class_balancing: 'applyClassBalancing',
  q: 'q',
  threshold: 'threshold',
  k: 'k',
  num_thresholds: 'thresholds',
  curve: 'curve',
  summation_method: 'summation',
  average: 'average',
  beta: 'beta',
  class_aggregation: 'classAggregation',
  num_classes: 'numClasses',
  target_class_ids: 'targetClassIds',
  ignore_class: 'ignoreClass',
  sparse_y_true: 'sparseYTrue',
  sparse_y_pred: 'sparseYPred',
  precision: 'precision',
  recall: 'recall',
  sensitivity: 'sensitivity',
  specificity: 'specificity',
};
/** Values of options that are Keras' defaults, and those here. */
const USUAL: Readonly<Record<string, unknown>> = {
  fromLogits: false,
  labelSmoothing: 0,
  curve: 'ROC',
  summation: 'interpolation',
  classAggregation: 'uniform_average',
  sparseYTrue: true,
  sparseYPred: true,
};
/** Options without an effect on the value. */
const IGNORED: readonly string[] = ['name', 'dtype', 'fn'];
/** Values of other options, which are the only ones that are supported. */
const ONLY: Readonly<Record<string, readonly unknown[]>> = {
  axis: [-1],
  reduction: ['sum_over_batch_size', 'auto', 'mean'],
  multi_label: [false],
  from_logits: [false],
  num_regressors: [0],
  // The kinds for one-hot vectors take values for each class alone.
  sparse_y_pred: [false],
};

/** Loss or metric in the forms that Keras writes: a name, the name of a function, or a class with its settings. */
interface KerasChoice {
  /** Name as Keras has it. */
  readonly keras: string;
  readonly name: string;
  readonly isClass: boolean;
  readonly config: Readonly<Record<string, unknown>>;
}

/** @throws Error with a sentence if the value is no loss or metric of Keras */
function readChoice(value: unknown): KerasChoice {
  if (typeof value === 'string')
    return { keras: value, name: canonicalName(value), isClass: /^[A-Z]/.test(value), config: {} };
  const { class_name: className, config } = isRecord(value) ? value : {};
  if (className === 'function' && typeof config === 'string') return readChoice(config);
  if (typeof className !== 'string' || !isRecord(config)) throw new Error('It is no object of Keras.');
  const { fn, ...others } = config;
  // A function is within a class that has its name.
  if (/^(MeanMetric|LossFunction)Wrapper$/.test(className)) return { ...readChoice(fn), config: others };
  const keras = className.replace(/^.*>/, '');
  return { keras, name: canonicalName(keras), isClass: true, config: others };
}

const readable = (name: string): string => sanitizeForTerminal(name).slice(0, 40);

/** Options of a loss or metric. @throws Error with a sentence that names an option that is not supported */
function readOptions({ keras, config }: KerasChoice, taken: readonly string[]): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    if (IGNORED.includes(key) || value === null) continue;
    const own = ownEntry(OPTIONS, key);
    if (own !== undefined && taken.includes(own)) {
      if (value !== USUAL[own]) options[own] = value;
    } else if (ownEntry(ONLY, key)?.includes(value) !== true)
      throw new Error(`${readable(keras)} has ${readable(key)} ${readable(JSON.stringify(value))}.`);
  }
  return options;
}

/** Value of one output, of several in their order, or by their names. @throws Error if an output has none */
function byOutput<Value>(
  value: unknown,
  outputs: readonly string[],
  read: (value: unknown) => Value,
): Value | Record<string, Value> | undefined {
  if (value === null) return undefined;
  const isOne = typeof value === 'string' || (isRecord(value) && typeof value.class_name === 'string');
  if (isOne) return read(value);
  const values = Array.isArray(value) ? (value as unknown[]) : outputs.map((name) => asRecord(value)[name]);
  const [only] = values;
  const entries = outputs.map((name, i): [string, Value] => {
    const own = values[i] ?? null;
    if (own === null) throw new Error(`The output ${readable(name)} has none.`);
    return [name, read(own)];
  });
  return outputs.length === 1 ? read(only) : Object.fromEntries(entries);
}

const asRecord = (value: unknown): Readonly<Record<string, unknown>> => (isRecord(value) ? value : {});

function readLoss(value: unknown): LossChoice {
  const choice = readChoice(value);
  const { name } = choice;
  const known = LOSS_NAMES.find((loss) => loss === name);
  if (known === undefined) throw new Error(`There is no ${readable(choice.keras)}.`);
  const options = readOptions(choice, lossDefinition(known).options);
  const isPlain = Object.keys(options).length === 0;
  return isPlain ? (typeof value === 'string' ? value : known) : { ...options, name: known };
}

function readLossWeights(value: unknown): OutputSettings['lossWeights'] {
  if (value === null) return undefined;
  if (typeof value === 'number') return [value];
  const read = (weight: unknown): number => {
    if (weight === null) return 1;
    if (typeof weight === 'number') return weight;
    throw new Error(`${readable(JSON.stringify(weight))} is no number.`);
  };
  return Array.isArray(value)
    ? (value as unknown[]).map(read)
    : Object.fromEntries(Object.entries(asRecord(value)).map(([name, weight]) => [name, read(weight)]));
}

/**
 * Metrics of the outputs; undefined if the model was compiled without any.
 * @param problems receives the names of those that are not supported
 */
function readMetrics(
  { metrics, weightedMetrics }: CompileConfig,
  outputs: readonly string[],
  problems: string[],
): OutputSettings['metrics'] {
  const weighted = metricLists(weightedMetrics, outputs);
  const lists = metricLists(metrics, outputs).map((list, o) => {
    const labels: string[] = [];
    const read = (value: unknown, isWeighted: boolean): MetricChoice[] => {
      try {
        const metric = readMetric(value, outputs, outputs[o] ?? '', isWeighted);
        const { label = metric.name } = metric;
        // Keras names the second of two so.
        const unique = labels.includes(label) ? `weighted_${label}` : label;
        labels.push(unique);
        if (unique !== label) return [{ ...metric, label: unique }];
        return [typeof value === 'string' && !isWeighted ? value : metric];
      } catch (error) {
        problems.push(`${readable(describeValue(value))} (${errorMessage(error).replace(/\.$/, '')})`);
        return [];
      }
    };
    return [
      ...list.flatMap((value) => read(value, false)),
      ...(weighted[o] ?? []).flatMap((value) => read(value, true)),
    ];
  });
  if (lists.every((list) => list.length === 0)) return undefined;
  if (outputs.length === 1) return lists[0];
  return Object.fromEntries(lists.map((list, o) => [outputs[o] ?? '', list]));
}

/** Serialized metrics of each output. */
function metricLists(value: unknown, outputs: readonly string[]): unknown[][] {
  const isOne = typeof value === 'string' || typeof asRecord(value).class_name === 'string';
  const values = isOne ? [value] : isRecord(value) ? value : asArray(value);
  const asList = (entry: unknown): unknown[] =>
    (Array.isArray(entry) ? (entry as unknown[]) : [entry]).filter((one) => (one ?? null) !== null);
  if (outputs.length === 1) return [Object.values(values).flatMap(asList)];
  return outputs.map((name, o) => asList(Array.isArray(values) ? values[o] : asRecord(values)[name]));
}

const describeValue = (value: unknown): string => {
  if (typeof value === 'string') return value;
  const { class_name: className, config } = asRecord(value);
  const { fn } = asRecord(config);
  if (className === 'MeanMetricWrapper' && fn !== undefined) return describeValue(fn);
  return className === 'function' ? String(config) : String(className);
};

/** @throws Error with a sentence if the metric is not supported */
function readMetric(
  value: unknown,
  outputs: readonly string[],
  output: string,
  isWeighted: boolean,
): { readonly name: string; readonly label?: string } {
  const choice = readChoice(value);
  const { name, config } = choice;
  // Keras' class of this name compares values, and only the word stands for one of several accuracies.
  const isAccuracy = name === 'accuracy' && !choice.isClass;
  const definition = ownEntry(METRICS, name);
  if (!isAccuracy && definition === undefined) throw new Error('there is no such metric');
  // Keras' value is a vector of the classes' scores.
  if (/^f(1|beta)_score$/.test(name) && (config.average ?? null) === null)
    throw new Error('it has no average; macro is the mean over the classes');
  if (name === 'r2_score' && config.class_aggregation === null)
    throw new Error('it has no class_aggregation; uniform_average is the mean over the outputs');
  if (
    isWeighted &&
    name.endsWith('io_u') &&
    typeof config.dtype === 'string' &&
    !config.dtype.startsWith('int')
  )
    throw new Error(
      `its dtype is ${readable(config.dtype)}, and weights are rounded to integers here as with int64`,
    );
  const { thresholds, ...others } = config;
  const [threshold = null, ...more] = [thresholds].flat();
  if (more.length > 0) throw new Error('it has several thresholds');
  const settings = threshold === null ? others : { threshold, ...others };
  const options = readOptions({ ...choice, config: settings }, definition?.options ?? []);
  const own = typeof config.name === 'string' ? config.name : choice.isClass ? name : choice.keras;
  // Keras 2 writes the names of its history, which begin with that of the output.
  const prefix = `${output}_`;
  const label = outputs.length > 1 && own.startsWith(prefix) ? own.slice(prefix.length) : own;
  return {
    ...options,
    name: isAccuracy ? 'accuracy' : name,
    ...(label === name ? {} : { label: readable(label) }),
    ...(isWeighted ? { weighted: true } : {}),
  };
}

const formatNumber = (value: unknown): string =>
  typeof value === 'number' ? String(Number(value.toPrecision(6))) : String(value);

const DECAYS: Readonly<Record<string, string>> = {
  cosine: 'cosine decay',
  cosineRestarts: 'cosine decay and restarts',
  exponential: 'exponential decay',
  polynomial: 'polynomial decay',
  inverseTime: 'inverse time decay',
  piecewise: 'steps',
};

/** "adam, learning rate 0.0003 with cosine decay, weight decay 0.01": what is not the default. */
function describeOptimizer(options: OptimizerOptions): string {
  const { name, learningRate, schedule, ...others } = options;
  const defaults = DEFAULTS[name];
  const rates = schedule?.name === 'piecewise' ? schedule.rates.map(formatNumber).join(', ') : null;
  const rate = rates ?? formatNumber(learningRate ?? defaults.learningRate);
  const decay = schedule === undefined ? '' : ` with ${DECAYS[schedule.name] ?? schedule.name}`;
  const words = Object.entries(others)
    .filter(
      ([key, value]) => JSON.stringify(value) !== JSON.stringify(defaults[key] ?? null) && value !== false,
    )
    .map(([key, value]) => {
      const word = key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      return value === true
        ? word
        : `${word} ${typeof value === 'object' ? JSON.stringify(value) : formatNumber(value)}`;
    });
  return [name, `learning rate ${rate}${decay}`, ...words].join(', ');
}

/** "a mse, b huber (delta 2)" */
function describeChoices(value: unknown): string {
  if (Array.isArray(value)) return value.map(describeChoices).join(', ');
  if (!isRecord(value)) return formatNumber(value);
  const { name, label, ...options } = value;
  if (typeof name !== 'string') {
    const entries = Object.entries(value).filter(([, own]) => asArray(own).length > 0 || !Array.isArray(own));
    return entries.map(([output, own]) => `${readable(output)}: ${describeChoices(own)}`).join(', ');
  }
  const words = Object.entries(options).map(([key, own]) =>
    own === true ? key : `${key} ${formatNumber(own)}`,
  );
  const shown = typeof label === 'string' ? label : name;
  return words.length === 0 ? shown : `${shown} (${words.join(', ')})`;
}
