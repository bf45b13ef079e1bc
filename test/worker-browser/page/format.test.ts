import { expect, it } from 'vitest';
import { formatBytes, formatDuration, formatRate } from '../../../worker-browser/page/format.ts';

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
