import {
  at,
  divide,
  type Metric,
  type MetricDefinition,
  type MetricOptions,
  type MetricShape,
} from './metric.ts';

const DEFAULT_THRESHOLDS = 200;

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
export const auc: MetricDefinition = {
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
export const rateAt = (rate: Rate, limited: Rate): MetricDefinition => ({
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
