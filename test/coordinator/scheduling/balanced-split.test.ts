import { describe, expect, it } from 'vitest';
import { type Candidate, StablePartition } from '../../../coordinator/scheduling/partition.ts';
import type { WorkerId } from '../../../shared/protocol/messages.ts';

/** Workers with these times per sample. */
const candidatesWith = (...perSampleMs: number[]): Candidate[] =>
  perSampleMs.map((ms, i) => ({
    worker: `w${i}` as WorkerId,
    throughput: { perSampleMs: ms, fixedSamples: 0 },
  }));
const sizesOf = (shares: readonly { from: number; to: number }[]): number[] =>
  shares.map(({ from, to }) => to - from);

describe('StablePartition', () => {
  it('splits evenly unless another split is clearly faster', () => {
    expect(sizesOf(new StablePartition().next(128, candidatesWith(1, 1, 1.15)))).toEqual([42, 43, 43]);
    expect(sizesOf(new StablePartition().next(128, candidatesWith(1, 1, 2)))).toEqual([52, 52, 24]);
  });

  it('gives each of many unequal workers a share', () => {
    const times = Array.from({ length: 256 }, (_, i) => (i % 2 === 0 ? 1 : 3));
    const sizes = sizesOf(new StablePartition().next(4_096, candidatesWith(...times)));
    expect(sizes).toHaveLength(256);
    expect(sizes.slice(0, 4)).toEqual([24, 8, 24, 8]);
  });

  it('keeps a split until another one has been clearly faster three times in a row', () => {
    const partition = new StablePartition();
    const next = (...ms: number[]): number[] => sizesOf(partition.next(120, candidatesWith(...ms)));
    expect(next(1, 1)).toEqual([60, 60]);
    for (const slow of [3, 3, 1, 3, 3]) expect(next(1, slow)).toEqual([60, 60]);
    expect(next(1, 3)).toEqual([90, 30]);
    for (const slow of [2.8, 3.2, 2.9, 3.1, 3.2]) expect(next(1, slow)).toEqual([90, 30]);
    next(1, 1);
    next(1, 1);
    expect(next(1, 1)).toEqual([60, 60]);
  });

  it('splits again for other workers and for another batch size', () => {
    const partition = new StablePartition();
    expect(sizesOf(partition.next(128, candidatesWith(1, 1)))).toEqual([64, 64]);
    expect(sizesOf(partition.next(128, candidatesWith(1, 1, 1, 1)))).toEqual([32, 32, 32, 32]);
    expect(sizesOf(partition.next(96, candidatesWith(1, 1, 1, 1)))).toEqual([24, 24, 24, 24]);
  });

  it('predicts the next split', () => {
    const partition = new StablePartition();
    for (const slow of [1, 5, 5, 5, 5, 5]) {
      const predicted = partition.predict(128, candidatesWith(1, slow));
      const next = partition.next(128, candidatesWith(1, slow));
      if (slow === 1) expect(predicted).toEqual(next);
      expect(partition.predict(128, candidatesWith(1, slow))).toEqual(next);
    }
  });
});
