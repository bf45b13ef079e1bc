import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  convFilterGradient,
  convForward,
  convInputGradient,
  relativeError,
  sized,
} from '../../support/reference-kernels.ts';
import { geometries, tfPad, values } from './arbitraries.ts';
import { runKernel, startWasm } from './wasm-backend.ts';
import { checkProperty } from '../../support/property.ts';

describe("kernels that tfjs' wasm backend lacks or computes wrongly", () => {
  beforeAll(() => startWasm({}));

  it('compute depthwise convolutions and their gradients', () => {
    checkProperty(
      fc.property(geometries, fc.integer({ min: 1, max: 3 }), (g, multiplier) => {
        const { outHeight, outWidth } = sized(g);
        const tensor = (shape: number[], salt: number) =>
          tf.tensor(values(tf.util.sizeFromShape(shape), salt), shape);
        const x = tensor([g.batch, g.height, g.width, g.channels], 1);
        const dy = tensor([g.batch, outHeight, outWidth, g.channels * multiplier], 2);
        const filter = tensor([g.filterHeight, g.filterWidth, g.channels, multiplier], 3);
        const attrs = {
          strides: [g.strideY, g.strideX],
          pad: tfPad(g),
          dilations: multiplier === 2 ? null : 1,
        };
        const name = 'DepthwiseConv2dNativeBackprop';
        const forward = runKernel('DepthwiseConv2dNative', { x, filter }, attrs);
        const byFilter = runKernel(`${name}Filter`, { x, dy }, { ...attrs, filterShape: filter.shape });
        const byInput = runKernel(`${name}Input`, { dy, filter }, { ...attrs, inputShape: x.shape });
        const xs = x.dataSync();
        const dys = dy.dataSync();
        const filters = filter.dataSync();
        const taps = g.filterHeight * g.filterWidth;
        const pixels = g.batch * outHeight * outWidth;
        for (const [found, expected, terms] of [
          [forward, convForward(xs, filters, g, multiplier), taps],
          [byFilter, convFilterGradient(xs, dys, g, multiplier), pixels],
          [byInput, convInputGradient(filters, dys, g, multiplier), taps * multiplier],
        ] as const)
          expect(relativeError(found.values, expected, terms)).toBeLessThan(1e-5);
        tf.dispose([x, dy, filter]);
      }),
      { numRuns: 60, seed: 5 },
    );
  });

  it('compute sums of rows by segment, the gradient of an embedding', () => {
    const table = tf.tensor2d(values(12, 1), [4, 3]);
    const ids = tf.tensor1d([2, 0, 2, 3], 'int32');
    const gradient = tf.tidy(() => {
      const weights = tf.tensor2d([1, 2, 3, 4], [4, 1]);
      return tf
        .grad((t: tf.Tensor) => tf.gather(t, ids).mul(weights))(table)
        .arraySync();
    });
    expect(gradient).toEqual([
      [2, 2, 2],
      [0, 0, 0],
      [4, 4, 4],
      [4, 4, 4],
    ]);
    tf.dispose([table, ids]);
  });
});
