import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import { codecKernels } from './kernels/simd.ts';
import { scaleBytes, scalesIn } from './scaled-blocks.ts';

/** Each value as an integer from -7 to 7 times a scale that 256 neighbours share; two to a byte, the first one low. */
export const int4: Codec = {
  name: 'int4',
  lossy: true,
  bytes: (length) => scaleBytes(length) + ((length + 1) >> 1),
  encode(values, payload) {
    const { length } = values;
    codecKernels.encodeInt4(values, scalesIn(payload, length), payload.subarray(scaleBytes(length)));
  },
  decode(payload, length, into = new Float32Array(length)) {
    checkLength(int4, payload, length);
    codecKernels.decodeInt4(scalesIn(payload, length), payload.subarray(scaleBytes(length)), into);
    return into;
  },
};
