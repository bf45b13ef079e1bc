import { describe, expect, it } from 'vitest';
import { stratifiedSplit } from '../../../coordinator/data/validation-split.ts';

const countOf = (numbers: Uint32Array, labels: readonly number[], label: number): number =>
  [...numbers].filter((sample) => labels[sample] === label).length;

describe('stratifiedSplit', () => {
  it('takes the fraction of each class, every sample once, in ascending order', () => {
    const labels = Array.from({ length: 150 }, (_, i) => Math.floor(i / 50));
    const { train, test } = stratifiedSplit(labels, 0.2, 7);
    expect(test).toHaveLength(30);
    expect([0, 1, 2].map((label) => countOf(test, labels, label))).toEqual([10, 10, 10]);
    expect([...train, ...test].toSorted((a, b) => a - b)).toEqual([...labels.keys()]);
    expect([...train]).toEqual([...train].toSorted((a, b) => a - b));
    expect([...test]).toEqual([...test].toSorted((a, b) => a - b));
  });

  it('depends on the seed alone', () => {
    const labels = new Uint8Array(100);
    expect(stratifiedSplit(labels, 0.1, 1)).toEqual(stratifiedSplit(labels, 0.1, 1));
    expect(stratifiedSplit(labels, 0.1, 1)).not.toEqual(stratifiedSplit(labels, 0.1, 2));
    const chosen = Array.from({ length: 200 }, (_, seed) => stratifiedSplit(labels, 0.1, seed).test[0] ?? 0);
    expect(Math.max(...chosen)).toBeGreaterThan(20);
  });

  it('keeps rare classes in both parts, and single samples in the training part', () => {
    const labels = [...Array.from({ length: 90 }, (_, i) => i % 2), 2, 2, 3, 3, 4, -5];
    const { train, test } = stratifiedSplit(labels, 0.1, 3);
    expect(test).toHaveLength(10);
    expect([0, 1, 2, 3, 4, -5].map((label) => countOf(test, labels, label))).toEqual([4, 4, 1, 1, 0, 0]);
    expect([0, 1, 2, 3, 4, -5].map((label) => countOf(train, labels, label))).toEqual([41, 41, 1, 1, 1, 1]);
  });

  it('refuses a fraction that is none, and samples that leave a part empty', () => {
    for (const fraction of [0, 1, -0.5, Number.NaN]) {
      expect(() => stratifiedSplit([0, 1, 0], fraction, 1)).toThrow(
        `A validation split is a number between 0 and 1; this one is ${fraction}.`,
      );
    }
    expect(() => stratifiedSplit([0], 0.5, 1)).toThrow(
      '1 sample cannot be divided into a training part and a test part of 0.5. Use more samples, or name a file of test samples.',
    );
    expect(() => stratifiedSplit([0, 0, 0], 0.1, 1)).toThrow('3 samples cannot be divided');
  });
});
