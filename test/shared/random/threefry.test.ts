import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { threefry2x32 } from '../../../shared/random/threefry.ts';
import { checkProperty } from '../../support/property.ts';

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

function words(key: readonly [number, number], counter: readonly [number, number]): string[] {
  const out = new Uint32Array(2);
  threefry2x32(...key, ...counter, out);
  return [...out].map((word) => word.toString(16).padStart(8, '0'));
}

/** Rounds of the paper one by one, in BigInt. */
function naive([k0, k1]: readonly [number, number], [c0, c1]: readonly [number, number]): string[] {
  const mod = (x: bigint): bigint => x & 0xffffffffn;
  const keys = [BigInt(k0), BigInt(k1), BigInt(k0) ^ BigInt(k1) ^ 0x1bd11bdan];
  const rotations = [13n, 15n, 26n, 6n, 17n, 29n, 16n, 24n];
  let a = mod(BigInt(c0) + keys[0]!);
  let b = mod(BigInt(c1) + keys[1]!);
  for (let round = 0; round < 20; round++) {
    const by = rotations[round % 8]!;
    a = mod(a + b);
    b = mod((b << by) | (b >> (32n - by))) ^ a;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      a = mod(a + keys[injection % 3]!);
      b = mod(b + keys[(injection + 1) % 3]! + BigInt(injection));
    }
  }
  return [a, b].map((word) => word.toString(16).padStart(8, '0'));
}

describe('threefry2x32', () => {
  it.each([
    { key: [0, 0], counter: [0, 0], expected: ['6b200159', '99ba4efe'] },
    { key: [-1 >>> 0, -1 >>> 0], counter: [-1 >>> 0, -1 >>> 0], expected: ['1cb996fc', 'bb002be7'] },
    {
      key: [0x13198a2e, 0x03707344],
      counter: [0x243f6a88, 0x85a308d3],
      expected: ['c4923a9c', '483df7a0'],
    },
  ] as const)("gives Random123's vector for key $key and counter $counter", ({ key, counter, expected }) => {
    expect(words(key, counter)).toEqual(expected);
  });

  it('agrees with a simple implementation of the rounds', () => {
    const pair = fc.tuple(uint32, uint32);
    checkProperty(
      fc.property(pair, pair, (key, counter) => {
        expect(words(key, counter)).toEqual(naive(key, counter));
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('treats a negative int32 as the uint32 with the same bits', () => {
    expect(words([-5, -6], [-7, -8])).toEqual(words([-5 >>> 0, -6 >>> 0], [-7 >>> 0, -8 >>> 0]));
  });
});
