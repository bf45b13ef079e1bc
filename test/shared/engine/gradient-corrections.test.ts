import * as tf from '@tensorflow/tfjs';
import { expect, test, vi } from 'vitest';
import {
  registerExtremumGradients,
  registerSliceGradient,
} from '../../../shared/engine/gradient-corrections.ts';

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

test('the gradient of a slice of five axes pads at most three axes at once', async () => {
  await tf.setBackend('cpu');
  registerSliceGradient(tf);
  registerSliceGradient(tf);
  const x = tf.range(0, 2 * 3 * 2 * 4 * 2).reshape([2, 3, 2, 4, 2]);
  const dy = tf.range(1, 1 + 2 * 1 * 2 * 2 * 1).reshape([2, 1, 2, 2, 1]);
  const pad = vi.spyOn(tf.engine(), 'runKernel');
  const gradient = tf.grads((each: tf.Tensor) =>
    tf.mul(dy, tf.slice(each, [0, 1, 0, 2, 1], [2, 1, 2, -1, 1])).sum(),
  )([x])[0]!;
  const padded = pad.mock.calls.filter(([name]) => name === 'PadV2');
  pad.mockRestore();
  expect(padded.map(([, { x: input }]) => (input as tf.Tensor).rank)).toEqual([3, 3, 3]);
  const expected = tf.pad(dy, [
    [0, 0],
    [1, 1],
    [0, 0],
    [2, 0],
    [1, 0],
  ]);
  expect(gradient.shape).toEqual(x.shape);
  expect([...gradient.dataSync()]).toEqual([...expected.dataSync()]);
});
