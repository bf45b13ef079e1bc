import * as tf from '@tensorflow/tfjs';
import { expect } from 'vitest';
import {
  biasedConv2d,
  pooledConv2d,
  supportsPooledConv2d,
  type Convolution2d,
} from '../../../shared/kernels/fused-ops.ts';
import { fusedReference, type Behind } from '../../support/reference-fused.ts';
import { relativeError, sized, type ConvGeometry } from '../../support/reference-kernels.ts';
import { values } from './arbitraries.ts';

/** Maximum error relative to the largest value. */
export const MAX_ERROR = 1e-5;

export const settingsOf = ({ strideY, strideX, pad }: ConvGeometry, relu: boolean): Convolution2d => ({
  strides: [strideY, strideX],
  padding: pad === 'same' ? 'same' : 'valid',
  relu,
});

/** Output of a fused convolution and its gradients by input, filter and bias. */
export interface FusedValues extends Record<string, Float32Array> {
  readonly y: Float32Array;
  readonly byInput: Float32Array;
  readonly byFilter: Float32Array;
  readonly byBias: Float32Array;
}

/** Shape of the output. */
function outShape(g: ConvGeometry, pool: boolean): number[] {
  const { outHeight, outWidth } = sized(g);
  const side = (length: number): number => (pool ? Math.floor(length / 2) : length);
  return [g.batch, side(outHeight), side(outWidth), g.filters];
}

/** Operands with values in -1 .. 1: x, filter, bias and gradient of the output. */
export function operands(
  g: ConvGeometry,
  pool: boolean,
): [Float32Array, Float32Array, Float32Array, Float32Array] {
  return [
    values(g.batch * g.height * g.width * g.channels, 1),
    values(g.filterHeight * g.filterWidth * g.channels * g.filters, 2),
    values(g.filters, 3),
    values(tf.util.sizeFromShape(outShape(g, pool)), 4),
  ];
}

/** Computes a fused convolution with gradients. */
export function computeFused(
  [xs, filters, biases, dys]: readonly Float32Array[],
  g: ConvGeometry,
  { relu, pool }: Behind,
): FusedValues {
  const before = tf.memory().numTensors;
  const result = tf.tidy(() => {
    const x = tf.tensor(xs!, [g.batch, g.height, g.width, g.channels]);
    const filter = tf.tensor(filters!, [g.filterHeight, g.filterWidth, g.channels, g.filters]);
    const bias = tf.tensor(biases!, [g.filters]);
    const how = settingsOf(g, relu);
    const { value, grads } = tf.valueAndGrads((...[a, b, c]: tf.Tensor[]) => {
      if (pool && !supportsPooledConv2d(tf, a!, b!.shape, how))
        throw new Error('The backend does not compute this convolution with its pool.');
      return (pool ? pooledConv2d : biasedConv2d)(tf, a!, b!, c!, how);
    })([x, filter, bias], tf.tensor(dys!, outShape(g, pool)));
    expect(value.shape).toEqual(outShape(g, pool));
    expect(grads.map(({ shape }) => shape)).toEqual([x.shape, filter.shape, bias.shape]);
    const [y, byInput, byFilter, byBias] = [value, ...grads].map((t) => t.dataSync<'float32'>().slice());
    return { y, byInput, byFilter, byBias } as FusedValues;
  });
  expect(tf.memory().numTensors).toBe(before);
  return result;
}

/** Compares a fused convolution and its gradients with plain loops in float64. */
export function checkFused(g: ConvGeometry, behind: Behind): void {
  const [x, filter, bias, dys] = operands(g, behind.pool);
  const expected = fusedReference([x, filter, bias, dys], g, behind);
  const found = computeFused([x, filter, bias, expected.dy], g, behind);
  const taps = g.filterHeight * g.filterWidth;
  const pixels = dys.length / g.filters;
  const terms = { y: taps * g.channels, byInput: taps * g.filters, byFilter: pixels, byBias: pixels };
  for (const part of ['y', 'byInput', 'byFilter', 'byBias'] as const)
    expect(relativeError(found[part], expected[part], terms[part]), part).toBeLessThan(MAX_ERROR);
}
