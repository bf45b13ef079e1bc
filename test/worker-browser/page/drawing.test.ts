import { describe, expect, it } from 'vitest';
import {
  describePrediction,
  drawableSize,
  renderPicture,
  sampleDigit,
} from '../../../worker-browser/page/drawing.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

describe('a drawing', () => {
  const centerOfMass = (image: Uint8Array, position: (i: number) => number): number => {
    const mass = image.reduce((sum, ink) => sum + ink, 0);
    return image.reduce((sum, ink, i) => sum + ink * position(i), 0) / mass;
  };

  it('becomes a picture in the form of MNIST: its mass in the middle, within a box of 20 pixels', () => {
    // A small 7 in a corner.
    const image = renderPicture([[0.05, 0.05, 0.2, 0.05, 0.1, 0.3]], 28, 28);
    if (image === null) throw new Error('The picture is empty.');
    expect(centerOfMass(image, (i) => (i % 28) + 0.5)).toBeCloseTo(14, 0);
    expect(centerOfMass(image, (i) => Math.floor(i / 28) + 0.5)).toBeCloseTo(14, 0);
    const rows = [...image].flatMap((ink, i) => (ink > 127 ? [Math.floor(i / 28)] : []));
    const height = Math.max(...rows) - Math.min(...rows) + 1;
    expect(height).toBeGreaterThanOrEqual(18);
    expect(height).toBeLessThanOrEqual(21);
  });

  it('may be a dot, or empty', () => {
    expect(Math.max(...(renderPicture([[0.5, 0.5]], 28, 28) ?? []))).toBeGreaterThan(200);
    expect(renderPicture([], 28, 28)).toBeNull();
  });

  it('is possible for pictures with one channel only', () => {
    const size = (...sampleShape: number[]) => drawableSize(imageTensors(sampleShape, 10));
    expect(size(28, 28, 1)).toEqual({ height: 28, width: 28 });
    expect([size(32, 32, 3), size(784), size(4, 4, 1), size(1e9, 1e9, 1)]).toEqual([null, null, null, null]);
  });

  it.each(Array.from({ length: 10 }, (_, digit) => digit))('has a sample of %i inside its box', (digit) => {
    const points = sampleDigit(digit, 3).flat();
    expect(Math.min(...points)).toBeGreaterThan(0);
    expect(Math.max(...points)).toBeLessThan(1);
  });
});

it('names the most likely digit, and says when the model is not sure', () => {
  expect(describePrediction([0.02, 0.9, 0.08])).toBe('The model reads 1.');
  expect(describePrediction([0.3, 0.24, 0.46])).toBe('The model is not sure: perhaps 2.');
});
