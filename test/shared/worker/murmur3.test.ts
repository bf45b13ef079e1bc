import { expect, it } from 'vitest';
import { murmur3 } from '../../../shared/worker/engine-fingerprint.ts';

// Published results of the reference implementation (smhasher).
it.each([
  [[], 0, 0],
  [[], 1, 0x514e28b7],
  [[0xffffffff], 0, 0x76293b50],
  [[0x87654321], 0, 0xf55b516b],
  [[0x87654321], 0x5082edee, 0x2362f9de],
  [[0], 0, 0x2362f9de],
  [[0x61616161], 0x9747b28c, 0x5a97808a],
  [[0x74736574], 0, 0xba6bd213],
])('murmur3 hashes the words %j with seed %i like the reference implementation', (words, seed, expected) => {
  expect(murmur3(Uint32Array.from(words), seed)).toBe(expected);
});
