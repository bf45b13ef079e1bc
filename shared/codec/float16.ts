import { codecKernels } from './kernels/simd.ts';
import { packedCodec } from './packed-codec.ts';

/**
 * IEEE 754 half precision, little-endian, rounded to nearest, ties to even. Finite values beyond 65504 become 65504 of
 * their sign. Infinities, -0 and subnormal halves are kept; values up to 2^-25 become zeros of their sign. NaN of any bits
 * becomes 0x7e00, and is decoded as 0x7fc00000.
 */
export const float16 = packedCodec(
  'float16',
  codecKernels.float16,
  (length) => length * 2,
  ({ buffer, byteOffset }, length) => ({
    scales: new Float32Array(0),
    values: new Uint16Array(buffer, byteOffset, length),
  }),
);
