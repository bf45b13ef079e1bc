import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import { codecKernels } from './kernels/simd.ts';

/**
 * IEEE 754 half precision, little-endian, rounded to nearest, ties to even. Finite values beyond the largest become the
 * largest; infinities and NaN stay what they are.
 */
export const float16: Codec = {
  name: 'float16',
  lossy: true,
  bytes: (length) => length * 2,
  encode(values, payload) {
    codecKernels.encodeFloat16(values, halvesIn(payload, values.length));
  },
  decode(payload, length, into = new Float32Array(length)) {
    checkLength(float16, payload, length);
    codecKernels.decodeFloat16(halvesIn(payload, length), into);
    return into;
  },
};

const halvesIn = (payload: Uint8Array, length: number): Uint16Array =>
  new Uint16Array(payload.buffer, payload.byteOffset, length);
