import type { Layout } from '../../shared/model/layout.ts';

/** Minimum fraction of the values in early buckets: fewer are not worth separate messages. */
const MIN_BUCKETED_FRACTION = 0.75;
const MIN_BUCKETED_VALUES = 16_384;
/** Several buckets overlap: while one travels to the coordinator, the new weights of the previous one travel back. */
const MAX_EARLY_BUCKETS = 4;
/** Number of values with a common scale: a bucket is encoded as it would be within the whole vector. */
const BUCKET_ALIGNMENT = 256;

/** Number of early buckets for this number of values in them. */
export const earlyBucketCount = (values: number): number =>
  Math.min(MAX_EARLY_BUCKETS, Math.floor(values / MIN_BUCKETED_VALUES));

/**
 * Offsets of the buckets of a flat vector, ascending from 0. The last layers, whose gradients a backward pass computes
 * first, lie in a few buckets that travel, are summed and become new weights while the first layers are still being computed.
 * @returns [0] if the vector is not worth splitting; else the second offset is the start of the last tensor from which on there
 *   are most of the values
 */
export function bucketOffsets({ slices, length }: Layout): readonly number[] {
  const start =
    slices.findLast(({ offset }) => length - offset >= MIN_BUCKETED_FRACTION * length)?.offset ?? 0;
  const values = length - start;
  if (start === 0 || values < MIN_BUCKETED_VALUES) return [0];
  const count = earlyBucketCount(values);
  const size = Math.ceil(values / count / BUCKET_ALIGNMENT) * BUCKET_ALIGNMENT;
  return [0, ...Array.from({ length: count }, (_, i) => start + i * size)];
}
