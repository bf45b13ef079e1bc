import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import {
  orthonormalColumns,
  registerMatrixInitializers,
} from '../../../coordinator/model/matrix-initializers.ts';

test('columns are orthonormal and depend on the seed alone', () => {
  const columns = orthonormalColumns(40, 30, 7);
  expect(columns).toHaveLength(30);
  columns.forEach((left, i) =>
    columns.forEach((right, j) => {
      const product = left.reduce((sum, value, r) => sum + value * (right[r] ?? 0), 0);
      expect(product).toBeCloseTo(i === j ? 1 : 0, 12);
    }),
  );
  expect(orthonormalColumns(40, 30, 7)).toEqual(columns);
  expect(orthonormalColumns(40, 30, 8)).not.toEqual(columns);
});

test.each([
  [[3, 5], 3],
  [[5, 3], 3],
  [[2, 2, 3], 3],
])('the initializer makes orthogonal tensors of shape %j', async (shape, rank) => {
  await tf.setBackend('cpu');
  registerMatrixInitializers(tf);
  const layer = tf.layers.embedding({
    inputDim: 1,
    outputDim: 1,
    embeddingsInitializer: { className: 'Orthogonal', config: { gain: 2, seed: 3 } } as never,
  }) as unknown as { embeddingsInitializer: { apply(shape: number[]): tf.Tensor } };
  const made = layer.embeddingsInitializer.apply(shape);
  expect(made.shape).toEqual(shape);
  const columns = shape.at(-1) ?? 0;
  const matrix = made.reshape<tf.Tensor2D>([-1, columns]);
  const wide = matrix.shape[0] < columns;
  const product = await tf.matMul(matrix, matrix, !wide, wide).array();
  (product as number[][]).forEach((row, i) =>
    row.forEach((value, j) => expect(value).toBeCloseTo(i === j ? 4 : 0, 5)),
  );
  expect((product as number[][]).length).toBe(rank);
});
