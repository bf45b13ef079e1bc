import type { Layout } from '../../shared/model/layout.ts';

/** Fraction of the values that must lie in early buckets: fewer are not worth messages of their own. */
const MIN_BUCKETED_FRACTION = 0.75;
const MIN_BUCKETED_VALUES = 16_384;
/** While one bucket travels to the coordinator, the new weights of the one before travel back. */
const MAX_EARLY_BUCKETS = 4;
/** Values that share a scale: a bucket is encoded as it would be within the whole vector. */
const BUCKET_ALIGNMENT = 256;

/** Number of buckets that are sent ahead, for so many values in them. */
export const earlyBucketCount = (values: number): number =>
  Math.min(MAX_EARLY_BUCKETS, Math.floor(values / MIN_BUCKETED_VALUES));

/**
 * Offsets where the buckets of a flat vector begin, ascending from 0. The last layers, whose gradients a backward pass computes
 * first, lie in a few buckets that travel, are summed and become new weights while the first layers are still being computed.
 * @returns [0] if the vector is not worth splitting; else the second offset is where the last tensor begins behind whose start
 *   most of the values lie
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
