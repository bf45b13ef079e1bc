import { describe, expect, it } from 'vitest';
import { type Candidate, StablePartition } from '../../../coordinator/scheduling/partition.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';

/** Workers that take so many milliseconds a sample. */
const taking = (...perSampleMs: number[]): Candidate[] =>
  perSampleMs.map((ms, i) => ({
    worker: `w${i}` as WorkerId,
    throughput: { perSampleMs: ms, fixedSamples: 0 },
  }));
const sizesOf = (shares: readonly { from: number; to: number }[]): number[] =>
  shares.map(({ from, to }) => to - from);

describe('shares', () => {
  it('are equal, to the sample, while others would not be clearly faster', () => {
    expect(sizesOf(new StablePartition().next(128, taking(1, 1, 1.15)))).toEqual([42, 43, 43]);
    expect(sizesOf(new StablePartition().next(128, taking(1, 1, 2)))).toEqual([52, 52, 24]);
  });

  it('stay as they are until others have been clearly faster three times in a row', () => {
    const shares = new StablePartition();
    const next = (...ms: number[]): number[] => sizesOf(shares.next(120, taking(...ms)));
    expect(next(1, 1)).toEqual([60, 60]);
    for (const slow of [3, 3, 1, 3, 3]) expect(next(1, slow)).toEqual([60, 60]);
    expect(next(1, 3)).toEqual([90, 30]);
    for (const slow of [2.8, 3.2, 2.9, 3.1, 3.2]) expect(next(1, slow)).toEqual([90, 30]);
    next(1, 1);
    next(1, 1);
    expect(next(1, 1)).toEqual([60, 60]);
  });

  it('are found anew for other workers, and for a batch of another size', () => {
    const shares = new StablePartition();
    expect(sizesOf(shares.next(128, taking(1, 1)))).toEqual([64, 64]);
    expect(sizesOf(shares.next(128, taking(1, 1, 1, 1)))).toEqual([32, 32, 32, 32]);
    expect(sizesOf(shares.next(96, taking(1, 1, 1, 1)))).toEqual([24, 24, 24, 24]);
  });

  it('can be told ahead', () => {
    const shares = new StablePartition();
    for (const slow of [1, 5, 5, 5, 5, 5]) {
      const told = shares.predict(128, taking(1, slow));
      const now = shares.next(128, taking(1, slow));
      if (slow === 1) expect(told).toEqual(now);
      expect(shares.predict(128, taking(1, slow))).toEqual(now);
    }
  });
});
