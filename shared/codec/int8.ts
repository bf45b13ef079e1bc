import { codecKernels } from './kernels/simd.ts';
import { packedCodec } from './packed-codec.ts';
import { scaleBytes, scalesIn } from './scaled-blocks.ts';

/**
 * Each value as an integer from -127 to 127 times a scale that 256 neighbours share.
 *
 * A block with a value that is not finite has the scale NaN and decodes to NaN, as does one whose scale is infinite. -0
 * becomes +0. A block whose values all lie below 2^-100 becomes zero.
 */
export const int8 = packedCodec(
  'int8',
  codecKernels.int8,
  (length) => scaleBytes(length) + length,
  (payload, length) => ({
    scales: scalesIn(payload, length),
    values: new Int8Array(payload.buffer, payload.byteOffset + scaleBytes(length), length),
  }),
);
