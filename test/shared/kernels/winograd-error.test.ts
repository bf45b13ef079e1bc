import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import {
  convFilterGradient,
  convForward,
  convInputGradient,
  sized,
  type ConvGeometry,
} from '../../support/reference-kernels.ts';
import { runKernel, startWasm } from './wasm-backend.ts';

// Error of Winograd's algorithm. Keras' convolution on TensorFlow has that of plain sums in float32.

const geometry = (channels: number): ConvGeometry => ({
  ...{ batch: 1, height: 13, width: 14, channels, filterHeight: 3, filterWidth: 3, filters: channels },
  ...{ strideY: 1, strideX: 1, pad: 'same' },
});

/** Values of a normal distribution, or their positive parts, as behind a ReLU. */
function normal(length: number, seed: number, isPositive = false): Float32Array {
  const stream = randomStream(seed, Purpose.syntheticDigits);
  return Float32Array.from({ length }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - stream.uniform()));
    const value = radius * Math.cos(2 * Math.PI * stream.uniform());
    return isPositive ? Math.max(0, value) : value;
  });
}

/** Root of the mean square of the differences, relative to that of the expected values. */
function rmsError(actual: Float32Array, expected: Float64Array): number {
  let [difference, total] = [0, 0];
  expected.forEach((value, i) => {
    difference += (value - actual[i]!) ** 2;
    total += value ** 2;
  });
  return Math.sqrt(difference / total);
}

/** Convolution with sums in float32, in order of rows, columns and channels of the filter. */
function plainSums(x: Float32Array, filter: Float32Array, g: ConvGeometry): Float32Array {
  const { outHeight, outWidth, top, left } = sized(g);
  const out = new Float32Array(outHeight * outWidth * g.filters);
  for (let oy = 0; oy < outHeight; oy++)
    for (let ox = 0; ox < outWidth; ox++)
      for (let ky = 0; ky < 3; ky++)
        for (let kx = 0; kx < 3; kx++) {
          const y = oy + ky - top;
          const xx = ox + kx - left;
          if (y < 0 || y >= g.height || xx < 0 || xx >= g.width) continue;
          for (let c = 0; c < g.channels; c++) {
            const value = x[(y * g.width + xx) * g.channels + c]!;
            const row = ((ky * 3 + kx) * g.channels + c) * g.filters;
            const at = (oy * outWidth + ox) * g.filters;
            for (let f = 0; f < g.filters; f++)
              out[at + f] = Math.fround(out[at + f]! + Math.fround(value * filter[row + f]!));
          }
        }
  return out;
}

/** The filter that makes of the convolution's gradient by its input a convolution. */
function turned(filter: Float32Array, channels: number): Float32Array {
  const out = new Float32Array(filter.length);
  for (let tap = 0; tap < 9; tap++)
    for (let c = 0; c < channels; c++)
      for (let f = 0; f < channels; f++)
        out[((8 - tap) * channels + f) * channels + c] = filter[(tap * channels + c) * channels + f]!;
  return out;
}

describe.each([32, 64])("the error of Winograd's convolution for %i channels", (channels) => {
  const g = geometry(channels);
  beforeAll(() => startWasm({}));

  it.each([
    ['normal inputs', false],
    ['inputs behind a ReLU', true],
  ])('is at most twice that of plain sums for %s', (_, isPositive) => {
    const attrs = { strides: [1, 1], pad: 'same', dataFormat: 'NHWC', dilations: [1, 1] };
    const xs = normal(g.height * g.width * channels, 1, isPositive);
    const filters = normal(9 * channels * channels, 2);
    const dys = normal(g.height * g.width * channels, 3);
    const image: [number, number, number, number] = [1, g.height, g.width, channels];
    const [x, dy] = [tf.tensor(xs, image), tf.tensor(dys, image)];
    const filter = tf.tensor(filters, [3, 3, channels, channels]);
    const forward = runKernel('Conv2D', { x, filter }, attrs);
    const byInput = runKernel('Conv2DBackpropInput', { dy, filter }, { ...attrs, inputShape: image });
    for (const [found, plain, expected] of [
      [forward, plainSums(xs, filters, g), convForward(xs, filters, g)],
      [byInput, plainSums(dys, turned(filters, channels), g), convInputGradient(filters, dys, g)],
    ] as const) {
      expect(rmsError(plain, expected)).toBeLessThan(1e-6);
      expect(rmsError(found.values, expected)).toBeLessThan(2 * rmsError(plain, expected));
    }
    tf.dispose([x, dy, filter]);
  });
});

describe("the error of the filter's gradient by Winograd's large tiles", () => {
  beforeAll(() => startWasm({}));

  // TensorFlow 2.21 has 3.4e-7 for such values with 32 channels and 1.1e-6 with 8; sums in blocks of 256 outputs have 2.5e-7.
  it('is at most twice the least that TensorFlow has for these values', () => {
    const channels = 8;
    const g = { ...geometry(channels), batch: 4, height: 64, width: 64 };
    const size = g.batch * g.height * g.width * channels;
    const [xs, dys] = [normal(size, 4, true), normal(size, 5)];
    const image: [number, number, number, number] = [g.batch, g.height, g.width, channels];
    const [x, dy] = [tf.tensor(xs, image), tf.tensor(dys, image)];
    const attrs = {
      strides: [1, 1],
      pad: 'same',
      dataFormat: 'NHWC',
      filterShape: [3, 3, channels, channels],
    };
    const expected = convFilterGradient(xs, dys, g);
    const found = runKernel('Conv2DBackpropFilter', { x, dy }, attrs);
    expect(rmsError(found.values, expected)).toBeLessThan(2 * 3.4e-7);
    tf.dispose([x, dy]);
  });
});
