import {
  cosine,
  EPSILON,
  foldedActivation,
  LOSSES,
  lossDefinition,
  LOSS_NAMES,
  type Activation,
  type LossDefinition,
  type LossName,
  type LossOptions,
  type RowLoss,
} from './losses.ts';

/** Options of all metrics; each metric takes some of them. */
export interface MetricOptions extends LossOptions {
  /** Probability above which an output counts as 1; rounded to float32, like the outputs. @default 0.5 */
  readonly threshold?: number | undefined;
  /** Number of largest outputs among which the class has to be. @default 5 */
  readonly k?: number | undefined;
  /** Number of thresholds of an area under a curve. @default 200 */
  readonly thresholds?: number | undefined;
  /** @default ROC */
  readonly curve?: 'ROC' | 'PR' | undefined;
  /** @default interpolation */
  readonly summation?: 'interpolation' | 'minoring' | 'majoring' | undefined;
  /** How the scores of classes are combined. @default macro */
  readonly average?: 'micro' | 'macro' | 'weighted' | undefined;
}

/** Output whose rows a metric takes. */
export interface MetricShape {
  /** Rows of one sample: 1, or the positions of a sequence. */
  readonly rows: number;
  /** Length of the last axis. */
  readonly width: number;
  /** Last activation of the model, if outputs are without it because the loss computes it. */
  readonly activation: Activation | null;
}

/** Kind of a metric's sums, for checks of answers. */
export type SumKind = 'count' | 'histogram' | 'value';

/** Metric as sums over samples, which add up over shards, and a function of them. */
export interface Metric {
  /** Number of its sums. */
  readonly sums: number;
  readonly kind: SumKind;
  /** Largest contribution of a sample to a sum; Infinity if there is no limit. */
  readonly maxPerSample: number;
  /** Whether a sum can be negative. */
  readonly isSigned: boolean;
  /** Whether it takes outputs of the model's last activation, not logits. */
  readonly takesProbabilities: boolean;
  /**
   * Adds a sample.
   * @param sums of all metrics; its own begin at `index`
   * @param target and output: rows of the sample from `targetAt` and `outputAt` on
   */
  add(
    sums: Float64Array,
    index: number,
    target: ArrayLike<number>,
    targetAt: number,
    output: ArrayLike<number>,
    outputAt: number,
    weight: number,
  ): void;
  /** Value of the sums over samples with this total weight; 0 where Keras divides by 0. @default the mean of the only sum */
  value?(sums: readonly number[], total: number): number;
}

/** Definition of a metric with Keras' name and semantics. */
export interface MetricDefinition {
  readonly options: readonly (keyof MetricOptions)[];
  readonly isSparse?: boolean;
  readonly targets?: LossDefinition['targets'];
  readonly create: (options: MetricOptions, shape: MetricShape) => Metric;
}

const DEFAULT_THRESHOLD = 0.5;
const DEFAULT_K = 5;
const DEFAULT_THRESHOLDS = 200;

const divide = (dividend: number, divisor: number): number => (divisor === 0 ? 0 : dividend / divisor);
const at = (values: ArrayLike<number>, index: number): number => values[index] as number;

/** Position of the largest value, the first of equals. */
function largest(values: ArrayLike<number>, from: number, width: number): number {
  let best = 0;
  for (let c = 1; c < width; c++) if (at(values, from + c) > at(values, from + best)) best = c;
  return best;
}

/** Metric that is the mean over samples of the mean of a function over the sample's rows. */
function meanMetric(
  row: RowLoss,
  { rows, width }: MetricShape,
  options: Partial<Pick<Metric, 'kind' | 'maxPerSample' | 'isSigned' | 'takesProbabilities' | 'value'>> & {
    /** Values of the target in a row. @default width */
    readonly targetWidth?: number;
  } = {},
): Metric {
  const { targetWidth = width, ...others } = options;
  return {
    sums: 1,
    kind: 'value',
    maxPerSample: Infinity,
    isSigned: false,
    takesProbabilities: true,
    ...others,
    add(sums, index, target, targetAt, output, outputAt, weight) {
      let sum = 0;
      for (let r = 0; r < rows; r++) {
        sum += row(target, targetAt + r * targetWidth, output, outputAt + r * width, width);
      }
      sums[index] = at(sums, index) + (weight * sum) / rows;
    },
  };
}

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
      isSigned: false,
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

/** Keras' F1Score, of one row a sample: sums of true positives, false positives and false negatives for each class. */
const f1Score: MetricDefinition = {
  options: ['threshold', 'average'],
  targets: [0, 1],
  create: ({ threshold, average = 'macro' }, { rows, width }) => ({
    sums: 3 * width,
    kind: 'count',
    maxPerSample: rows,
    isSigned: false,
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
        return (2 * precision * recall) / (precision + recall + EPSILON);
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

/** Keras' AUC with evenly spaced thresholds: histograms of the outputs whose target is 1, and of those whose target is 0. */
const auc: MetricDefinition = {
  options: ['thresholds', 'curve', 'summation'],
  create: ({ thresholds = DEFAULT_THRESHOLDS, curve, summation }, { rows, width }) => ({
    sums: 2 * thresholds,
    kind: 'histogram',
    maxPerSample: rows * width,
    isSigned: false,
    takesProbabilities: true,
    add(sums, index, target, targetAt, output, outputAt, weight) {
      for (let i = 0; i < rows * width; i++) {
        const probability = Math.min(1, Math.max(0, at(output, outputAt + i)));
        const bucket = Math.max(0, Math.ceil(Math.fround(probability * (thresholds - 1))) - 1);
        const cell = index + (at(target, targetAt + i) === 0 ? thresholds : 0) + bucket;
        sums[cell] = at(sums, cell) + weight;
      }
    },
    value: (sums) =>
      areaUnderCurve(
        fromTheEnd(sums.slice(0, thresholds)),
        fromTheEnd(sums.slice(thresholds)),
        curve ?? 'ROC',
        summation ?? 'interpolation',
      ),
  }),
};

/** Sums of each value and all later ones. */
function fromTheEnd(values: readonly number[]): number[] {
  const sums = [...values];
  for (let i = sums.length - 2; i >= 0; i--) sums[i] = at(sums, i) + at(sums, i + 1);
  return sums;
}

/** Area by the trapezoids, or by the smaller or larger side, as keras/src/metrics/confusion_metrics.py computes it. */
function areaUnderCurve(
  truePositives: readonly number[],
  falsePositives: readonly number[],
  curve: 'ROC' | 'PR',
  summation: 'interpolation' | 'minoring' | 'majoring',
): number {
  const positives = at(truePositives, 0);
  const negatives = at(falsePositives, 0);
  if (curve === 'PR' && summation === 'interpolation') {
    return interpolatedPrecision(truePositives, falsePositives, positives);
  }
  const recalls = truePositives.map((tp) => divide(tp, positives));
  const falseRates = falsePositives.map((fp) => divide(fp, negatives));
  const precisions = truePositives.map((tp, i) => divide(tp, tp + at(falsePositives, i)));
  const [x, y] = curve === 'ROC' ? [falseRates, recalls] : [recalls, precisions];
  let area = 0;
  for (let i = 0; i + 1 < x.length; i++) {
    const [a, b] = [at(y, i), at(y, i + 1)];
    const height =
      summation === 'interpolation'
        ? (a + b) / 2
        : summation === 'minoring'
          ? Math.min(a, b)
          : Math.max(a, b);
    area += (at(x, i) - at(x, i + 1)) * height;
  }
  return area;
}

/** Area under the curve of precision and recall, interpolated as Davis and Goadrich (ICML 2006) do. */
function interpolatedPrecision(
  truePositives: readonly number[],
  falsePositives: readonly number[],
  positives: number,
): number {
  let area = 0;
  for (let i = 0; i + 1 < truePositives.length; i++) {
    const tp = at(truePositives, i + 1);
    const predicted = at(truePositives, i) + at(falsePositives, i);
    const nextPredicted = tp + at(falsePositives, i + 1);
    const slope = divide(at(truePositives, i) - tp, Math.max(predicted - nextPredicted, 0));
    const intercept = tp - slope * nextPredicted;
    const ratio = predicted > 0 && nextPredicted > 0 ? predicted / nextPredicted : 1;
    const increment = slope * (at(truePositives, i) - tp + intercept * Math.log(ratio));
    area += divide(increment, positives);
  }
  return area;
}

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
        isSigned,
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
  cosine_similarity: { options: [], create: (_, shape) => meanMetric(cosine, shape, { isSigned: true }) },
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
  f1_score: f1Score,
  auc,
};

export const METRIC_NAMES: readonly string[] = Object.keys(METRICS);
