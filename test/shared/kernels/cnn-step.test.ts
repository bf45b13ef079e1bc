import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { simdKernels } from '../../../shared/kernels/wasm/simd.ts';
import { relativeError } from '../../support/reference-kernels.ts';
import { values } from './arbitraries.ts';
import { heapBytes, startWasm, variants } from './wasm-backend.ts';

const batch = 5;

describe.each(variants)('a gradient step of a small CNN, $name', ({ kernels }) => {
  beforeAll(() => startWasm(kernels));

  it("runs on gradcast's WebAssembly in the backend's memory", () => {
    expect(simdKernels(tf.backend() as unknown as Parameters<typeof simdKernels>[0])).not.toBeNull();
  });

  it("agrees with tfjs' plain JavaScript backend", async () => {
    const onWasm = step();
    await tf.setBackend('cpu');
    const reference = step();
    await tf.setBackend('wasm');
    onWasm.forEach((gradient, i) => expect(relativeError(gradient, reference[i]!)).toBeLessThan(1e-4));
  });

  it('gives the same bits when repeated', () => {
    expect(step()).toEqual(step());
  });

  it('leaks no tensor and no memory', () => {
    for (let i = 0; i < 5; i++) step();
    const tensors = tf.memory().numTensors;
    const buffers = tf.memory().numDataBuffers;
    const bytes = heapBytes();
    for (let i = 0; i < 100; i++) step();
    expect([tf.memory().numTensors, tf.memory().numDataBuffers, heapBytes()]).toEqual([
      tensors,
      buffers,
      bytes,
    ]);
  });
});

/** Gradients of the weights of two convolutions, a pool and two dense layers. */
function step(): Float32Array[] {
  return tf.tidy(() => {
    let salt = 0;
    const tensor = (...shape: number[]) => {
      const size = tf.util.sizeFromShape(shape);
      return tf.mul(
        tf.tensor(values(size, ++salt), shape),
        1 / Math.sqrt(shape.slice(0, -1).reduce((p, q) => p * q, 1)),
      );
    };
    const x = tensor(batch, 13, 11, 2).mul<tf.Tensor4D>(8);
    const labels = tf.oneHot(tf.tensor1d([0, 3, 1, 2, 3], 'int32'), 4);
    const weights = [
      tensor(3, 3, 2, 6),
      tensor(6),
      tensor(3, 3, 6, 7),
      tensor(7),
      tensor(84, 9),
      tensor(9),
      tensor(9, 4),
    ];
    const gradients = tf.grads((...w: tf.Tensor[]) => {
      const conv = (input: tf.Tensor4D, i: number, stride: number) =>
        tf.relu<tf.Tensor4D>(tf.add(tf.conv2d(input, w[i] as tf.Tensor4D, stride, 'same'), w[i + 1]!));
      const pooled = tf.maxPool(conv(conv(x, 0, 1), 2, 2), 2, 2, 'same');
      const hidden = tf.relu(tf.add(tf.matMul(tf.reshape(pooled, [batch, 84]), w[4]!), w[5]!));
      return tf.losses.softmaxCrossEntropy(labels, tf.matMul(hidden, w[6]!));
    })(weights);
    return gradients.map((gradient) => gradient.dataSync<'float32'>().slice());
  });
}
