import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import { registerAveragePoolGradients } from '../../../shared/engine/average-pool-gradient.ts';
import type { GuardedHeap } from '../../support/guarded-heap.ts';
import {
  averagePool,
  averagePoolGradient,
  convFilterGradient,
  convForward,
  convInputGradient,
  maxPool,
  maxPoolGradient,
  relativeError,
  sized,
  type ConvGeometry,
} from '../../support/reference-kernels.ts';
import { tfPad, values } from './arbitraries.ts';
import { runKernel } from './wasm-backend.ts';

const TOLERANCE = 1e-5;

const tensor = (shape: number[], salt: number): tf.Tensor =>
  tf.tensor(values(tf.util.sizeFromShape(shape), salt), shape);

/** Whether an output of this geometry has no element. */
export function isEmpty(g: ConvGeometry): boolean {
  const { outHeight, outWidth } = sized(g);
  return outHeight <= 0 || outWidth <= 0;
}

/**
 * Compares a convolution, or depthwise one, and its gradients with plain loops, and looks for what was written or read beyond the
 * tensors.
 * @param multiplier of a depthwise convolution, or undefined
 */
export function checkConvolution(g: ConvGeometry, heap: GuardedHeap, multiplier?: number): void {
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
  const [xs, dys, filters] = [x.dataSync(), dy.dataSync(), filter.dataSync()];
  expect([forward.shape, byFilter.shape, byInput.shape]).toEqual([dy.shape, filter.shape, x.shape]);
  expect(relativeError(forward.values, convForward(xs, filters, g, multiplier))).toBeLessThan(TOLERANCE);
  expect(relativeError(byFilter.values, convFilterGradient(xs, dys, g, multiplier))).toBeLessThan(TOLERANCE);
  expect(relativeError(byInput.values, convInputGradient(filters, dys, g, multiplier))).toBeLessThan(
    TOLERANCE,
  );
  tf.dispose([x, dy, filter]);
}

/** The same of a max-pool and an average pool, whose filters are their channels. */
export function checkPools(geometry: ConvGeometry, heap: GuardedHeap): void {
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
  const [xs, dys] = [x.dataSync(), dy.dataSync()];
  for (const [pool, value, gradient] of [
    [tf.maxPool, maxPool(xs, g), maxPoolGradient(xs, dys, g)],
    [tf.avgPool, averagePool(xs, g), averagePoolGradient(dys, g)],
  ] as const) {
    const found = tf.tidy(() => {
      const { value: y, grad } = tf.valueAndGrad((t: tf.Tensor) => pool(t as tf.Tensor4D, ...window))(x, dy);
      return [y.dataSync<'float32'>().slice(), grad.dataSync<'float32'>().slice()] as const;
    });
    heap.check();
    expect(relativeError(found[0], value)).toBeLessThan(TOLERANCE);
    expect(relativeError(found[1], gradient)).toBeLessThan(TOLERANCE);
  }
  tf.dispose([x, dy]);
}
