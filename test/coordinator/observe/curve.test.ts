import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrainingCurve } from '../../../coordinator/observe/rolling-stats.ts';
import { checkProperty } from '../../support/property.ts';

describe('Curve', () => {
  it('gives a point for every step while there are few', () => {
    const curve = new TrainingCurve(8);
    expect(curve.add(1, 4, 8, 1)).toEqual({ step: 1, steps: 1, loss: 2, accuracy: 0.25 });
    expect(curve.add(2, 4, 4, 2)).toEqual({ step: 2, steps: 1, loss: 1, accuracy: 0.5 });
    expect(curve.points.map(({ step }) => step)).toEqual([1, 2]);
  });

  it('merges neighbours when there are too many, and goes on in longer points', () => {
    const curve = new TrainingCurve(4);
    const given = Array.from({ length: 8 }, (_, i) => curve.add(i + 1, 2, 2 * i, 1));
    expect(given.map((point) => point?.step ?? null)).toEqual([1, 2, 3, 4, null, 6, null, 8]);
    expect(curve.points).toEqual([
      { step: 4, steps: 4, loss: 1.5, accuracy: 0.5 },
      { step: 8, steps: 4, loss: 5.5, accuracy: 0.5 },
    ]);
  });

  it('never has more points than asked for, and forgets no step but those of the point that is open', () => {
    checkProperty(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 2000 }), (half, steps) => {
        const curve = new TrainingCurve(2 * half);
        for (let step = 1; step <= steps; step++) curve.add(step, 3, step, step % 3);
        const { points } = curve;
        const covered = points.reduce((sum, point) => sum + point.steps, 0);
        expect(points.length).toBeLessThan(2 * half);
        expect(points.at(-1)?.step ?? 0).toBe(covered);
        expect(steps - covered).toBeLessThanOrEqual(Math.max(steps / half, 1));
      }),
      { seed: 1 },
    );
  });
});
