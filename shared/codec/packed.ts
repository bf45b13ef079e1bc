import { payloadLengthError, type Codec } from './codec.ts';
import {
  type FormatKernels,
  type PackedArray,
  type PackedVector,
  SCALE_BLOCK_SIZE,
} from './kernels/codec-kernels.ts';
import { codecKernels } from './kernels/simd.ts';

/** Codec of a packed format; `packedIn` views the scales and values of a payload of `length` values. */
export function packedCodec<N extends PackedArray>(
  name: string,
  kernels: FormatKernels<N>,
  bytes: (length: number) => number,
  packedIn: (payload: Uint8Array, length: number) => PackedVector<N>,
): Codec {
  const checked = (payload: Uint8Array, length: number): PackedVector<N> => {
    if (payload.length !== bytes(length)) throw payloadLengthError({ name, bytes }, payload, length);
    return packedIn(payload, length);
  };
  return {
    name,
    lossy: true,
    bytes,
    encode: (values, payload) => kernels.encode(values, packedIn(payload, values.length)),
    encodeDifference: (values, base, payload) =>
      kernels.encodeDifference(values, base, packedIn(payload, values.length)),
    encodeWithResidual: (values, residual, payload) =>
      kernels.encodeWithResidual(values, residual, packedIn(payload, values.length)),
    decode(payload, length, into = new Float32Array(length)) {
      kernels.decode(checked(payload, length), into);
      return into;
    },
    decodeOnto: (payload, base, out) => kernels.decodeOnto(checked(payload, out.length), base, out),
  };
}

/**
 * IEEE 754 half precision, little-endian, rounded to nearest, ties to even. Finite values beyond 65504 become 65504 with
 * their sign. Infinities, -0 and subnormal halves are kept; values up to 2^-25 become zeros with their sign. Every NaN
 * becomes 0x7e00 and decodes to 0x7fc00000.
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

/**
 * Each value as an integer from -127 to 127 times a scale; 256 consecutive values share a scale.
 *
 * A block with a value that is not finite has the scale NaN. A block whose scale is not finite decodes to NaN. -0 becomes
 * +0. A block whose magnitudes are all below 2^-100 becomes zero.
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

/**
 * Each value as an integer from -7 to 7 times a scale; 256 consecutive values share a scale. A byte holds two values, the
 * first in its low half.
 *
 * A block with a value that is not finite has the scale NaN. A block whose scale is not finite decodes to NaN. -0 becomes
 * +0. A block whose magnitudes are all below 2^-100 becomes zero.
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

/** Bytes of the scales at the start of a payload of `length` values. */
export const scaleBytes = (length: number): number => 4 * Math.ceil(length / SCALE_BLOCK_SIZE);

/** View of the scales in a payload of `length` values. */
export const scalesIn = (payload: Uint8Array, length: number): Float32Array =>
  new Float32Array(payload.buffer, payload.byteOffset, Math.ceil(length / SCALE_BLOCK_SIZE));
