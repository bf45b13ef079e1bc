import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConvGeometry } from '../../support/reference-kernels.ts';
import {
  convFilterGradient,
  convForward,
  convInputGradient,
  relativeError,
  sized,
} from '../../support/reference-kernels.ts';
import { geometries, tfPad, values, winogradGeometries } from './arbitraries.ts';
import { runKernel, startWasm, variants } from './wasm-backend.ts';
import { checkProperty } from '../../support/property.ts';

const seed: ConvGeometry = {
  batch: 1,
  height: 26,
  width: 26,
  channels: 32,
  filterHeight: 3,
  filterWidth: 3,
  filters: 32,
  strideY: 1,
  strideX: 1,
  pad: 'valid',
};

describe.each(variants)('a convolution and its gradients, $name', ({ kernels }) => {
  beforeAll(() => startWasm(kernels));

  it('agree with plain loops for any shape, stride and padding', () => {
    checkProperty(
      fc.property(geometries, (g) => {
        check(g);
      }),
      { numRuns: 150, seed: 1 },
    );
  });

  it('agree with plain loops if strides give as many outputs as the padded image has pixels', () => {
    check({
      batch: 1,
      height: 1,
      width: 2,
      channels: 1,
      filterHeight: 3,
      filterWidth: 1,
      filters: 1,
      strideY: 1,
      strideX: 2,
      pad: { top: 2, bottom: 2, left: 0, right: 1 },
    });
  });

  it('agree with plain loops for 3 x 3 taps and multiples of 4 channels', () => {
    checkProperty(
      fc.property(winogradGeometries, (g) => {
        check(g);
      }),
      { numRuns: 50, seed: 6 },
    );
  });

  it("agree with plain loops on the default model's convolutions", () => {
    check(seed);
    check({ ...seed, height: 28, width: 28, channels: 1 });
  });

  it('agree with a fused bias and activation', () => {
    for (const g of [seed, { ...seed, height: 12, width: 12, filterHeight: 2, filterWidth: 2, strideY: 3 }]) {
      const geometry = { ...g, pad: 'same' as const };
      const { x, filter } = tensors(geometry);
      const bias = tf.tensor1d(values(g.filters, 4));
      const expected = convForward(x.dataSync(), filter.dataSync(), geometry).map((value, at) =>
        Math.max(0, value + values(g.filters, 4)[at % g.filters]!),
      );
      const attrs = { strides: [g.strideY, g.strideX], pad: 'same', dilations: [1, 1], dataFormat: 'NHWC' };
      const fused = runKernel('FusedConv2D', { x, filter, bias }, { ...attrs, activation: 'relu' });
      expect(relativeError(fused.values, expected)).toBeLessThan(1e-5);
      tf.dispose([x, filter, bias]);
    }
  });

  it('support channels first', () => {
    const g = { ...seed, batch: 2, height: 7, width: 6, channels: 3, filters: 5 };
    const { x, dy } = tensors(g);
    const attrs = { strides: [1, 1], pad: 'valid', filterShape: [3, 3, 3, 5] };
    const last = runKernel('Conv2DBackpropFilter', { x, dy }, { ...attrs, dataFormat: 'NHWC' });
    const xFirst = tf.transpose(x, [0, 3, 1, 2]);
    const dyFirst = tf.transpose(dy, [0, 3, 1, 2]);
    const inputs = { x: xFirst, dy: dyFirst };
    const first = runKernel('Conv2DBackpropFilter', inputs, { ...attrs, dataFormat: 'NCHW' });
    expect(first).toEqual(last);
    tf.dispose([x, dy, xFirst, dyFirst]);
  });

  it('give the same bits when repeated', () => {
    const { x, dy } = tensors(seed);
    const attrs = { strides: [1, 1], pad: 'valid', filterShape: [3, 3, 32, 32], dataFormat: 'NHWC' };
    const once = runKernel('Conv2DBackpropFilter', { x, dy }, attrs);
    expect(runKernel('Conv2DBackpropFilter', { x, dy }, attrs)).toEqual(once);
    tf.dispose([x, dy]);
  });
});

function tensors(g: ConvGeometry) {
  const { outHeight, outWidth } = sized(g);
  const tensor = (shape: number[], salt: number) =>
    tf.tensor(values(tf.util.sizeFromShape(shape), salt), shape);
  return {
    x: tensor([g.batch, g.height, g.width, g.channels], 1),
    dy: tensor([g.batch, outHeight, outWidth, g.filters], 2),
    filter: tensor([g.filterHeight, g.filterWidth, g.channels, g.filters], 3),
  };
}

function check(g: ConvGeometry): void {
  const { x, dy, filter } = tensors(g);
  const attrs = { strides: [g.strideY, g.strideX], pad: tfPad(g), dataFormat: 'NHWC' };
  const byFilter = runKernel('Conv2DBackpropFilter', { x, dy }, { ...attrs, filterShape: filter.shape });
  const byInput = runKernel('Conv2DBackpropInput', { dy, filter }, { ...attrs, inputShape: x.shape });
  const forward = runKernel('Conv2D', { x, filter }, { ...attrs, dilations: [1, 1] });
  expect(forward.shape).toEqual(dy.shape);
  expect(byFilter.shape).toEqual(filter.shape);
  expect(byInput.shape).toEqual(x.shape);
  const xs = x.dataSync();
  const dys = dy.dataSync();
  const filters = filter.dataSync();
  const taps = g.filterHeight * g.filterWidth;
  expect(relativeError(forward.values, convForward(xs, filters, g), taps * g.channels)).toBeLessThan(1e-5);
  const expected = convFilterGradient(xs, dys, g);
  expect(relativeError(byFilter.values, expected, dys.length / g.filters)).toBeLessThan(1e-5);
  expect(relativeError(byInput.values, convInputGradient(filters, dys, g), taps * g.filters)).toBeLessThan(
    1e-5,
  );
  tf.dispose([x, dy, filter]);
}
