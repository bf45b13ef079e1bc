import { Purpose } from '../../random/stream.ts';
import { threefry2x32 } from '../../random/threefry.ts';
import { fillDropoutMask, type MaskKey } from './dropout-masks.ts';
import { inverseNormal } from './inverse-normal.ts';

/**
 * Distribution of a layer's random numbers: a number is the rate of a dropout mask; 'uniform' numbers are in [0, 1), 'normal'
 * ones have mean 0 and deviation 1.
 */
export type Draw = number | 'uniform' | 'normal';

/**
 * Fills values that depend only on (seed, step, sample, layer), so that every worker and engine computes the same for a sample.
 *
 * Dropout masks: see fillDropoutMask(). The others use the same subkey and blocks, with one word for each element: element e of
 * a sample has word w = e % 2 of block floor(e / 2). A uniform number is floor(w / 256) / 2^24; a normal one is the inverse of
 * the normal distribution's function at (w + 1/2) / 2^32. All are then rounded to float32; uniform ones are exact.
 *
 * @param sampleNumbers [samples]
 * @param size elements of one sample
 * @param values receives [samples, size]
 */
export function fillRandomValues(
  values: Float32Array,
  key: MaskKey,
  sampleNumbers: Uint32Array,
  layer: number,
  size: number,
  draw: Draw,
): void {
  if (typeof draw === 'number') {
    fillDropoutMask(values, key, sampleNumbers, layer, size, draw);
    return;
  }
  const valueOf = draw === 'uniform' ? uniformOf : normalOf;
  const subkey = new Uint32Array(2);
  const words = new Uint32Array(2);
  let at = 0;
  for (const sample of sampleNumbers) {
    threefry2x32(key.seed, Purpose.dropout, key.step, sample, subkey);
    const [key0 = 0, key1 = 0] = subkey;
    const end = at + size;
    for (let block = 0; at < end; block++) {
      threefry2x32(key0, key1, block, layer, words);
      for (let i = 0; i < 2 && at < end; i++) values[at++] = valueOf(words[i] ?? 0);
    }
  }
}

const uniformOf = (word: number): number => (word >>> 8) / 2 ** 24;

const normalOf = (word: number): number => inverseNormal((word + 0.5) / 2 ** 32);
