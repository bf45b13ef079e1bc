import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Purpose, randomStream, type RandomStream } from '../../../shared/random/stream.ts';
import { threefry2x32 } from '../../../shared/random/threefry.ts';
import { checkProperty } from '../../support/property.ts';

const take = (count: number, draw: () => number): number[] => Array.from({ length: count }, draw);
const numbers = (stream: RandomStream): number[] => take(16, () => stream.uint32());

describe('randomStream', () => {
  it('gives the same numbers for the same key', () => {
    checkProperty(
      fc.property(fc.nat(), fc.constantFrom(...Object.values(Purpose)), fc.nat(), fc.nat(), (...key) => {
        expect(numbers(randomStream(...key))).toEqual(numbers(randomStream(...key)));
      }),
      { seed: 1 },
    );
  });

  it('gives the words of threefry2x32 for the subkey in its docstring', () => {
    const subkey = new Uint32Array(2);
    const block = new Uint32Array(2);
    threefry2x32(7, Purpose.permutation, 3, 4, subkey);
    const expected = [0, 1, 2].flatMap((i) => {
      threefry2x32(subkey[0]!, subkey[1]!, i, 0, block);
      return [...block];
    });
    const stream = randomStream(7, Purpose.permutation, 3, 4);
    expect(take(6, () => stream.uint32())).toEqual(expected);
  });

  it('gives different numbers for different purposes, seeds and keys', () => {
    const streams = [
      ...Object.values(Purpose).map((purpose) => randomStream(1, purpose, 1, 1)),
      randomStream(2, Purpose.permutation, 1, 1),
      randomStream(1, Purpose.permutation, 2, 1),
      randomStream(1, Purpose.permutation, 1, 2),
    ];
    const drawn = streams.flatMap(numbers);
    expect(new Set(drawn).size).toBe(drawn.length);
  });

  it('draws uniformly from [0, 1)', () => {
    const stream = randomStream(5, Purpose.syntheticDigits);
    const drawn = take(20_000, () => stream.uniform());
    expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...drawn)).toBeLessThan(1);
    for (let tenth = 0; tenth < 10; tenth++) {
      const share = drawn.filter((x) => Math.floor(x * 10) === tenth).length / drawn.length;
      expect(Math.abs(share - 0.1)).toBeLessThan(0.01);
    }
  });

  it('draws whole numbers below any bound', () => {
    checkProperty(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, bound) => {
        const stream = randomStream(seed, Purpose.permutation);
        for (const x of take(8, () => stream.below(bound))) {
          expect(Number.isInteger(x) && x >= 0 && x < bound).toBe(true);
        }
      }),
      { seed: 2 },
    );
    const stream = randomStream(1, Purpose.permutation);
    expect(new Set(take(200, () => stream.below(6))).size).toBe(6);
  });

  it('draws normally with mean 0 and variance 1, and only finite numbers', () => {
    const stream = randomStream(9, Purpose.syntheticDigits);
    const drawn = take(20_000, () => stream.normal());
    const mean = drawn.reduce((sum, x) => sum + x, 0) / drawn.length;
    const variance = drawn.reduce((sum, x) => sum + (x - mean) ** 2, 0) / drawn.length;
    expect(drawn.every(Number.isFinite)).toBe(true);
    expect(Math.abs(mean)).toBeLessThan(0.03);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
  });
});
