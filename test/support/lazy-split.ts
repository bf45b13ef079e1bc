import { readSamples, type LazySplit, type StoredSplit } from '../../shared/data/dataset.ts';
import type { Shard } from '../../shared/data/shard.ts';

/** A split that is read by number, and what was asked of it. */
export interface WatchedSplit extends LazySplit {
  /** First sample number of each read, in order. */
  readonly reads: number[];
}

/**
 * Samples in memory, read by number as if they were on a disk.
 * @param reading called with each read, before it settles. @default reads settle at once
 */
export function lazySplit(
  stored: StoredSplit,
  reading: (numbers: Uint32Array) => Promise<void> = () => Promise.resolve(),
): WatchedSplit {
  const reads: number[] = [];
  return {
    count: stored.count,
    digest: 'made',
    reads,
    async read(numbers): Promise<Shard> {
      reads.push(numbers[0] ?? -1);
      await reading(numbers);
      return readSamples(stored, numbers);
    },
  };
}
