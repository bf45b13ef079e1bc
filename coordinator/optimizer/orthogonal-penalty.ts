import type { TensorRule } from '../../shared/model/optimizer-settings.ts';

type OrthogonalSettings = NonNullable<TensorRule['orthogonal']>;

/** Keras' backend.epsilon(). */
const EPSILON = 1e-7;

/** Vectors of a matrix that are compared: its rows or its columns, of length 1, one after the other. */
interface UnitVectors {
  readonly count: number;
  readonly length: number;
  readonly values: Float64Array;
  /** 1 / length of each vector in the matrix. */
  readonly scales: Float64Array;
}

function unitVectors(
  weights: Float32Array,
  shape: readonly number[],
  mode: OrthogonalSettings['mode'],
): UnitVectors {
  const [rows = 0, columns = 0] = shape;
  const [count, length] = mode === 'rows' ? [rows, columns] : [columns, rows];
  const values = new Float64Array(count * length);
  const scales = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let squares = 0;
    for (let j = 0; j < length; j++) {
      const value = weights[mode === 'rows' ? i * columns + j : j * columns + i] as number;
      values[i * length + j] = value;
      squares += value * value;
    }
    const scale = Math.min(1 / Math.sqrt(squares), 1 / EPSILON);
    scales[i] = scale;
    for (let j = 0; j < length; j++) values[i * length + j] = (values[i * length + j] as number) * scale;
  }
  return { count, length, values, scales };
}

function product({ values, length }: UnitVectors, i: number, k: number): number {
  let sum = 0;
  for (let j = 0, a = i * length, b = k * length; j < length; j++, a++, b++)
    sum += (values[a] as number) * (values[b] as number);
  return sum;
}

const pairsOf = ({ count }: UnitVectors): number => (count * (count - 1)) / 2;

/**
 * Penalty of vectors that are not orthogonal (keras 3 regularizers.OrthogonalRegularizer): the mean magnitude of the products of
 * all pairs of a matrix' rows or columns, of length 1, times the factor. In float64.
 * @param shape [rows, columns]
 * @example orthogonalPenalty(Float32Array.of(1, 0, 1, 0), [2, 2], { factor: 0.5, mode: 'rows' }) // 0.5
 */
export function orthogonalPenalty(
  weights: Float32Array,
  shape: readonly number[],
  { factor, mode }: OrthogonalSettings,
): number {
  const vectors = unitVectors(weights, shape, mode);
  let sum = 0;
  for (let i = 0; i < vectors.count; i++) {
    for (let k = 0; k < i; k++) sum += Math.abs(product(vectors, i, k));
  }
  return (factor * sum) / pairsOf(vectors);
}

/** Adds the gradient of orthogonalPenalty() to that of the matrix. */
export function addOrthogonalGradient(
  weights: Float32Array,
  gradient: Float32Array,
  shape: readonly number[],
  { factor, mode }: OrthogonalSettings,
): void {
  const vectors = unitVectors(weights, shape, mode);
  const { count, length, values, scales } = vectors;
  // Gradient with respect to the vectors of length 1.
  const slopes = new Float64Array(count * length);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < i; k++) {
      const sign = Math.sign(product(vectors, i, k));
      for (let j = 0, a = i * length, b = k * length; j < length; j++, a++, b++) {
        slopes[a] = (slopes[a] as number) + sign * (values[b] as number);
        slopes[b] = (slopes[b] as number) + sign * (values[a] as number);
      }
    }
  }
  const columns = shape[1] ?? 0;
  const share = factor / pairsOf(vectors);
  for (let i = 0; i < count; i++) {
    const scale = scales[i] as number;
    let along = 0;
    // A vector of no length is multiplied by a constant.
    if (scale < 1 / EPSILON) {
      for (let j = i * length; j < (i + 1) * length; j++)
        along += (slopes[j] as number) * (values[j] as number);
    }
    for (let j = 0; j < length; j++) {
      const at = mode === 'rows' ? i * columns + j : j * columns + i;
      const slope = (slopes[i * length + j] as number) - along * (values[i * length + j] as number);
      gradient[at] = (gradient[at] as number) + share * scale * slope;
    }
  }
}
