import { describe, expect, it } from 'vitest';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { sampleFromPicture, takesDigits, type Picture } from '../../../coordinator/predict/digit-image.ts';
import { imagesOf } from '../../support/images.ts';

const SIDE = 28;
const digit = imagesOf(syntheticDigits({ seed: 5, trainCount: 1, testCount: 1 }).train);

/** Picture whose pixels are returned by `paint`: red, green, blue, opacity. */
function picture(side: number, paint: (x: number, y: number) => readonly number[]): Picture {
  const rgba = new Uint8Array(side * side * 4);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) rgba.set(paint(x, y), 4 * (y * side + x));
  }
  return { width: side, height: side, rgba };
}

/** Digit in a field, each of its pixels a square. */
const enlarged = (side: number, squares: number, ink: (value: number) => readonly number[]): Picture =>
  picture(side, (x, y) => {
    const [u, v] = [x, y].map((at) => Math.floor((at - 9) / squares)) as [number, number];
    const inside = u >= 0 && v >= 0 && u < SIDE && v < SIDE;
    return ink(inside ? (digit[v * SIDE + u] ?? 0) : 0);
  });
const light = (value: number): readonly number[] => [value, value, value, 255];

const furthest = (a: Uint8Array, b: Uint8Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? NaN))), 0);

describe('a picture', () => {
  it("of the model's size keeps its pixels, light on dark and dark on light", () => {
    const one = picture(SIDE, (x, y) => light(digit[y * SIDE + x] ?? 0));
    expect(sampleFromPicture(one, [SIDE, SIDE, 1])).toEqual(digit.slice(0, SIDE * SIDE));
    const negative = picture(SIDE, (x, y) => light(255 - (digit[y * SIDE + x] ?? 0)));
    expect(sampleFromPicture(negative, [SIDE, SIDE, 1])).toEqual(digit.slice(0, SIDE * SIDE));
  });

  it('results in the same sample for any size, position and color of the ink', () => {
    const small = sampleFromPicture(enlarged(50, 1, light), [SIDE, SIDE, 1]);
    for (const large of [
      enlarged(120, 3, light),
      enlarged(2_000, 70, light),
      enlarged(120, 3, (value) => light(255 - value)),
      // Black ink over a transparent background; the opacity is the amount of ink.
      enlarged(120, 3, (value) => [0, 0, 0, value]),
    ]) {
      expect(furthest(sampleFromPicture(large, [SIDE, SIDE, 1]), small)).toBeLessThanOrEqual(1);
    }
  });

  it('is a digit for a model of gray digits only', () => {
    const inputs = [{ name: 'image', shape: [SIDE, SIDE, 1], dtype: 'uint8' as const }];
    const data = (name: string) => ({ name, trainSamples: 1, testSamples: 1 });
    expect(takesDigits({ inputs, data: data('mnist') })).toBe(true);
    expect(takesDigits({ inputs, data: data('drawn-digits') })).toBe(true);
    expect(takesDigits({ inputs, data: data('fashion-mnist') })).toBe(false);
    expect(takesDigits({ inputs, data: data('mnist (own files)') })).toBe(false);
    const color = [{ ...inputs[0]!, shape: [SIDE, SIDE, 3] }];
    expect(takesDigits({ inputs: color, data: data('mnist') })).toBe(false);
  });

  it('without ink is an error', () => {
    const paper = picture(40, () => light(250));
    expect(() => sampleFromPicture(paper, [SIDE, SIDE, 1])).toThrow('The picture is empty');
  });
});
