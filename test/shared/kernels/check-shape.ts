import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import { registerAveragePoolGradients } from '../../../shared/engine/gradient-corrections.ts';
import type { GuardedHeap } from '../../support/guarded-heap.ts';
import {
  averagePool,
  averagePoolGradient,
  convFilterGradient,
  convForward,
  convInputGradient,
  maxPool,
  maxPoolGradient,
  sized,
  type ConvGeometry,
} from '../../support/reference-kernels.ts';
import { tfPad, values } from './arbitraries.ts';
import { runKernel } from './wasm-backend.ts';

/** Maximum error of a sum of products of values in -1 .. 1, divided by the square root of the number of terms. */
const TOLERANCE = 1e-5;

function expectClose(actual: Float32Array, expected: Float64Array, terms: number): void {
  expect(actual).toHaveLength(expected.length);
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(expected[i]! - actual[i]!);
    largest = Number.isNaN(difference) ? Infinity : Math.max(largest, difference);
  }
  expect(largest).toBeLessThan(TOLERANCE * Math.sqrt(terms));
}

const tensor = (shape: number[], salt: number): tf.Tensor =>
  tf.tensor(values(tf.util.sizeFromShape(shape), salt), shape);

/**
 * Compares a convolution, or a depthwise one, and its gradients with plain loops, and checks that the kernels read and write only
 * their tensors.
 * @param multiplier of a depthwise convolution, or undefined
 */
export function checkConvolution(
  g: ConvGeometry,
  heap: Pick<GuardedHeap, 'check'>,
  multiplier?: number,
): void {
  const { outHeight, outWidth } = sized(g);
  const depthwise = multiplier !== undefined;
  const x = tensor([g.batch, g.height, g.width, g.channels], 1);
  const dy = tensor([g.batch, outHeight, outWidth, depthwise ? g.channels * multiplier : g.filters], 2);
  const filter = tensor([g.filterHeight, g.filterWidth, g.channels, multiplier ?? g.filters], 3);
  const attrs = { strides: [g.strideY, g.strideX], pad: tfPad(g), dataFormat: 'NHWC', dilations: [1, 1] };
  const names = depthwise
    ? ([
        'DepthwiseConv2dNative',
        'DepthwiseConv2dNativeBackpropFilter',
        'DepthwiseConv2dNativeBackpropInput',
      ] as const)
    : (['Conv2D', 'Conv2DBackpropFilter', 'Conv2DBackpropInput'] as const);
  const [forward, byFilter, byInput] = [
    runKernel(names[0], { x, filter }, attrs),
    runKernel(names[1], { x, dy }, { ...attrs, filterShape: filter.shape }),
    runKernel(names[2], { dy, filter }, { ...attrs, inputShape: x.shape }),
  ];
  heap.check();
  const xs = x.dataSync();
  const dys = dy.dataSync();
  const filters = filter.dataSync();
  expect([forward.shape, byFilter.shape, byInput.shape]).toEqual([dy.shape, filter.shape, x.shape]);
  const taps = g.filterHeight * g.filterWidth;
  expectClose(forward.values, convForward(xs, filters, g, multiplier), taps * g.channels);
  const pixels = g.batch * outHeight * outWidth;
  expectClose(byFilter.values, convFilterGradient(xs, dys, g, multiplier), pixels);
  expectClose(byInput.values, convInputGradient(filters, dys, g, multiplier), taps * g.filters);
  tf.dispose([x, dy, filter]);
}

/** Compares a max-pool and an average pool and their gradients with plain loops; `filters` must equal `channels`. */
export function checkPools(geometry: ConvGeometry, heap: Pick<GuardedHeap, 'check'>): void {
  const g = { ...geometry, filters: geometry.channels };
  const { outHeight, outWidth } = sized(g);
  registerAveragePoolGradients(tf);
  const x = tensor([g.batch, g.height, g.width, g.channels], 4) as tf.Tensor4D;
  const dy = tensor([g.batch, outHeight, outWidth, g.channels], 5) as tf.Tensor4D;
  const window = [[g.filterHeight, g.filterWidth], [g.strideY, g.strideX], tfPad(g)] as Parameters<
    typeof tf.maxPool
  > extends [unknown, ...infer Rest]
    ? Rest
    : never;
  const xs = x.dataSync();
  const dys = dy.dataSync();
  for (const [pool, value, gradient] of [
    [tf.maxPool, maxPool(xs, g), maxPoolGradient(xs, dys, g)],
    [tf.avgPool, averagePool(xs, g), averagePoolGradient(dys, g)],
  ] as const) {
    const { value: y, grad } = tf.valueAndGrad((t: tf.Tensor) => pool(t as tf.Tensor4D, ...window))(x, dy);
    const found = [y, grad].map((each) => each.dataSync<'float32'>().slice());
    tf.dispose([y, grad]);
    heap.check();
    expectClose(found[0]!, value, 1);
    expectClose(found[1]!, gradient, outHeight * outWidth);
  }
  tf.dispose([x, dy]);
}
