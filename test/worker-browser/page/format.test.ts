import { expect, it } from 'vitest';
import { formatBytes, formatCount, formatDuration, formatRate } from '../../../worker-browser/page/format.ts';

it('formats bytes, rates and durations with their units', () => {
  expect([formatBytes(0), formatBytes(999), formatBytes(2_400_000), formatBytes(42e9)]).toEqual(
    ['0 B', '999 B', '2.4 MB', '42 GB'].map((text) => text.replace(' ', '\u00a0')),
  );
  expect([formatRate(1e300), formatDuration(1e300)].every((text) => text.length < 40)).toBe(true);
  expect([formatDuration(0.2), formatDuration(90), formatDuration(7_500)]).toEqual([
    '1 s',
    '2 min',
    '2 h 5 min',
  ]);
});

it('writes numbers as Intl does', () => {
  const format = (digits: number) => new Intl.NumberFormat('en-US', { maximumFractionDigits: digits });
  for (const value of [0, 1, 12, 999, 999.6, 1_000, 12_345.6, 999_999, 1_234_567, 987_654_321.4])
    expect(formatCount(value)).toBe(format(0).format(value));
  for (const value of [0, 0.04, 0.06, 0.96, 1, 3.14, 9.94, 9.96]) {
    expect(formatRate(value)).toBe(format(1).format(value));
  }
});
