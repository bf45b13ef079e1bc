import { describe, expect, it } from 'vitest';
import {
  MAX_POINTS,
  mergeToLength,
  plotColumns,
  smoothValues,
  withOtherCurves,
} from '../../../worker-browser/page/curves.ts';
import { point, record } from './run-fixtures.ts';

describe('curves', () => {
  it("are drawn by step, with an epoch's validation at its last step", () => {
    const columns = plotColumns('loss', 'step', [point(1, 2), point(2, 1)], [record], 2);
    expect(columns).toEqual([
      [1, 2],
      [2, 1],
      [2, expect.closeTo(2 - 1 / 1.1)],
      [null, 0.4],
    ]);
  });

  it('have a gap where a loss is infinite', () => {
    const curve = [point(1, 2), point(2, Infinity), point(3, 2)];
    expect(plotColumns('loss', 'step', curve, [{ ...record, val_loss: Infinity }], 4)).toEqual([
      [1, 3, 4],
      [2, 2, null],
      [2, 2, null],
      [null, null, null],
    ]);
  });

  it('are drawn by epoch', () => {
    expect(plotColumns('accuracy', 'epoch', [point(1)], [record], 2)).toEqual([[1], [null], [0.8], [0.9]]);
  });

  it('stand beside those of other runs, which have other steps', () => {
    const columns = plotColumns('loss', 'step', [point(1, 2), point(3, 1)], [], 9);
    const others = [
      [
        [2, 5],
        [3, 4],
      ],
      [],
    ] as const;
    expect(withOtherCurves(columns, others)).toEqual([
      [1, 2, 3],
      [2, null, 1],
      [2, null, expect.closeTo(2 - 1 / 1.1)],
      [null, null, null],
      [null, 5, 4],
      [null, null, null],
    ]);
  });

  it('are smoothed within the range of the values', () => {
    const smooth = smoothValues(Array.from({ length: 500 }, (_, i) => i % 2));
    expect(smooth.at(-1)).toBeGreaterThan(0.4);
    expect(smooth.at(-1)).toBeLessThan(0.6);
    expect(smoothValues([])).toEqual([]);
  });
});

it('merges the points of a long curve, and keeps means and steps', () => {
  const curve = Array.from({ length: MAX_POINTS + 1 }, (_, i) => point(i + 1, i % 2));
  const merged = mergeToLength(curve, MAX_POINTS);
  expect(merged.length).toBeLessThanOrEqual(MAX_POINTS);
  expect(merged[0]).toEqual({ step: 2, steps: 2, loss: 0.5, metrics: { accuracy: 0.5 } });
  expect(merged.reduce((sum, { steps }) => sum + steps, 0)).toBe(curve.length);
  expect(merged.at(-1)?.step).toBe(curve.length);
});
