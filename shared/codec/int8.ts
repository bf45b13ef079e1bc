import { checkLength } from './check-length.ts';
import type { Codec } from './codec.ts';
import { BLOCK, blocksOf, inverseOf, scaleOf, scalesIn } from './scaled-blocks.ts';

const MOST = 127;
/** Added and taken away again in double precision, it rounds to the nearest integer, ties to even. */
const ROUND = 1.5 * 2 ** 52;

/** Each value as an integer from -127 to 127 times a scale that 256 neighbours share. */
export const int8: Codec = {
  name: 'int8',
  lossy: true,
  bytes: (length) => 4 * blocksOf(length) + length,
  encode(values, payload) {
    const { length } = values;
    const bits = new Int32Array(values.buffer, values.byteOffset, length);
    const scales = scalesIn(payload, length);
    const integers = integersIn(payload, length);
    for (let block = 0; block < scales.length; block++) {
      const from = block * BLOCK;
      const to = Math.min(from + BLOCK, length);
      const scale = scaleOf(bits, from, to, MOST);
      const inverse = inverseOf(scale);
      scales[block] = scale;
      if (inverse === 0) integers.fill(0, from, to);
      else {
        for (let i = from; i < to; i++) {
          integers[i] = Math.fround((values[i] as number) * inverse) + ROUND - ROUND;
        }
      }
    }
  },
  decode(payload, length, into = new Float32Array(length)) {
    checkLength(int8, payload, length);
    const scales = scalesIn(payload, length);
    const integers = integersIn(payload, length);
    for (let block = 0; block < scales.length; block++) {
      const from = block * BLOCK;
      const to = Math.min(from + BLOCK, length);
      const scale = scales[block] as number;
      for (let i = from; i < to; i++) into[i] = (integers[i] as number) * scale;
    }
    return into;
  },
};

const integersIn = (payload: Uint8Array, length: number): Int8Array =>
  new Int8Array(payload.buffer, payload.byteOffset + 4 * blocksOf(length), length);
