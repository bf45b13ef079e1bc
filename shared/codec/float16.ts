import { codecKernels } from './kernels/simd.ts';
import { packedCodec } from './packed-codec.ts';

/**
 * IEEE 754 half precision, little-endian, rounded to nearest, ties to even. Finite values beyond the largest become the
 * largest; infinities and NaN stay what they are.
 */
export const float16 = packedCodec(
  'float16',
  codecKernels.float16,
  (length) => length * 2,
  ({ buffer, byteOffset }, length) => ({
    scales: new Float32Array(0),
    numbers: new Uint16Array(buffer, byteOffset, length),
  }),
);
