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
  /** Weight of the recall in an F-beta score, relative to the precision. @default 1 */
  readonly beta?: number | undefined;
  /** How the scores of outputs are combined. @default uniform_average */
  readonly classAggregation?: 'uniform_average' | 'variance_weighted_average' | undefined;
  /** Number of classes of an overlap. */
  readonly numClasses?: number | undefined;
  /** Classes whose overlaps count. */
  readonly targetClassIds?: readonly number[] | undefined;
  /** Class of targets that do not count. @default none */
  readonly ignoreClass?: number | undefined;
  /** Whether targets are class numbers, not a value for each class. @default true */
  readonly sparseYTrue?: boolean | undefined;
  /** Whether outputs are class numbers, not a value for each class. @default true */
  readonly sparseYPred?: boolean | undefined;
  /** Smallest precision of the points of a curve that count, and so on for other rates. */
  readonly precision?: number | undefined;
  readonly recall?: number | undefined;
  readonly sensitivity?: number | undefined;
  readonly specificity?: number | undefined;
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
  /** Number of the last sums that can be negative. */
  readonly signedSums: number;
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
  /** Options without a default. */
  readonly required?: readonly (keyof MetricOptions)[];
  /** @returns a sentence if options do not fit each other, the output or a target of classes, or null */
  readonly findProblem?: (
    options: MetricOptions,
    shape: Omit<MetricShape, 'activation'>,
    isOneHot: boolean,
  ) => string | null;
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
  options: Partial<Pick<Metric, 'kind' | 'maxPerSample' | 'signedSums' | 'takesProbabilities' | 'value'>> & {
    /** Values of the target in a row. @default width */
    readonly targetWidth?: number;
  } = {},
): Metric {
  const { targetWidth = width, ...others } = options;
  return {
    sums: 1,
    kind: 'value',
    maxPerSample: Infinity,
    signedSums: 0,
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

/**
 * Metric of the points of a curve, one for each evenly spaced threshold. Its sums are histograms of the outputs whose target is 1,
 * and of those whose target is 0.
 * @param bucketOf bucket of an output, from the number of thresholds below it
 * @param value of the true and false positives in each bucket and all later ones
 */
function curveMetric(
  { thresholds = DEFAULT_THRESHOLDS }: MetricOptions,
  { rows, width }: MetricShape,
  bucketOf: (below: number) => number,
  value: (truePositives: readonly number[], falsePositives: readonly number[]) => number,
): Metric {
  return {
    sums: 2 * thresholds,
    kind: 'histogram',
    maxPerSample: rows * width,
    signedSums: 0,
    takesProbabilities: true,
    add(sums, index, target, targetAt, output, outputAt, weight) {
      for (let i = 0; i < rows * width; i++) {
        const probability = Math.min(1, Math.max(0, at(output, outputAt + i)));
        const bucket = bucketOf(Math.ceil(Math.fround(probability * (thresholds - 1))));
        const cell = index + (at(target, targetAt + i) === 0 ? thresholds : 0) + bucket;
        sums[cell] = at(sums, cell) + weight;
      }
    },
    value: (sums) => value(fromTheEnd(sums.slice(0, thresholds)), fromTheEnd(sums.slice(thresholds))),
  };
}

/** Keras' AUC with evenly spaced thresholds, the first of which is below 0. */
const auc: MetricDefinition = {
  options: ['thresholds', 'curve', 'summation'],
  create: ({ curve = 'ROC', summation = 'interpolation', ...options }, shape) =>
    curveMetric(
      options,
      shape,
      (below) => Math.max(0, below - 1),
      (truePositives, falsePositives) => areaUnderCurve(truePositives, falsePositives, curve, summation),
    ),
};

type Rate = 'precision' | 'recall' | 'sensitivity' | 'specificity';

/** Rate of true among all outputs of a kind, at one threshold. Counts: true and false positives, all positives and negatives. */
const RATES: Readonly<Record<Rate, (tp: number, fp: number, p: number, n: number) => number>> = {
  precision: (tp, fp) => divide(tp, tp + fp),
  recall: (tp, _, positives) => divide(tp, positives),
  sensitivity: (tp, _, positives) => divide(tp, positives),
  specificity: (_, fp, __, negatives) => divide(negatives - fp, negatives),
};

/** Largest value of a rate among the thresholds at which another rate is at least that of the option; 0 if there are none. */
const rateAt = (rate: Rate, limited: Rate): MetricDefinition => ({
  options: ['thresholds', limited],
  required: [limited],
  create: (options, shape) => {
    // Keras compares them in float32.
    const least = Math.fround(options[limited] ?? 0);
    const bestOf = (truePositives: readonly number[], falsePositives: readonly number[]): number => {
      let best = 0;
      // The first threshold is 0, above which outputs of 0, those of bucket 0, are not.
      for (let i = 1; i <= truePositives.length; i++) {
        const [tp, fp] = [truePositives[i] ?? 0, falsePositives[i] ?? 0];
        const counts = [tp, fp, at(truePositives, 0), at(falsePositives, 0)] as const;
        if (Math.fround(RATES[limited](...counts)) >= least) best = Math.max(best, RATES[rate](...counts));
      }
      return best;
    };
    return curveMetric(options, shape, (below) => below, bestOf);
  },
});

/** Keras' R2Score, of one row a sample: for each output sums of squared errors, of squared targets and of targets. */
const r2Score: MetricDefinition = {
  options: ['classAggregation'],
  findProblem: (_, { rows }) =>
    rows === 1
      ? null
      : 'takes outputs of one axis; flatten the output and the target, or use mean_squared_error',
  create: ({ classAggregation = 'uniform_average' }, { width }) => ({
    sums: 3 * width,
    kind: 'value',
    maxPerSample: Infinity,
    signedSums: width,
    takesProbabilities: true,
    add(sums, index, target, targetAt, output, outputAt, weight) {
      for (let c = 0; c < width; c++) {
        const y = at(target, targetAt + c);
        const add = (cell: number, amount: number): void => {
          sums[index + cell * width + c] = at(sums, index + cell * width + c) + weight * amount;
        };
        add(0, (y - at(output, outputAt + c)) ** 2);
        add(1, y * y);
        add(2, y);
      }
    },
    value(sums, total) {
      const variations = sums.slice(width, 2 * width).map((squares, c) => {
        const sum = at(sums, 2 * width + c);
        return squares - (sum * sum) / total;
      });
      const scores = variations.map((variation, c) => {
        const score = 1 - at(sums, c) / variation;
        return Math.abs(score) === Infinity ? 0 : score;
      });
      const add = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
      if (classAggregation === 'uniform_average') return add(scores) / width;
      return add(scores.map((score, c) => score * at(variations, c))) / add(variations);
    },
  }),
};

/** How an overlap takes classes from targets and outputs. */
interface OverlapForm {
  readonly options: MetricDefinition['options'];
  readonly required?: MetricDefinition['required'];
  /** Whether all classes count, not those of an option. */
  readonly isMean?: boolean;
  /** Whether targets and outputs have a value for each class, whatever the options. */
  readonly isOneHot?: boolean;
  /** Threshold from which on an output is class 1, if outputs are no class numbers. */
  readonly threshold?: (options: MetricOptions) => number;
}

/**
 * Intersection over union of targets and outputs of a class: for each class the number of rows with both, then of those with one or both.
 * Like Keras, it rounds classes and weights toward 0, and ignores rows of other classes.
 */
function overlap({ options, required = [], isMean, isOneHot, threshold }: OverlapForm): MetricDefinition {
  const hasValues = ({ sparseYPred = true }: MetricOptions): boolean => isOneHot ?? !sparseYPred;
  return {
    options,
    required,
    findProblem(given, { width }, isClass) {
      const { numClasses = 2, targetClassIds = [], sparseYTrue = true } = given;
      if (targetClassIds.some((id) => id >= numClasses)) return `has no class ${Math.max(...targetClassIds)}`;
      if (new Set(targetClassIds).size < targetClassIds.length) return 'has a class twice in targetClassIds';
      if (isOneHot === true || threshold !== undefined) return null;
      if (!hasValues(given)) {
        if (isClass)
          return `takes outputs that are class numbers, not ${width} values; set sparseYPred to false`;
        return sparseYTrue ? null : 'takes sparseYTrue false only with sparseYPred false';
      }
      return sparseYTrue && !isClass
        ? 'takes targets that are class numbers; set sparseYTrue to false'
        : null;
    },
    create: (given, { rows, width }) => {
      const { numClasses = 2, ignoreClass } = given;
      const ids =
        (isMean === true ? undefined : given.targetClassIds) ??
        Array.from({ length: numClasses }, (_, id) => id);
      const cells = new Map(ids.map((id, cell) => [id, cell]));
      const isRow = hasValues(given);
      const limit = threshold === undefined ? null : Math.fround(threshold(given));
      const isKnown = (id: number): boolean => id >= 0 && id < numClasses;
      return {
        sums: 2 * ids.length,
        kind: 'count',
        maxPerSample: isRow ? rows : rows * width,
        signedSums: 0,
        takesProbabilities: !isRow,
        add(sums, index, target, targetAt, output, outputAt, weight) {
          const counted = Math.trunc(weight);
          for (let i = 0; i < (isRow ? rows : rows * width); i++) {
            const [y, p] = isRow
              ? [largest(target, targetAt + i * width, width), largest(output, outputAt + i * width, width)]
              : [Math.trunc(at(target, targetAt + i)), at(output, outputAt + i)];
            const predicted = limit === null ? Math.trunc(p) : Number(p >= limit);
            if (!isKnown(y) || !isKnown(predicted) || y === ignoreClass) continue;
            const add = (first: number, id: number): void => {
              const cell = cells.get(id);
              if (cell !== undefined) sums[first + cell] = at(sums, first + cell) + counted;
            };
            if (y === predicted) add(index, y);
            else add(index + ids.length, predicted);
            add(index + ids.length, y);
          }
        },
        value(sums) {
          // Classes that neither targets nor outputs have do not count.
          const present = ids.map((_, i) => i).filter((i) => at(sums, ids.length + i) > 0);
          const ratios = present.map((i) => at(sums, i) / (at(sums, ids.length + i) + EPSILON));
          return ratios.reduce((a, b) => a + b, 0) / (present.length + EPSILON);
        },
      };
    },
  };
}

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
        signedSums: Number(isSigned),
        takesProbabilities: !isFolded,
        targetWidth: isSparse ? 1 : shape.width,
      });
    },
  };
};

/** Mean and variance of a row's values. */
function momentsOf(
  values: ArrayLike<number>,
  from: number,
  width: number,
): { mean: number; variance: number } {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += at(values, from + c);
  const mean = sum / width;
  let squares = 0;
  for (let c = 0; c < width; c++) squares += (at(values, from + c) - mean) ** 2;
  return { mean, variance: squares / width };
}

/** Pearson's correlation of a row; NaN if all targets or all outputs are equal. */
const pearson: RowLoss = (target, i, output, from, width) => {
  const y = momentsOf(target, i, width);
  const p = momentsOf(output, from, width);
  let sum = 0;
  for (let c = 0; c < width; c++) sum += (at(target, i + c) - y.mean) * (at(output, from + c) - p.mean);
  return sum / width / Math.sqrt(y.variance) / Math.sqrt(p.variance);
};

/** Keras' concordance correlation of a row, in which targets are reduced by the mean of the outputs, not by their own. */
const concordance: RowLoss = (target, i, output, from, width) => {
  const y = momentsOf(target, i, width);
  const p = momentsOf(output, from, width);
  let sum = 0;
  for (let c = 0; c < width; c++) sum += (at(target, i + c) - p.mean) * (at(output, from + c) - p.mean);
  return (2 * sum) / width / (y.variance + p.variance + (y.mean - p.mean) ** 2 + EPSILON);
};

/** Metric of the correlation of a sample's targets and outputs. */
const correlation = (row: RowLoss): MetricDefinition => ({
  options: [],
  findProblem: (_, { width }) =>
    width > 1
      ? null
      : 'compares several outputs of a sample, and this sample has one; use cosine_similarity or r2_score',
  create: (_, shape) => meanMetric(row, shape, { signedSums: 1 }),
});

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
