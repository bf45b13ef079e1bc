import { storedDataset } from '../../support/images.ts';
import { expect, test } from 'vitest';
import { withClassWeights } from '../../../coordinator/data/class-weights.ts';
import { imageDataset } from '../../../shared/data/dataset.ts';

const split = { images: new Uint8Array(4), labels: Uint8Array.of(0, 1, 2, 1), count: 4 };
const dataset = imageDataset({
  name: 'made',
  description: '',
  sampleShape: [1, 1, 1],
  classes: 3,
  train: split,
  test: split,
});

test('training samples get the weights of their classes, times their own', () => {
  const weighted = storedDataset(withClassWeights(dataset, { '1': 5, '2': 0.5 }));
  expect(weighted.train.weights).toEqual(Float32Array.of(1, 5, 0.5, 5));
  expect(weighted.test.weights).toBeUndefined();
  expect(storedDataset(withClassWeights(weighted, { '0': 3, '1': 2 })).train.weights).toEqual(
    Float32Array.of(3, 10, 0.5, 10),
  );
});

test('a weight of no class, and samples without classes, are refused', () => {
  expect(() => withClassWeights(dataset, { '3': 1 })).toThrow(
    'There is a weight for class 3, but made has the classes 0 to 2.',
  );
  const target = { ...dataset.targets[0]!, classes: undefined };
  expect(() => withClassWeights({ ...dataset, targets: [target] }, { '0': 1 })).toThrow(
    'Class weights need one class for each sample, which made does not have.',
  );
});
