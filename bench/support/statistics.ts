import { median as medianOrNull } from '../../shared/util/median.ts';

/** n-th decile. @param n from 0 (minimum) to 10 (maximum) */
export function decile(values: readonly number[], n: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((n / 10) * (sorted.length - 1))] ?? NaN;
}

/** NaN without values, unlike the median that the program itself uses. */
export const median = (values: readonly number[]): number => medianOrNull(values) ?? NaN;

/** Text such as "12.3 (11.9 to 14.0)": median, first and ninth decile. */
export function spread(values: readonly number[], digits = 1): string {
  const at = (n: number): string => decile(values, n).toFixed(digits);
  return `${median(values).toFixed(digits)} (${at(1)} to ${at(9)})`;
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation of a sample; 0 for a single value. */
export function standardDeviation(values: readonly number[]): number {
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / Math.max(1, values.length - 1));
}
