import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillRandomValues, inverseNormal, type Draw } from '../../../shared/kernels/masks/random-values.ts';
import { checkProperty } from '../../support/property.ts';

const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

function valuesOf(
  draw: Draw,
  { samples = range(200), size = 500, layer = 3, step = 7, seed = 1 } = {},
): Float32Array {
  const values = new Float32Array(samples.length * size).fill(NaN);
  fillRandomValues(values, { seed, step }, Uint32Array.from(samples), layer, size, draw);
  return values;
}

const moment = (values: Float32Array, power: number): number =>
  values.reduce((sum, value) => sum + value ** power, 0) / values.length;

describe('random values', () => {
  it.each<[Draw, number[]]>([
    ['uniform', [1 / 2, 1 / 3, 1 / 4, 1 / 5]],
    ['normal', [0, 1, 0, 3]],
  ])('that are %s have the moments %j', (draw, moments) => {
    const values = valuesOf(draw);
    moments.forEach((expected, i) =>
      expect(Math.abs(moment(values, i + 1) - expected)).toBeLessThan(draw === 'normal' ? 0.05 : 0.005),
    );
  });

  it.each<Draw>(['uniform', 'normal'])('that are %s do not correlate with their neighbors', (draw) => {
    const values = valuesOf(draw);
    const mean = moment(values, 1);
    const variance = moment(values, 2) - mean ** 2;
    for (const distance of [1, 2, 500]) {
      const products = values.subarray(distance).map((value, i) => (value - mean) * (values[i]! - mean));
      expect(Math.abs(moment(products, 1)) / variance).toBeLessThan(0.015);
    }
  });

  it('that are uniform are at least 0 and below 1', () => {
    const values = valuesOf('uniform');
    expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  });

  it('do not depend on the other samples of the shard', () => {
    const lists = fc.array(fc.nat(), { maxLength: 6 });
    const draws = fc.constantFrom<Draw>('uniform', 'normal', 0.3);
    checkProperty(
      fc.property(lists, fc.integer({ min: 1, max: 20 }), draws, fc.nat(6), (samples, size, draw, at) => {
        const whole = valuesOf(draw, { samples, size });
        const parts = [samples.slice(0, at), samples.slice(at)].flatMap((part) => [
          ...valuesOf(draw, { samples: part, size }),
        ]);
        return parts.length === whole.length && parts.every((value, i) => value === whole[i]);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it.each([{ seed: 9 }, { step: 3 }, { layer: 1 }])('differ for %o', (other) => {
    const one = valuesOf('normal', { samples: [5] });
    const two = valuesOf('normal', { samples: [5], ...other });
    expect(one.filter((value, i) => value === two[i])).toHaveLength(0);
  });
});

describe('inverseNormal', () => {
  // From NormalDist().inv_cdf of Python.
  it.each([
    [0.5, 0],
    [0.75, 0.6744897501960817],
    [0.925, 1.4395314709384563],
    [0.975, 1.959963984540054],
    [1 / 2 ** 33, -6.337957754553789],
    [1e-20, -9.262340089798405],
  ])('of %d is %d', (p, expected) => {
    expect(inverseNormal(p)).toBeCloseTo(expected, 9);
    if (p > 1e-10) expect(inverseNormal(1 - p)).toBeCloseTo(-expected, 5);
  });
});
