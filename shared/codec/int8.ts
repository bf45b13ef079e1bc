import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import { codecKernels } from './kernels/simd.ts';
import { scaleBytes, scalesIn } from './scaled-blocks.ts';

/** Each value as an integer from -127 to 127 times a scale that 256 neighbours share. */
export const int8: Codec = {
  name: 'int8',
  lossy: true,
  bytes: (length) => scaleBytes(length) + length,
  encode(values, payload) {
    const { length } = values;
    codecKernels.encodeInt8(values, scalesIn(payload, length), integersIn(payload, length));
  },
  decode(payload, length, into = new Float32Array(length)) {
    checkLength(int8, payload, length);
    codecKernels.decodeInt8(scalesIn(payload, length), integersIn(payload, length), into);
    return into;
  },
};

const integersIn = (payload: Uint8Array, length: number): Int8Array =>
  new Int8Array(payload.buffer, payload.byteOffset + scaleBytes(length), length);
