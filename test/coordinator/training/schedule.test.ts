import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cut, equalShares } from '../../../coordinator/training/schedule.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';

const ids = (count: number): WorkerId[] => Array.from({ length: count }, (_, i) => `w${i}` as WorkerId);

describe('cut', () => {
  it('covers the range without a gap or an overlap, in parts that differ by one at most', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.nat(5000), fc.integer({ min: 1, max: 200 }), (from, length, parts) => {
        const ranges = cut({ from, to: from + length }, parts);
        const sizes = ranges.map((range) => range.to - range.from);
        const ends = [from, ...ranges.map(({ to }) => to)];
        return (
          ranges.every((range, i) => range.from === ends[i]) &&
          ends.at(-1) === from + length &&
          ranges.length === Math.min(parts, length) &&
          (length === 0 || (Math.min(...sizes) > 0 && Math.max(...sizes) - Math.min(...sizes) <= 1))
        );
      }),
      { numRuns: 1000 },
    );
  });

  it('gives nothing for no parts or no samples', () => {
    expect(cut({ from: 3, to: 9 }, 0)).toEqual([]);
    expect(cut({ from: 3, to: 3 }, 4)).toEqual([]);
  });
});

describe('equalShares', () => {
  it('gives a batch of 128 to three workers as 42, 43 and 43, in their order', () => {
    expect(equalShares(128, ids(3))).toEqual([
      { worker: 'w0', from: 0, to: 42 },
      { worker: 'w1', from: 42, to: 85 },
      { worker: 'w2', from: 85, to: 128 },
    ]);
  });

  it('never gives a worker two shares, nor an empty one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40 }), (samples, count) => {
        const shares = equalShares(samples, ids(count));
        return (
          new Set(shares.map(({ worker }) => worker)).size === shares.length &&
          shares.every(({ from, to }) => to > from) &&
          shares.reduce((sum, { from, to }) => sum + to - from, 0) === samples
        );
      }),
    );
  });

  it('gives nothing if nobody is there', () => {
    expect(equalShares(128, [])).toEqual([]);
  });
});
