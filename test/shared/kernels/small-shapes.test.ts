import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import { testSeed } from '../../support/property.ts';
import { checkConvolution, checkPools } from './check-shape.ts';
import { smallShapes } from './small-shapes.ts';
import { runKernel, useGuardedWasm, variants } from './wasm-backend.ts';

/** Tests every n-th shape; small-shapes.long.test.ts tests all. */
const ONE_IN = 250;

describe.each(variants)('kernels on small images, guarded on both sides, $name', ({ kernels }) => {
  const heap = useGuardedWasm(kernels);

  it('agree with plain loops and access only their tensors', () => {
    const seed = testSeed(12);
    const stream = randomStream(seed, Purpose.syntheticDigits);
    let count = 0;
    for (const g of smallShapes(seed, 2)) {
      if (stream.below(ONE_IN) > 0) continue;
      checkConvolution(g, heap);
      checkConvolution(g, heap, 1 + (count % 3));
      checkPools(g, heap);
      count++;
    }
    expect(count).toBeGreaterThan(50);
  });

  it('write nothing for an empty output', () => {
    const x = tf.ones([2, 2, 2, 4]);
    for (const channels of [4, 5]) {
      const filter = tf.ones([3, 3, 4, channels]);
      const attrs = { strides: [1, 1], pad: 'valid', dataFormat: 'NHWC', dilations: [1, 1] };
      const empty = tf.tensor4d([], [2, 0, 0, channels]);
      expect(runKernel('Conv2D', { x, filter }, attrs).shape).toEqual([2, 0, 0, channels]);
      expect(runKernel('FusedConv2D', { x, filter }, { ...attrs, activation: 'relu' }).shape).toEqual([
        2,
        0,
        0,
        channels,
      ]);
      expect(runKernel('DepthwiseConv2dNative', { x, filter }, attrs).shape).toEqual([2, 0, 0, 4 * channels]);
      heap.check();
      const byFilter = runKernel(
        'Conv2DBackpropFilter',
        { x, dy: empty },
        { ...attrs, filterShape: filter.shape },
      );
      expect(byFilter.values).toEqual(new Float32Array(filter.size));
      const byInput = runKernel(
        'Conv2DBackpropInput',
        { dy: empty, filter },
        { ...attrs, inputShape: x.shape },
      );
      expect(byInput.values).toEqual(new Float32Array(x.size));
      heap.check();
      tf.dispose([filter, empty]);
    }
    for (const name of ['MaxPool', 'AvgPool']) {
      const pool = { filterSize: [3, 3], strides: [1, 1], pad: 'valid' };
      expect(runKernel(name, { x }, pool).shape).toEqual([2, 0, 0, 4]);
      heap.check();
    }
    const a = tf.tensor3d([], [1, 3, 0]);
    const b = tf.tensor3d([], [1, 0, 5]);
    const product = runKernel('BatchMatMul', { a, b }, { transposeA: false, transposeB: false });
    expect(product).toEqual({ shape: [1, 3, 5], values: new Float32Array(15) });
    const fused = { transposeA: false, transposeB: false, activation: 'linear' };
    if (kernels.simd) expect(runKernel('_FusedMatMul', { a, b }, fused)).toEqual(product);
    heap.check();
    tf.dispose([x, a, b]);
  });
});
