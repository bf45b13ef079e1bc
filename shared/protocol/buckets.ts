import type { Range } from '../util/range.ts';

/**
 * What a message about a vector's tail has in it.
 * @param cuts where the tail's pieces start; the tail starts with the first
 * @param piece which of them it is, counted from the front; undefined for all of the tail
 * @param length of the flat vector
 * @returns null if there is no such piece
 */
export function bucketRange(
  cuts: readonly number[],
  piece: number | undefined,
  length: number,
): Range | null {
  const from = cuts[piece ?? 0];
  return from === undefined ? null : { from, to: piece === undefined ? length : (cuts[piece + 1] ?? length) };
}

/**
 * The tail's pieces in the order in which they travel, from the back to the front.
 * @param cuts where they start
 * @param length of the flat vector
 */
export function bucketRanges(
  cuts: readonly number[],
  length: number,
): (Range & { readonly piece: number })[] {
  return cuts.map((from, piece) => ({ piece, from, to: cuts[piece + 1] ?? length })).reverse();
}
