import type { Job } from '../../shared/model/job.ts';
import { CUSTOM } from '../../shared/model/custom-code.ts';
import { kerasName } from '../../shared/model/layer-calls.ts';
import { canonicalName } from '../../shared/model/losses.ts';
import { metricDefinition } from '../../shared/model/metrics.ts';
import type { MetricSpec, OutputSpec } from '../../shared/model/outputs.ts';
import { kerasObject, optimizerToKeras, type KerasObject } from '../optimizer/keras-export.ts';

/** Options of losses and metrics, with their names in Keras. */
const OPTIONS: Readonly<Record<string, string>> = {
  fromLogits: 'from_logits',
  labelSmoothing: 'label_smoothing',
  applyClassBalancing: 'apply_class_balancing',
  thresholds: 'num_thresholds',
  summation: 'summation_method',
  classAggregation: 'class_aggregation',
  numClasses: 'num_classes',
  targetClassIds: 'target_class_ids',
  ignoreClass: 'ignore_class',
  sparseYTrue: 'sparse_y_true',
  sparseYPred: 'sparse_y_pred',
};

/** Classes of Keras whose names do not follow from those of their losses or metrics. */
const CLASSES: Readonly<Record<string, string>> = {
  auc: 'AUC',
  binary_io_u: 'BinaryIoU',
  fbeta_score: 'FBetaScore',
  io_u: 'IoU',
  kl_divergence: 'KLDivergence',
  log_cosh: 'LogCoshError',
  mean_io_u: 'MeanIoU',
  one_hot_io_u: 'OneHotIoU',
  one_hot_mean_io_u: 'OneHotMeanIoU',
};

/** Metrics that are only losses in Keras. */
const NO_METRICS: readonly string[] = [
  'huber',
  'binary_focal_crossentropy',
  'categorical_focal_crossentropy',
  'categorical_generalized_cross_entropy',
];
/** Metrics whose class in Keras takes thresholds. */
const HAS_THRESHOLDS = /^(precision|recall|(true|false)_(positives|negatives))$/;

/**
 * Settings of model.compile() in Keras 3 that are those of a job, so that fit() goes on as the run would. Custom metrics are left
 * out.
 * @returns null for a custom loss, which Keras does not have
 * @param names of the layout's tensors
 * @example
 * compileConfigOf(job, weightNames).loss; // 'categorical_crossentropy'
 */
export function compileConfigOf(
  job: Job,
  names: readonly string[],
): Readonly<Record<string, unknown>> | null {
  const { outputs } = job;
  if (outputs.some(({ loss }) => loss.name === CUSTOM)) return null;
  const hasWeights = outputs.some(({ weight }) => weight !== undefined);
  const metrics = (isWeighted: boolean): unknown =>
    byOutput(outputs, (output) =>
      output.metrics
        .filter(
          ({ name, weighted = false }) =>
            weighted === isWeighted && !NO_METRICS.includes(name) && name !== CUSTOM,
        )
        .map(metricToKeras),
    );
  return {
    optimizer: optimizerToKeras(job.optimizer, names),
    loss: byOutput(outputs, lossToKeras),
    loss_weights: hasWeights ? byOutput(outputs, ({ weight = 1 }) => weight, true) : null,
    metrics: metrics(false),
    weighted_metrics: outputs.some((output) => output.metrics.some(({ weighted }) => weighted))
      ? metrics(true)
      : null,
    run_eagerly: false,
    steps_per_execution: 1,
    jit_compile: false,
  };
}

/** Value of the only output, or values by the outputs' names. */
function byOutput(
  outputs: readonly OutputSpec[],
  read: (output: OutputSpec) => unknown,
  asList = false,
): unknown {
  const [first] = outputs;
  if (outputs.length === 1 && first !== undefined) return asList ? [read(first)] : read(first);
  return Object.fromEntries(outputs.map((output) => [kerasName(output.name), read(output)]));
}

/** A loss of class numbers is that of one-hot vectors if a metric of its output takes those alone. */
function lossToKeras({ loss, metrics }: OutputSpec): string | KerasObject {
  const { name, label = name, ...options } = loss;
  const takesOneHot = metrics.some(
    (metric) =>
      metricDefinition(metric.name)?.isSparse !== true &&
      metric.name !== 'categorical_accuracy' &&
      !takesClasses(metric),
  );
  const isSparse = name === 'sparse_categorical_crossentropy' && label === name;
  const written = isSparse && takesOneHot ? 'categorical_crossentropy' : label;
  const config = optionsToKeras(options);
  // Keras takes the function of this loss by no name.
  const isNamed = written !== 'categorical_generalized_cross_entropy';
  if (isNamed && Object.keys(config).length === 0) return written;
  return kerasObject('keras.losses', className(written), { name: written, ...config });
}

/** Whether a metric takes class numbers and values of each class in Keras. */
const takesClasses = ({ name, sparseYTrue = true, sparseYPred = true }: MetricSpec): boolean =>
  /^(mean_)?io_u$/.test(name) && sparseYTrue && !sparseYPred;

function metricToKeras({
  name,
  label = name,
  weighted: _weighted,
  ...options
}: MetricSpec): string | KerasObject {
  // Keras' own default is a vector.
  const config = optionsToKeras(/^f(1|beta)_score$/.test(name) ? { average: 'macro', ...options } : options);
  const isPlain = Object.keys(config).length === 0;
  const isAccuracy = /^(categorical|sparse_categorical|binary)_accuracy$/.test(name);
  if (isPlain && name !== 'log_cosh' && (label === name || canonicalName(label) === name)) return label;
  if (isPlain && isAccuracy && (label === 'accuracy' || label === 'acc')) return label;
  if (HAS_THRESHOLDS.test(name) && 'threshold' in config) {
    const { threshold, ...others } = config;
    return kerasObject('keras.metrics', className(name), { name: label, ...others, thresholds: threshold });
  }
  return kerasObject('keras.metrics', className(name), { name: label, ...config });
}

const optionsToKeras = (options: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(options)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]: [string, unknown]) => [OPTIONS[key] ?? key, value]),
  );

/** CategoricalCrossentropy for categorical_crossentropy. */
const className = (name: string): string =>
  CLASSES[name] ??
  name
    .split('_')
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('');
