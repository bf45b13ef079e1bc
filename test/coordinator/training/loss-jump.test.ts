import { describe, expect, it } from 'vitest';
import { LossSpikeDetector } from '../../../coordinator/training/rewind.ts';

describe('a jump of the loss', () => {
  it('is one far above the last losses and above guessing', () => {
    const jump = new LossSpikeDetector(10);
    for (let step = 0; step < 50; step++) expect(jump.record(2.3 / (1 + step))).toBe(false);
    // A hard batch is none.
    for (const loss of [0.5, 1, 4]) expect(jump.record(loss)).toBe(false);
    for (const loss of [8, 8.7e20, Infinity, NaN]) expect(jump.record(loss)).toBe(true);
    expect(jump.record(0.1)).toBe(false);
  });

  it('is none at the beginning, where no loss is usual', () => {
    const jump = new LossSpikeDetector(10);
    for (const loss of [2.3, 40, 12, 3, 2.3, 2.2, 2.1]) expect(jump.record(loss)).toBe(false);
  });
});
