import type { Layout } from '../../shared/model/layout.ts';

/** Of the flat vector; less would not be worth a message of its own, nor its start the wait. */
const LEAST_SHARE = 0.75;
const LEAST_VALUES = 16_384;

/**
 * Where to cut the flat vector in two. Its tail holds the last layers, whose gradients a backward pass finds first: they
 * travel, are summed and become new weights while the layers before are still being computed.
 * @returns the last tensor's start behind which most of the values lie; null if the vector is not worth cutting
 */
export function tailStart({ slices, length }: Layout): number | null {
  const start = slices.findLast(({ offset }) => length - offset >= LEAST_SHARE * length)?.offset ?? 0;
  return start > 0 && length - start >= LEAST_VALUES ? start : null;
}
