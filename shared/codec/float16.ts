import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';

/** Bits of single precision, without the sign. */
const INFINITE = 0x7f800000;
/** 65520: what lies below rounds to 65504, the largest value of half precision, or less. */
const TOO_LARGE = 0x477ff000;
/** 2^-14: below it, half precision has subnormal values, all 2^-24 apart. */
const SUBNORMAL = 0x38800000;
/** The difference of the two exponent biases, where half precision's exponent stands; taken away by adding it. */
const REBIAS = 0xc8000000 | 0;

const LARGEST_HALF = 0x7bff;
const INFINITE_HALF = 0x7c00;
const NAN_HALF = 0x7e00;

/** Every value of half precision, by its bits. */
let table: Float32Array | null = null;

/**
 * IEEE 754 half precision, little-endian, rounded to nearest, ties to even. Finite values beyond the largest become the
 * largest; infinities and NaN stay what they are.
 */
export const float16: Codec = {
  name: 'float16',
  lossy: true,
  bytes: (length) => length * 2,
  encode(values, payload) {
    const { length } = values;
    const bits = new Int32Array(values.buffer, values.byteOffset, length);
    const halves = new Uint16Array(payload.buffer, payload.byteOffset, length);
    for (let i = 0; i < length; i++) {
      const bit = bits[i] as number;
      const size = bit & 0x7fffffff;
      let half: number;
      if (size < SUBNORMAL) half = roundToEven(Math.abs(values[i] as number) * 2 ** 24);
      else if (size < TOO_LARGE) half = (size + REBIAS + 0xfff + ((size >>> 13) & 1)) >>> 13;
      else half = size < INFINITE ? LARGEST_HALF : size === INFINITE ? INFINITE_HALF : NAN_HALF;
      halves[i] = ((bit >>> 16) & 0x8000) | half;
    }
  },
  decode(payload, length, into = new Float32Array(length)) {
    checkLength(float16, payload, length);
    const values = (table ??= makeTable());
    const halves = new Uint16Array(payload.buffer, payload.byteOffset, length);
    for (let i = 0; i < length; i++) into[i] = values[halves[i] as number] as number;
    return into;
  },
};

/** The sum has no bits left for what lies behind the point. @param value from 0 to 2^51 */
const roundToEven = (value: number): number => value + 2 ** 52 - 2 ** 52;

function makeTable(): Float32Array {
  return Float32Array.from({ length: 1 << 16 }, (_, bits) => {
    const exponent = (bits >>> 10) & 31;
    const fraction = bits & 1023;
    const size =
      exponent === 31
        ? fraction === 0
          ? Infinity
          : NaN
        : exponent === 0
          ? fraction * 2 ** -24
          : (1024 + fraction) * 2 ** (exponent - 25);
    return bits & 0x8000 ? -size : size;
  });
}
