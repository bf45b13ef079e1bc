import { EPSILON, type RowLoss } from './losses.ts';
import { at, meanMetric, type MetricDefinition } from './metric.ts';

/** Keras' R2Score, of one row a sample: for each output sums of squared errors, of squared targets and of targets. */
export const r2Score: MetricDefinition = {
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
export const pearson: RowLoss = (target, i, output, from, width) => {
  const y = momentsOf(target, i, width);
  const p = momentsOf(output, from, width);
  let sum = 0;
  for (let c = 0; c < width; c++) sum += (at(target, i + c) - y.mean) * (at(output, from + c) - p.mean);
  return sum / width / Math.sqrt(y.variance) / Math.sqrt(p.variance);
};

/** Keras' concordance correlation of a row, in which targets are reduced by the mean of the outputs, not by their own. */
export const concordance: RowLoss = (target, i, output, from, width) => {
  const y = momentsOf(target, i, width);
  const p = momentsOf(output, from, width);
  let sum = 0;
  for (let c = 0; c < width; c++) sum += (at(target, i + c) - p.mean) * (at(output, from + c) - p.mean);
  return (2 * sum) / width / (y.variance + p.variance + (y.mean - p.mean) ** 2 + EPSILON);
};

/** Metric of the correlation of a sample's targets and outputs. */
export const correlation = (row: RowLoss): MetricDefinition => ({
  options: [],
  findProblem: (_, { width }) =>
    width > 1
      ? null
      : 'compares several outputs of a sample, and this sample has one; use cosine_similarity or r2_score',
  create: (_, shape) => meanMetric(row, shape, { signedSums: 1 }),
});
