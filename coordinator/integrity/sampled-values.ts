import type { Layout } from '../../shared/model/layout.ts';
import type { Range } from '../../shared/util/range.ts';
import type { GradientBucket } from './answer.ts';

/** Number of values of a tensor that are compared in a step: enough for its direction, and cheap. */
const MAX_VALUES_PER_TENSOR = 1_024;

/**
 * Selects positions of the flat vector to compare in one step: a random block of each tensor, so that workers cannot predict
 * the positions.
 * @param random random number in [0, 1)
 */
export function samplePositions({ slices }: Layout, random: () => number): Range[] {
  return slices.map(({ offset, size }) => {
    const length = Math.min(size, MAX_VALUES_PER_TENSOR);
    const from = offset + Math.floor(random() * (size - length + 1));
    return { from, to: from + length };
  });
}

/** Concatenated values at these positions; zeros at positions outside all buckets. */
export function valuesAt(
  positions: readonly Range[],
  buckets: readonly Omit<GradientBucket, 'quantizationLoss'>[],
): Float32Array {
  const values = new Float32Array(positions.reduce((sum, { from, to }) => sum + to - from, 0));
  let offset = 0;
  for (const { from, to } of positions) {
    for (const bucket of buckets) {
      const start = Math.max(from, bucket.offset);
      const end = Math.min(to, bucket.offset + bucket.values.length);
      if (start < end)
        values.set(bucket.values.subarray(start - bucket.offset, end - bucket.offset), offset + start - from);
    }
    offset += to - from;
  }
  return values;
}

export function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** Maximum rounding error of a float32 sum, relative to the norms of the summands. */
const ROUNDING_TOLERANCE = 1e-4;

/** Whether the total is the sum of these summands, except for rounding. */
export function sumMatches(total: Float32Array, summands: readonly Float32Array[]): boolean {
  let squaredDifferences = 0;
  let squaredSummands = 0;
  for (let i = 0; i < total.length; i++) {
    let sum = 0;
    for (const summand of summands) {
      const value = summand[i] as number;
      sum += value;
      squaredSummands += value * value;
    }
    squaredDifferences += (sum - (total[i] as number)) ** 2;
  }
  return squaredDifferences <= ROUNDING_TOLERANCE ** 2 * squaredSummands * summands.length + Number.MIN_VALUE;
}
