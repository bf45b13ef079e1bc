import type { Layout } from '../../shared/model/layout.ts';

/** Of the flat vector; less would not be worth a message of its own, nor its start the wait. */
const MIN_BUCKETED_FRACTION = 0.75;
const MIN_BUCKETED_VALUES = 16_384;
/** While one piece travels to the coordinator, what the one before has become travels back. */
const MAX_BUCKETS = 4;
/** As many values as share a scale: a piece is encoded as it would be within the whole. */
const BUCKET_ALIGNMENT = 256;

/** How many pieces a tail of so many values has. */
export const bucketCount = (values: number): number =>
  Math.min(MAX_BUCKETS, Math.floor(values / MIN_BUCKETED_VALUES));

/**
 * Where to cut the flat vector: its tail holds the last layers, whose gradients a backward pass finds first. In a few
 * pieces they travel, are summed and become new weights while the layers before are still being computed.
 * @returns where the tail's pieces start, the first at the last tensor behind whose start most of the values lie; none if
 *   the vector is not worth cutting
 */
export function bucketOffsets({ slices, length }: Layout): readonly number[] {
  const start =
    slices.findLast(({ offset }) => length - offset >= MIN_BUCKETED_FRACTION * length)?.offset ?? 0;
  const values = length - start;
  if (start === 0 || values < MIN_BUCKETED_VALUES) return [];
  const pieces = bucketCount(values);
  const each = Math.ceil(values / pieces / BUCKET_ALIGNMENT) * BUCKET_ALIGNMENT;
  return Array.from({ length: pieces }, (_, i) => start + i * each);
}
