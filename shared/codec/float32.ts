import { CloseCode, ProtocolError } from '../protocol/close-code.ts';
import type { Codec } from './codec.ts';

/** The values as they are: IEEE 754 single precision, little-endian. */
export const float32: Codec = {
  name: 'float32',
  bytes: (length) => length * 4,
  encode(values, payload) {
    new Float32Array(payload.buffer, payload.byteOffset, values.length).set(values);
  },
  decode(payload, length) {
    if (payload.length !== length * 4) {
      throw new ProtocolError(
        CloseCode.wrongLength,
        `${length} float32 values are ${length * 4} bytes; the payload has ${payload.length}.`,
      );
    }
    return new Float32Array(payload.buffer, payload.byteOffset, length);
  },
};
