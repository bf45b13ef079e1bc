import type { Layout } from '../../shared/model/layout.ts';

/** Of the flat vector; less would not be worth a message of its own, nor its start the wait. */
const LEAST_SHARE = 0.75;
const LEAST_VALUES = 16_384;
/** While one piece travels to the coordinator, what the one before has become travels back. */
const PIECES = 4;
/** As many values as share a scale: a piece is encoded as it would be within the whole. */
const UNIT = 256;

/** How many pieces a tail of so many values has. */
export const piecesOf = (values: number): number => Math.min(PIECES, Math.floor(values / LEAST_VALUES));

/**
 * Where to cut the flat vector: its tail holds the last layers, whose gradients a backward pass finds first. In a few
 * pieces they travel, are summed and become new weights while the layers before are still being computed.
 * @returns where the tail's pieces start, the first at the last tensor behind whose start most of the values lie; none if
 *   the vector is not worth cutting
 */
export function tailCuts({ slices, length }: Layout): readonly number[] {
  const start = slices.findLast(({ offset }) => length - offset >= LEAST_SHARE * length)?.offset ?? 0;
  const values = length - start;
  if (start === 0 || values < LEAST_VALUES) return [];
  const pieces = piecesOf(values);
  const each = Math.ceil(values / pieces / UNIT) * UNIT;
  return Array.from({ length: pieces }, (_, i) => start + i * each);
}
