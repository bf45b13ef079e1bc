import { threefry2x32 } from './threefry.ts';

/** Purpose of a random number. Each purpose has its own streams. */
export const Purpose = {
  permutation: 1,
  dropout: 2,
  initialWeights: 3,
  syntheticDigits: 4,
  engineFingerprint: 5,
  validationSplit: 6,
  textGeneration: 7,
} as const;
export type Purpose = (typeof Purpose)[keyof typeof Purpose];

/** Sequence of random numbers that its key determines. */
export interface RandomStream {
  /** The next integer in [0, 2^32). */
  uint32(): number;
  /** The next number in [0, 1), a multiple of 2^-32. */
  uniform(): number;
  /** The next integer in [0, bound), for a bound up to 2^32; its bias is at most bound / 2^32. */
  below(bound: number): number;
  /** The next draw from the standard normal distribution (Box-Muller). */
  normal(): number;
}

/**
 * Random stream with the key (seed, purpose, a, b). Its words are threefry2x32(subkey, [i, 0]) for i = 0, 1, ...,
 * where subkey = threefry2x32([seed, purpose], [a, b]). All four numbers count as uint32.
 */
export function randomStream(seed: number, purpose: Purpose, a = 0, b = 0): RandomStream {
  const words = new Uint32Array(2);
  threefry2x32(seed, purpose, a, b, words);
  const [key0 = 0, key1 = 0] = words;
  let block = 0;
  let used = 2;
  const uint32 = (): number => {
    if (used === 2) {
      threefry2x32(key0, key1, block++, 0, words);
      used = 0;
    }
    return words[used++] as number;
  };
  const uniform = (): number => uint32() / 2 ** 32;
  return {
    uint32,
    uniform,
    below: (bound) => Math.floor(uniform() * bound),
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}
