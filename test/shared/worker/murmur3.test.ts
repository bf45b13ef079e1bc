import { expect, it } from 'vitest';
import { murmur3 } from '../../../shared/worker/engine-fingerprint.ts';

// Of the reference implementation (smhasher), as collected in many places.
it.each([
  [[], 0, 0],
  [[], 1, 0x514e28b7],
  [[0xffffffff], 0, 0x76293b50],
  [[0x87654321], 0, 0xf55b516b],
  [[0x87654321], 0x5082edee, 0x2362f9de],
  [[0], 0, 0x2362f9de],
  [[0x61616161], 0x9747b28c, 0x5a97808a],
  [[0x74736574], 0, 0xba6bd213],
])('the words %j with seed %i', (words, seed, expected) => {
  expect(murmur3(Uint32Array.from(words), seed)).toBe(expected);
});
