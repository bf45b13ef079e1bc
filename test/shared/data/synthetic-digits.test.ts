import { describe, expect, it } from 'vitest';
import { limitTrainSamples, type Split } from '../../../shared/data/dataset.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

const PIXELS = 784;
const digits = syntheticDigits({ seed: 3, trainCount: 4000, testCount: 1000 });

describe('synthetic digits', () => {
  it('have a name, a description and sizes', () => {
    expect(digits).toMatchObject({ name: 'drawn-digits', ...imageTensors([28, 28, 1], 10) });
    expect(digits.description).toContain('not MNIST');
    expect(imagesOf(digits.train).length).toBe(4000 * PIXELS);
    expect(labelsOf(digits.test).length).toBe(1000);
  });

  it('depend on the seed', () => {
    const again = syntheticDigits({ seed: 3, trainCount: 50, testCount: 50 });
    expect(imagesOf(again.test)).toEqual(imagesOf(digits.test).subarray(0, 50 * PIXELS));
    const other = syntheticDigits({ seed: 4, trainCount: 50, testCount: 50 });
    expect(imagesOf(other.test)).not.toEqual(imagesOf(again.test));
    expect(labelsOf(other.train)).not.toEqual(labelsOf(again.train));
  });

  it('do not depend on the number of samples', () => {
    const few = syntheticDigits({ seed: 3, trainCount: 70, testCount: 1 });
    expect(few.train).toEqual(limitTrainSamples(digits, 70).train);
  });

  it('differ between training and test', () => {
    expect(imagesOf(digits.train).subarray(0, PIXELS)).not.toEqual(imagesOf(digits.test).subarray(0, PIXELS));
  });

  it('have balanced classes', () => {
    const counts = new Array<number>(10).fill(0);
    for (const label of labelsOf(digits.train)) counts[label]!++;
    // 400 expected each, standard deviation 19.
    expect(Math.min(...counts)).toBeGreaterThan(320);
    expect(Math.max(...counts)).toBeLessThan(480);
  });

  it('have about as much ink as MNIST, with little at the border', () => {
    const { count } = digits.train;
    const images = imagesOf(digits.train);
    let sum = 0;
    for (const value of images) sum += value;
    expect(sum / images.length / 255).toBeGreaterThan(0.08);
    expect(sum / images.length / 255).toBeLessThan(0.18);
    let inked = 0;
    for (let i = 0; i < count; i++) if (borderMaximum(images, i) > 150) inked++;
    expect(inked / count).toBeLessThan(0.05);
  });

  it('are neither trivial nor impossible for a nearest-mean classifier', () => {
    const accuracy = nearestMeanAccuracy(digits.train, digits.test);
    expect(accuracy).toBeGreaterThan(0.6);
    expect(accuracy).toBeLessThan(0.9);
  });
});

describe('limitTrainSamples', () => {
  it('keeps the first training samples and all test samples', () => {
    const limited = limitTrainSamples(digits, 10);
    expect(limited.train.count).toBe(10);
    expect(labelsOf(limited.train)).toEqual(labelsOf(digits.train).subarray(0, 10));
    expect(imagesOf(limited.train)).toEqual(imagesOf(digits.train).subarray(0, 10 * PIXELS));
    expect(limited.test).toBe(digits.test);
  });

  it('changes nothing for a limit of at least the number of samples', () => {
    expect(limitTrainSamples(digits, 4000)).toBe(digits);
    expect(limitTrainSamples(digits, 9999)).toBe(digits);
  });

  it.each([0, -1, 1.5, NaN])('rejects a limit of %s', (limit) => {
    expect(() => limitTrainSamples(digits, limit)).toThrow(RangeError);
  });
});

function borderMaximum(images: Uint8Array, sample: number): number {
  let maximum = 0;
  for (let k = 0; k < 28; k++) {
    for (const pixel of [k, 27 * 28 + k, k * 28, k * 28 + 27]) {
      maximum = Math.max(maximum, images[sample * PIXELS + pixel]!);
    }
  }
  return maximum;
}

function nearestMeanAccuracy(train: Split, test: Split): number {
  const means = Array.from({ length: 10 }, () => new Float64Array(PIXELS));
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < train.count; i++) {
    const label = labelsOf(train)[i]!;
    counts[label]!++;
    for (let p = 0; p < PIXELS; p++) means[label]![p]! += imagesOf(train)[i * PIXELS + p]!;
  }
  means.forEach((mean, label) => mean.forEach((sum, p) => (mean[p] = sum / counts[label]!)));
  let correct = 0;
  for (let i = 0; i < test.count; i++) {
    const distances = means.map((mean) =>
      mean.reduce((sum, value, p) => sum + (imagesOf(test)[i * PIXELS + p]! - value) ** 2, 0),
    );
    if (distances.indexOf(Math.min(...distances)) === labelsOf(test)[i]) correct++;
  }
  return correct / test.count;
}
