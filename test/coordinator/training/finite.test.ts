import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allFinite } from '../../../coordinator/training/finite.ts';

const value = fc.float({ noNaN: true, noDefaultInfinity: true });

describe('allFinite', () => {
  it('takes any finite values, the largest and the smallest too', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 40 }), (values) => allFinite(Float32Array.from(values))),
    );
    expect(allFinite(new Float32Array(9).fill(3.4028234663852886e38))).toBe(true);
    expect(allFinite(Float32Array.of(-0, 2 ** -149))).toBe(true);
    expect(allFinite(new Float32Array(0))).toBe(true);
  });

  it('finds one that is not, wherever it stands', () => {
    for (let length = 1; length < 20; length++) {
      for (let at = 0; at < length; at++) {
        for (const bad of [NaN, Infinity, -Infinity]) {
          const values = new Float32Array(length).fill(1.5);
          values[at] = bad;
          if (allFinite(values)) throw new Error(`${bad} at ${at} of ${length} was not found.`);
        }
      }
    }
  });

  it('is not fooled by two infinities that would cancel', () => {
    expect(allFinite(Float32Array.of(Infinity, 1, 1, 1, -Infinity))).toBe(false);
  });
});
