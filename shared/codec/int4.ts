import { codecKernels } from './kernels/simd.ts';
import { packedCodec } from './packed-codec.ts';
import { scaleBytes, scalesIn } from './scaled-blocks.ts';

/**
 * Each value as an integer from -7 to 7 times a scale that 256 neighbours share; two to a byte, the first one low.
 *
 * A block with a value that is not finite has the scale NaN and decodes to NaN, as does one whose scale is infinite. -0
 * becomes +0. A block whose values all lie below 2^-100 becomes zero.
 */
export const int4 = packedCodec(
  'int4',
  codecKernels.int4,
  (length) => scaleBytes(length) + ((length + 1) >> 1),
  (payload, length) => ({
    scales: scalesIn(payload, length),
    values: payload.subarray(scaleBytes(length)),
  }),
);
