import { describe, expect, it } from 'vitest';
import { limitTrainSamples, type Split } from '../../../shared/data/dataset.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';

const PIXELS = 784;
const drawn = syntheticDigits({ seed: 3, trainCount: 4000, testCount: 1000 });

describe('drawn digits', () => {
  it('say what they are', () => {
    expect(drawn).toMatchObject({ name: 'drawn-digits', sampleShape: [28, 28, 1], classes: 10 });
    expect(drawn.description).toContain('not MNIST');
    expect(drawn.train.images.length).toBe(4000 * PIXELS);
    expect(drawn.test.labels.length).toBe(1000);
  });

  it('are the same bytes for the same seed, and others for another', () => {
    const again = syntheticDigits({ seed: 3, trainCount: 50, testCount: 50 });
    expect(again.test.images).toEqual(drawn.test.images.subarray(0, 50 * PIXELS));
    const other = syntheticDigits({ seed: 4, trainCount: 50, testCount: 50 });
    expect(other.test.images).not.toEqual(again.test.images);
    expect(other.train.labels).not.toEqual(again.train.labels);
  });

  it('are the same up to a limit, however many are drawn', () => {
    const few = syntheticDigits({ seed: 3, trainCount: 70, testCount: 1 });
    expect(few.train).toEqual(limitTrainSamples(drawn, 70).train);
  });

  it('differ between training and test', () => {
    expect(drawn.train.images.subarray(0, PIXELS)).not.toEqual(drawn.test.images.subarray(0, PIXELS));
  });

  it('have every class about equally often', () => {
    const counts = new Array<number>(10).fill(0);
    for (const label of drawn.train.labels) counts[label]!++;
    // 400 expected each, standard deviation 19.
    expect(Math.min(...counts)).toBeGreaterThan(320);
    expect(Math.max(...counts)).toBeLessThan(480);
  });

  it('have about as much ink as MNIST, none of it lost at the border', () => {
    const { images, count } = drawn.train;
    let sum = 0;
    for (const value of images) sum += value;
    expect(sum / images.length / 255).toBeGreaterThan(0.08);
    expect(sum / images.length / 255).toBeLessThan(0.18);
    let inked = 0;
    for (let i = 0; i < count; i++) if (borderMaximum(images, i) > 150) inked++;
    expect(inked / count).toBeLessThan(0.05);
  });

  it('are neither trivial nor hopeless for the nearest class mean', () => {
    const accuracy = nearestMeanAccuracy(drawn.train, drawn.test);
    expect(accuracy).toBeGreaterThan(0.6);
    expect(accuracy).toBeLessThan(0.9);
  });
});

describe('a limit', () => {
  it('keeps the first training samples and all test samples', () => {
    const limited = limitTrainSamples(drawn, 10);
    expect(limited.train.count).toBe(10);
    expect(limited.train.labels).toEqual(drawn.train.labels.subarray(0, 10));
    expect(limited.train.images).toEqual(drawn.train.images.subarray(0, 10 * PIXELS));
    expect(limited.test).toBe(drawn.test);
  });

  it('above the number of samples changes nothing', () => {
    expect(limitTrainSamples(drawn, 4000)).toBe(drawn);
    expect(limitTrainSamples(drawn, 9999)).toBe(drawn);
  });

  it.each([0, -1, 1.5, NaN])('of %s is refused', (limit) => {
    expect(() => limitTrainSamples(drawn, limit)).toThrow(RangeError);
  });
});

function borderMaximum(images: Uint8Array, sample: number): number {
  let most = 0;
  for (let k = 0; k < 28; k++) {
    for (const pixel of [k, 27 * 28 + k, k * 28, k * 28 + 27]) {
      most = Math.max(most, images[sample * PIXELS + pixel]!);
    }
  }
  return most;
}

function nearestMeanAccuracy(train: Split, test: Split): number {
  const means = Array.from({ length: 10 }, () => new Float64Array(PIXELS));
  const counts = new Array<number>(10).fill(0);
  for (let i = 0; i < train.count; i++) {
    const label = train.labels[i]!;
    counts[label]!++;
    for (let p = 0; p < PIXELS; p++) means[label]![p]! += train.images[i * PIXELS + p]!;
  }
  means.forEach((mean, label) => mean.forEach((sum, p) => (mean[p] = sum / counts[label]!)));
  let correct = 0;
  for (let i = 0; i < test.count; i++) {
    const distances = means.map((mean) =>
      mean.reduce((sum, value, p) => sum + (test.images[i * PIXELS + p]! - value) ** 2, 0),
    );
    if (distances.indexOf(Math.min(...distances)) === test.labels[i]) correct++;
  }
  return correct / test.count;
}
