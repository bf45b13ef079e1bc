import type { Activation, LossDefinition, LossOptions, RowLoss } from './losses.ts';

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

/** Quotient as Keras has it: 0 where the divisor is 0. */
export const divide = (dividend: number, divisor: number): number => (divisor === 0 ? 0 : dividend / divisor);
export const at = (values: ArrayLike<number>, index: number): number => values[index] as number;

/** Position of the largest value, the first of equals. */
export function largest(values: ArrayLike<number>, from: number, width: number): number {
  let best = 0;
  for (let c = 1; c < width; c++) if (at(values, from + c) > at(values, from + best)) best = c;
  return best;
}

/** Metric that is the mean over samples of the mean of a function over the sample's rows. */
export function meanMetric(
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
