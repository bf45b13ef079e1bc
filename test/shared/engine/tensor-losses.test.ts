import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, test } from 'vitest';
import { lossSum, type LossTerm } from '../../../shared/engine/tensor-losses.ts';
import { LOSSES } from '../../../shared/model/losses.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

function gradientOf(term: Omit<LossTerm, 'factor'>, output: number[], target: number[]): number[] {
  return tf.tidy(() => {
    const gradient = tf.grad((x) => lossSum(tf, { ...term, factor: 1 }, x, tf.tensor([target]), null));
    return [...gradient(tf.tensor([output])).dataSync()];
  });
}

// Gradients and the value of Keras 3.15 with TensorFlow 2.21.
test('outputs that are equally large share the gradient of a categorical hinge', () => {
  const term = { spec: { name: 'categorical_hinge' }, isLogits: false } as const;
  expect(gradientOf(term, [0, 0, 0, 0], [1, 0, 0, 0])).toEqual([-1, 0.25, 0.25, 0.25]);
  expect(gradientOf(term, [2, 1, 1, -1], [0, 0, 1, 0])).toEqual([1, 0, -1, 0]);
});

test('the focal loss of certain and wrong outputs has the gradient and the value of logits', () => {
  const logits = [20, -20, 3, 0];
  const target = [0, 1, 1, 0];
  const spec = { name: 'binary_focal_crossentropy' } as const;
  const gradient = gradientOf({ spec, isLogits: true }, logits, target);
  const expected = [0.25, -0.25, -7.8717945e-5, 7.4571699e-2];
  expected.forEach((value, i) => expect(gradient[i]).toBeCloseTo(value, 7));
  expect(LOSSES.binary_focal_crossentropy.create({}, true)(target, 0, logits, 0, 4)).toBeCloseTo(
    10.043349,
    5,
  );
});
