import type { Layout } from '../../shared/model/layout.ts';
import type { Range } from '../../shared/util/range.ts';
import type { GradientBucket } from './answer.ts';

/** Values of a tensor that are looked at in a step: enough to see its direction, few enough to cost nothing. */
const MAX_VALUES_PER_TENSOR = 1_024;

/**
 * Positions of the flat vector to look at in one step: a block of each tensor, elsewhere in every step, so that no worker
 * knows which values are not looked at.
 * @param random in [0, 1)
 */
export function samplePositions({ slices }: Layout, random: () => number): Range[] {
  return slices.map(({ offset, size }) => {
    const length = Math.min(size, MAX_VALUES_PER_TENSOR);
    const from = offset + Math.floor(random() * (size - length + 1));
    return { from, to: from + length };
  });
}

/** Values at these positions, one after the other; zeros where no part has them. */
export function valuesAt(
  positions: readonly Range[],
  parts: readonly Omit<GradientBucket, 'quantizationLoss'>[],
): Float32Array {
  const values = new Float32Array(positions.reduce((sum, { from, to }) => sum + to - from, 0));
  let offset = 0;
  for (const { from, to } of positions) {
    for (const part of parts) {
      const start = Math.max(from, part.offset);
      const end = Math.min(to, part.offset + part.values.length);
      if (start < end)
        values.set(part.values.subarray(start - part.offset, end - part.offset), offset + start - from);
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

/** Float32 sums of a few parts are this near, relative to the norms of what is added. */
const ROUNDING_TOLERANCE = 1e-4;

/** Whether these parts make up this total, but for rounding. */
export function sumMatches(total: Float32Array, parts: readonly Float32Array[]): boolean {
  let [squares, squaredParts] = [0, 0];
  for (let i = 0; i < total.length; i++) {
    let sum = 0;
    for (const part of parts) {
      const value = part[i] as number;
      sum += value;
      squaredParts += value * value;
    }
    squares += (sum - (total[i] as number)) ** 2;
  }
  return squares <= ROUNDING_TOLERANCE ** 2 * squaredParts * parts.length + Number.MIN_VALUE;
}
