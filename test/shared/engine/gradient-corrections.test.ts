import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { registerExtremumGradients } from '../../../shared/engine/gradient-corrections.ts';

test.each(['max', 'min'] as const)('equal values share the gradient of tf.%s', async (name) => {
  await tf.setBackend('cpu');
  registerExtremumGradients(tf);
  registerExtremumGradients(tf);
  const sign = name === 'max' ? 1 : -1;
  const x = tf.mul(
    tf.tensor2d([
      [3, 1, 3],
      [2, 2, 2],
      [0, 5, 1],
    ]),
    sign,
  );
  const dy = tf.tensor1d([1, 3, 7]);
  const gradient = tf.grads((each: tf.Tensor) => tf.mul(dy, tf[name](each, 1)).sum())([x])[0]!;
  [0.5, 0, 0.5, 1, 1, 1, 0, 7, 0].forEach((share, i) => expect(gradient.dataSync()[i]).toBeCloseTo(share, 6));
  const all = tf.grads((each: tf.Tensor) => tf[name](each))([tf.mul(tf.tensor1d([4, 4, 1]), sign)])[0]!;
  expect([...all.dataSync()]).toEqual([0.5, 0.5, 0]);
});
