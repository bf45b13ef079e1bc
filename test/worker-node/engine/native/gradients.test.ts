import type { Tensor, Tensor1D, Tensor4D } from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { registerNativeGradients } from '../../../../worker-node/engine/native/gradients.ts';
import { withNative } from '../../../support/native.ts';
import { relativeDifference } from '../../../support/vectors.ts';

await withNative(({ tf, backend }) => {
  registerNativeGradients(tf, backend);

  /** Value and gradients of sum(f(...) * weights) on a backend. */
  async function gradients(on: string, shapes: number[][], f: (...xs: Tensor[]) => Tensor) {
    await tf.setBackend(on);
    return tf.tidy(() => {
      const xs = shapes.map((shape, i) => tf.randomNormal(shape, 0, 4, 'float32', i + 1));
      const y = f(...xs);
      const dy = tf.randomNormal(y.shape, 0, 1, 'float32', 9);
      return [y, ...tf.grads(f)(xs, dy)].map((tensor) => ({
        shape: tensor.shape,
        values: tensor.dataSync<'float32'>().slice(),
      }));
    });
  }

  type Case = [name: string, shapes: number[][], f: (...xs: Tensor[]) => Tensor];
  const cases: Case[] = [
    ['relu', [[3, 4, 5, 2]], (x) => tf.relu(x)],
    ['relu of a vector', [[7]], (x) => tf.relu(x)],
    ['relu6', [[3, 5]], (x) => tf.relu6(x)],
    ['sigmoid', [[3, 5]], (x) => tf.sigmoid(x)],
    ['tanh', [[3, 5]], (x) => tf.tanh(x)],
    ['a bias on images', [[2, 3, 4, 5], [5]], (a, b) => tf.add(a, b)],
    ['a bias on rows', [[6, 5], [5]], (a, b) => tf.add(a, b)],
    [
      'a bias with leading ones',
      [
        [6, 5],
        [1, 5],
      ],
      (a, b) => tf.add(a, b),
    ],
    ['a bias on 3-D', [[2, 3, 5], [5]], (a, b) => tf.add(a, b)],
    [
      'a column',
      [
        [6, 5],
        [6, 1],
      ],
      (a, b) => tf.add(a, b),
    ],
    ['the bias first', [[5], [6, 5]], (a, b) => tf.add(a, b)],
    [
      'one row',
      [
        [1, 5],
        [1, 5],
      ],
      (a, b) => tf.add(a, b),
    ],
    ['vectors', [[5], [5]], (a, b) => tf.add(a, b)],
    ['one channel', [[4, 1], [1]], (a, b) => tf.add(a, b)],
    [
      'a bias on what is used again',
      [[6, 5], [5]],
      (x, b) => tf.add(tf.add(tf.add(tf.relu(x), b), b), tf.mul(x, tf.add(x, b))),
    ],
    ...[
      [2, 3, 4, 5],
      [7, 1, 1, 3],
      [1, 5, 2, 1],
    ].flatMap((shape): Case[] => {
      const side = [shape.at(-1)!];
      const variance = (v: Tensor): Tensor => tf.add(tf.square(v), 0.5);
      return [
        [
          `batch normalisation of ${shape.join()}`,
          [shape, side, side, side, side],
          (x, mean, v, offset, scale) =>
            tf.batchNorm(
              x as Tensor4D,
              mean as Tensor1D,
              variance(v) as Tensor1D,
              offset as Tensor1D,
              scale as Tensor1D,
            ),
        ],
      ];
    }),
    [
      'batch normalisation by its own moments',
      [[3, 4, 2, 5], [5], [5]],
      (x, offset, scale) => {
        const { mean, variance } = tf.moments(x, [0, 1, 2]);
        return tf.batchNorm(
          x as Tensor4D,
          mean as Tensor1D,
          variance as Tensor1D,
          offset as Tensor1D,
          scale as Tensor1D,
          1e-3,
        );
      },
    ],
    ['all twice', [[4, 3]], (x) => tf.relu(tf.add(tf.relu(x), x))],
  ];
  test.each(cases)('%s: value and gradients equal those of stock tfjs', async (_, shapes, f) => {
    const native = await gradients('tensorflow', shapes, f);
    const stock = await gradients('cpu', shapes, f);
    stock.forEach(({ shape, values }, i) => {
      expect(native[i]?.shape).toEqual(shape);
      expect(relativeDifference(native[i]!.values, values)).toBeLessThan(1e-5);
    });
  });

  test('gradients leak no tensor', async () => {
    await tf.setBackend('tensorflow');
    const before = tf.memory().numTensors;
    for (const [, shapes, f] of cases) await gradients('tensorflow', shapes, f);
    expect(tf.memory().numTensors).toBe(before);
  });
});
