import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import { BLOCK, blocksOf, inverseOf, scaleOf, scalesIn } from './scaled-blocks.ts';

const MOST = 7;
/** Added in double precision, it leaves the nearest integer, ties to even, in the lowest bits. */
const ROUND = 1.5 * 2 ** 52;

/** Each value as an integer from -7 to 7 times a scale that 256 neighbours share; two to a byte, the first one low. */
export const int4: Codec = {
  name: 'int4',
  lossy: true,
  bytes: (length) => 4 * blocksOf(length) + ((length + 1) >> 1),
  encode(values, payload) {
    const { length } = values;
    const bits = new Int32Array(values.buffer, values.byteOffset, length);
    const scales = scalesIn(payload, length);
    const pairs = payload.subarray(4 * scales.length);
    for (let block = 0; block < scales.length; block++) {
      const from = block * BLOCK;
      const to = Math.min(from + BLOCK, length);
      const scale = scaleOf(bits, from, to, MOST);
      const inverse = inverseOf(scale);
      scales[block] = scale;
      // Blocks start at a byte of their own; only the last one may end within one.
      for (let i = from; i + 1 < to; i += 2) {
        const low = Math.fround((values[i] as number) * inverse) + ROUND - ROUND;
        const high = Math.fround((values[i + 1] as number) * inverse) + ROUND - ROUND;
        pairs[i >> 1] = (low & 15) | (high << 4);
      }
      if (to & 1) pairs[to >> 1] = (Math.fround((values[to - 1] as number) * inverse) + ROUND - ROUND) & 15;
    }
  },
  decode(payload, length, into = new Float32Array(length)) {
    checkLength(int4, payload, length);
    const scales = scalesIn(payload, length);
    const pairs = payload.subarray(4 * scales.length);
    for (let block = 0; block < scales.length; block++) {
      const from = block * BLOCK;
      const to = Math.min(from + BLOCK, length);
      const scale = scales[block] as number;
      for (let i = from; i + 1 < to; i += 2) {
        const pair = pairs[i >> 1] as number;
        into[i] = ((pair << 28) >> 28) * scale;
        into[i + 1] = ((pair << 24) >> 28) * scale;
      }
      if (to & 1) into[to - 1] = (((pairs[to >> 1] as number) << 28) >> 28) * scale;
    }
    return into;
  },
};
