import { payloadLengthError, type Codec } from './codec.ts';
import { codecKernels } from './kernels/simd.ts';

/**
 * IEEE 754 single precision, little-endian. Values keep every bit, also the bits of NaN; a sum or difference that is NaN has
 * the bits 0x7fc00000.
 */
export const float32: Codec = {
  name: 'float32',
  lossy: false,
  bytes: (length) => length * 4,
  encode: (values, payload) => valuesIn(payload, values.length).set(values),
  encodeDifference(values, base, payload) {
    codecKernels.subtract(values, base, valuesIn(payload, values.length));
  },
  encodeWithResidual(values, residual, payload) {
    codecKernels.add(values, residual, valuesIn(payload, values.length));
    residual.fill(0);
  },
  decode(payload, length) {
    if (payload.length !== float32.bytes(length)) throw payloadLengthError(float32, payload, length);
    return valuesIn(payload, length);
  },
  decodeOnto: (payload, base, out) => codecKernels.add(base, float32.decode(payload, out.length), out),
};

const valuesIn = ({ buffer, byteOffset }: Uint8Array, length: number): Float32Array =>
  new Float32Array(buffer, byteOffset, length);
