import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';

/** The values as they are: IEEE 754 single precision, little-endian. */
export const float32: Codec = {
  name: 'float32',
  lossy: false,
  bytes: (length) => length * 4,
  encode(values, payload) {
    new Float32Array(payload.buffer, payload.byteOffset, values.length).set(values);
  },
  decode(payload, length) {
    checkLength(float32, payload, length);
    return new Float32Array(payload.buffer, payload.byteOffset, length);
  },
};
