/** Values that share a scale. */
export const BLOCK = 256;

const INFINITE = 0x7f800000;
/** Blocks whose values all lie below this become zero: the inverse of their scale would be infinite. */
const LEAST = 2 ** -100;
/** Largest value of single precision, with room for the rounding of its scale. */
const MOST = 3.4e38;

export const blocksOf = (length: number): number => Math.ceil(length / BLOCK);

/** The scales of a vector's blocks, at the start of its payload. */
export const scalesIn = (payload: Uint8Array, length: number): Float32Array =>
  new Float32Array(payload.buffer, payload.byteOffset, blocksOf(length));

const oneInt = new Int32Array(1);
const oneFloat = new Float32Array(oneInt.buffer);

/**
 * The scale with which values from -most to most reach from the smallest to the largest value of a block.
 * @param bits the vector's, of which [from, to) is the block
 * @returns NaN if a value of the block is not finite, 0 if all are as good as zero
 */
export function scaleOf(bits: Int32Array, from: number, to: number, most: number): number {
  // Without the sign, the bits of values are in the order of their sizes; those of infinity and NaN come last.
  let largest = 0;
  for (let i = from; i < to; i++) {
    const size = (bits[i] as number) & 0x7fffffff;
    largest = size > largest ? size : largest;
  }
  if (largest >= INFINITE) return NaN;
  oneInt[0] = largest;
  const value = oneFloat[0] as number;
  return value < LEAST ? 0 : Math.fround(Math.min(value, MOST) / most);
}

/** What values are multiplied by to be counted in scales; 0 where there is nothing to count. */
export const inverseOf = (scale: number): number => (scale > 0 ? Math.fround(1 / scale) : 0);
