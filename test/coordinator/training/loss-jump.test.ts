import { describe, expect, it } from 'vitest';
import { LossSpikeDetector } from '../../../coordinator/training/rewind.ts';

describe('LossSpikeDetector', () => {
  it('detects a loss far above the last losses and above guessing', () => {
    const detector = new LossSpikeDetector(Math.log(10));
    for (let step = 0; step < 50; step++) expect(detector.record(2.3 / (1 + step))).toBe(false);
    // A hard batch is no jump.
    for (const loss of [0.5, 1, 4]) expect(detector.record(loss)).toBe(false);
    for (const loss of [8, 8.7e20, Infinity, NaN]) expect(detector.record(loss)).toBe(true);
    expect(detector.record(0.1)).toBe(false);
  });

  it('takes the largest of the first losses for guessing if that is not known', () => {
    const detector = new LossSpikeDetector(null);
    for (let step = 0; step < 50; step++) expect(detector.record(400 / (1 + step))).toBe(false);
    for (const loss of [700, 90]) expect(detector.record(loss)).toBe(false);
    for (const loss of [900, NaN]) expect(detector.record(loss)).toBe(true);
  });

  it('detects nothing if losses can be negative', () => {
    const detector = new LossSpikeDetector(Infinity);
    for (let step = 0; step < 20; step++) expect(detector.record(-0.9)).toBe(false);
    expect(detector.record(5)).toBe(false);
  });

  it('detects nothing before there are enough losses', () => {
    const detector = new LossSpikeDetector(Math.log(10));
    for (const loss of [2.3, 40, 12, 3, 2.3, 2.2, 2.1]) expect(detector.record(loss)).toBe(false);
  });
});
