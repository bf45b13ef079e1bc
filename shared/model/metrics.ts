import { CUSTOM } from './custom-code.ts';
import { auc, rateAt } from './curve-metrics.ts';
import {
  foldedActivation,
  cosine,
  EPSILON,
  LOSSES,
  lossDefinition,
  LOSS_NAMES,
  type LossName,
  type RowLoss,
} from './losses.ts';
import {
  at,
  divide,
  largest,
  meanMetric,
  type MetricDefinition,
  type MetricOptions,
  type MetricShape,
} from './metric.ts';
import { overlap } from './overlap-metrics.ts';
import { concordance, correlation, pearson, r2Score } from './regression-metrics.ts';

const DEFAULT_THRESHOLD = 0.5;
const DEFAULT_K = 5;

/** Fraction of rows for which a function is true. Logits do as well as probabilities for it. */
const accuracy = (isRight: (...row: Parameters<RowLoss>) => boolean, isSparse: boolean) =>
  ({
    options: [],
    isSparse,
    create: (_: MetricOptions, shape: MetricShape) =>
      meanMetric((...row) => Number(isRight(...row)), shape, {
        kind: 'count',
        maxPerSample: 1,
        takesProbabilities: false,
        targetWidth: isSparse ? 1 : shape.width,
      }),
  }) satisfies MetricDefinition;

/** Whether fewer than k outputs are larger than that of a class. */
function isInTop(k: number, output: ArrayLike<number>, from: number, width: number, label: number): boolean {
  let larger = 0;
  for (let c = 0; c < width; c++) if (at(output, from + c) > at(output, from + label)) larger++;
  return larger < k;
}

const topK = (isSparse: boolean): MetricDefinition => ({
  options: ['k'],
  isSparse,
  create: ({ k = DEFAULT_K }, shape) =>
    accuracy((target, i, output, from, width) => {
      const label = isSparse ? at(target, i) : largest(target, i, width);
      return isInTop(k, output, from, width, label);
    }, isSparse).create({}, shape),
});

/** Counts of outputs by truth and prediction. @param cells of the sums: truth and prediction of each */
function confusion(
  cells: readonly (readonly [boolean, boolean])[],
  value: (sums: readonly number[]) => number,
): MetricDefinition {
  return {
    options: ['threshold'],
    create: ({ threshold = DEFAULT_THRESHOLD }, { rows, width }) => ({
      sums: cells.length,
      kind: 'count',
      maxPerSample: rows * width,
      signedSums: 0,
      takesProbabilities: true,
      value,
      add(sums, index, target, targetAt, output, outputAt, weight) {
        for (let i = 0; i < rows * width; i++) {
          const truth = at(target, targetAt + i) !== 0;
          const predicted = at(output, outputAt + i) > Math.fround(threshold);
          for (const [cell, [isTrue, isPositive]] of cells.entries()) {
            if (truth === isTrue && predicted === isPositive)
              sums[index + cell] = at(sums, index + cell) + weight;
          }
        }
      },
    }),
  };
}

const TRUE_POSITIVE = [true, true] as const;
const FALSE_POSITIVE = [false, true] as const;
const TRUE_NEGATIVE = [false, false] as const;
const FALSE_NEGATIVE = [true, false] as const;
const first = ([sum = 0]: readonly number[]): number => sum;
/** Fraction of the first sum in both. */
const share = ([part = 0, rest = 0]: readonly number[]): number => divide(part, part + rest);

/** Keras' FBetaScore, of one row a sample: sums of true positives, false positives and false negatives for each class. */
const fBetaScore: MetricDefinition = {
  options: ['threshold', 'average', 'beta'],
  targets: [0, 1],
  create: ({ threshold, average = 'macro', beta = 1 }, { rows, width }) => ({
    sums: 3 * width,
    kind: 'count',
    maxPerSample: rows,
    signedSums: 0,
    takesProbabilities: true,
    add(sums, index, target, targetAt, output, outputAt, weight) {
      for (let r = 0; r < rows; r++) {
        const from = outputAt + r * width;
        const max = threshold === undefined ? at(output, from + largest(output, from, width)) : 0;
        for (let c = 0; c < width; c++) {
          const value = at(output, from + c);
          const isPositive =
            threshold === undefined ? value >= max && Math.abs(value) > 1e-9 : value > Math.fround(threshold);
          const truth = at(target, targetAt + r * width + c);
          const add = (cell: number, amount: number): void => {
            sums[index + cell * width + c] = at(sums, index + cell * width + c) + weight * amount;
          };
          if (isPositive) {
            add(0, truth);
            add(1, 1 - truth);
          } else add(2, truth);
        }
      }
    },
    value(sums) {
      const cell = (number: number): readonly number[] => sums.slice(number * width, (number + 1) * width);
      const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
      const [truePositives, falsePositives, falseNegatives] = [cell(0), cell(1), cell(2)];
      const score = (tp: number, fp: number, fn: number): number => {
        const precision = tp / (tp + fp + EPSILON);
        const recall = tp / (tp + fn + EPSILON);
        return ((1 + beta ** 2) * precision * recall) / (beta ** 2 * precision + recall + EPSILON);
      };
      if (average === 'micro')
        return score(total(truePositives), total(falsePositives), total(falseNegatives));
      const scores = truePositives.map((tp, c) => score(tp, at(falsePositives, c), at(falseNegatives, c)));
      if (average === 'macro') return total(scores) / width;
      const support = truePositives.map((tp, c) => tp + at(falseNegatives, c));
      const all = total(support) + EPSILON;
      return total(scores.map((value, c) => (value * at(support, c)) / all));
    },
  }),
};

const lossMetric = (name: LossName): MetricDefinition => {
  const { options, isSparse = false, isSigned = false, targets, create } = lossDefinition(name);
  return {
    options,
    isSparse,
    ...(targets === undefined ? {} : { targets }),
    create: (values, shape) => {
      // Keras takes the logits of the last activation for a metric too, whatever the loss.
      const isFolded = foldedActivation({ ...values, name }, shape.activation) !== null;
      return meanMetric(create(values, isFolded || values.fromLogits === true), shape, {
        signedSums: Number(isSigned),
        takesProbabilities: !isFolded,
        targetWidth: isSparse ? 1 : shape.width,
      });
    },
  };
};

const squaredError = LOSSES.mean_squared_error.create({}, false);

/** All metrics by Keras' names; every loss but the cosine similarity, which Keras' metric has without the minus, is one. */
export const METRICS: Readonly<Record<string, MetricDefinition>> = {
  ...Object.fromEntries(LOSS_NAMES.map((name) => [name, lossMetric(name)])),
  cosine_similarity: { options: [], create: (_, shape) => meanMetric(cosine, shape, { signedSums: 1 }) },
  root_mean_squared_error: {
    options: [],
    create: (_, shape) =>
      meanMetric(squaredError, shape, { value: ([sum = 0], total) => Math.sqrt(divide(sum, total)) }),
  },
  categorical_accuracy: accuracy(
    (target, i, output, from, width) => largest(target, i, width) === largest(output, from, width),
    false,
  ),
  sparse_categorical_accuracy: accuracy(
    (target, i, output, from, width) => at(target, i) === largest(output, from, width),
    true,
  ),
  top_k_categorical_accuracy: topK(false),
  sparse_top_k_categorical_accuracy: topK(true),
  binary_accuracy: {
    options: ['threshold'],
    create: ({ threshold = DEFAULT_THRESHOLD }, shape) =>
      meanMetric(
        (target, i, output, from, width) => {
          let right = 0;
          for (let c = 0; c < width; c++) {
            if (at(target, i + c) === Number(at(output, from + c) > Math.fround(threshold))) right++;
          }
          return right / width;
        },
        shape,
        { kind: 'count', maxPerSample: 1 },
      ),
  },
  precision: confusion([TRUE_POSITIVE, FALSE_POSITIVE], share),
  recall: confusion([TRUE_POSITIVE, FALSE_NEGATIVE], share),
  true_positives: confusion([TRUE_POSITIVE], first),
  false_positives: confusion([FALSE_POSITIVE], first),
  true_negatives: confusion([TRUE_NEGATIVE], first),
  false_negatives: confusion([FALSE_NEGATIVE], first),
  f1_score: { ...fBetaScore, options: ['threshold', 'average'] },
  fbeta_score: fBetaScore,
  auc,
  precision_at_recall: rateAt('precision', 'recall'),
  recall_at_precision: rateAt('recall', 'precision'),
  sensitivity_at_specificity: rateAt('sensitivity', 'specificity'),
  specificity_at_sensitivity: rateAt('specificity', 'sensitivity'),
  r2_score: r2Score,
  pearson_correlation: correlation(pearson),
  concordance_correlation: correlation(concordance),
  binary_io_u: overlap({
    options: ['targetClassIds', 'threshold'],
    threshold: ({ threshold = DEFAULT_THRESHOLD }) => threshold,
  }),
  io_u: overlap({
    options: ['numClasses', 'targetClassIds', 'ignoreClass', 'sparseYTrue', 'sparseYPred'],
    required: ['numClasses', 'targetClassIds'],
  }),
  mean_io_u: overlap({
    options: ['numClasses', 'ignoreClass', 'sparseYTrue', 'sparseYPred'],
    required: ['numClasses'],
    isMean: true,
  }),
  one_hot_io_u: overlap({
    options: ['numClasses', 'targetClassIds', 'ignoreClass'],
    required: ['numClasses', 'targetClassIds'],
    isOneHot: true,
  }),
  one_hot_mean_io_u: overlap({
    options: ['numClasses', 'ignoreClass'],
    required: ['numClasses'],
    isMean: true,
    isOneHot: true,
  }),
};

export const METRIC_NAMES: readonly string[] = Object.keys(METRICS);

/** Metric of a job's custom code: the sum of values that the engine computes, as for a custom loss. */
const CUSTOM_METRIC: MetricDefinition = {
  options: ['function'],
  required: ['function'],
  create: (_, shape) => meanMetric(() => NaN, shape, { signedSums: 1 }),
};

/** Definition of a job's metric; undefined if there is none of this name. */
export const metricDefinition = (name: string): MetricDefinition | undefined =>
  name === CUSTOM ? CUSTOM_METRIC : Object.hasOwn(METRICS, name) ? METRICS[name] : undefined;
