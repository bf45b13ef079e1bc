import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { biasedConv2d, biasedProduct } from '../../../shared/kernels/fused-ops.ts';
import { matMul, relativeError, sized, type ConvGeometry } from '../../support/reference-kernels.ts';
import { checkProperty } from '../../support/property.ts';
import { geometries, MAX_PRODUCTS, slidingGeometries, values } from './arbitraries.ts';
import { checkFused, computeFused, MAX_ERROR, operands } from './check-fused.ts';
import { useGuardedWasm, variants } from './wasm-backend.ts';

const small = (min: number, max: number) => fc.integer({ min, max });

/** Convolutions of up to 40 channels and filters, mostly of 3 x 3 taps with stride 1. */
const biased = fc
  .tuple(
    geometries,
    small(1, 3),
    small(1, 40),
    small(1, 40),
    fc.constantFrom('valid' as const, 'same' as const),
    small(0, 3),
  )
  .map(([g, batch, channels, filters, pad, kind]): ConvGeometry => ({
    ...g,
    batch,
    pad,
    channels: kind === 0 ? 1 + (channels % 4) : kind === 1 ? channels : 4 * Math.ceil(channels / 4),
    filters,
    ...(kind >= 2 && { filterHeight: 3, filterWidth: 3, strideY: 1, strideX: 1 }),
  }))
  .filter((g) => {
    const { outHeight, outWidth } = sized(g);
    const products = g.batch * outHeight * outWidth * g.filterHeight * g.filterWidth * g.channels * g.filters;
    return outHeight > 0 && outWidth > 0 && products < MAX_PRODUCTS;
  });

/** Convolutions of one channel by filters three pixels wide. */
const sliding = fc
  .tuple(slidingGeometries, fc.constantFrom('valid' as const, 'same' as const))
  .map(([g, pad]): ConvGeometry => ({ ...g, pad }))
  .filter((g) => sized(g).outHeight > 0 && sized(g).outWidth > 0);

const plain: ConvGeometry = {
  ...{ batch: 2, height: 9, width: 7, channels: 32, filterHeight: 3, filterWidth: 3, filters: 10 },
  ...{ strideY: 1, strideX: 1, pad: 'valid' },
};

/** Kernels by the convolutions that use them. */
const kinds: [string, ConvGeometry][] = [
  ["Winograd's tiles", plain],
  ['taps in registers', { ...plain, channels: 1, filters: 16 }],
  ['rows of a matrix', { ...plain, channels: 3, filterHeight: 2, strideX: 2 }],
  ['rows of a matrix of many channels', { ...plain, channels: 32, strideX: 2 }],
  ['direct sums', { ...plain, channels: 40, strideY: 2 }],
  ['a product of matrices', { ...plain, height: 1, width: 1, filterHeight: 1, filterWidth: 1 }],
];

describe.each(variants)('a convolution with bias and ReLU, $name', ({ kernels }) => {
  useGuardedWasm(kernels);

  it('agrees with plain loops for any shape, stride and padding', () => {
    const relu = fc.boolean();
    checkProperty(
      fc.property(biased, relu, (g, isRelu) => checkFused(g, { relu: isRelu, pool: false })),
      { numRuns: 40, seed: 21 },
    );
  });

  it('agrees with plain loops for any size where taps stay in registers', () => {
    checkProperty(
      fc.property(sliding, fc.boolean(), (g, relu) => checkFused(g, { relu, pool: false })),
      { numRuns: 40, seed: 27 },
    );
  });

  it.each(kinds)('agrees with plain loops where it is computed by %s', (_, g) => {
    for (const relu of [true, false]) checkFused(g, { relu, pool: false });
    checkFused({ ...g, pad: 'same', filters: 33 }, { relu: true, pool: false });
  });

  it("agrees with plain loops where the filter's gradient is a sum over many large tiles", () => {
    const g = { ...plain, height: 91, width: 94, channels: 4, filters: 12 };
    checkFused(g, { relu: true, pool: false });
  });

  it("agrees with plain loops where the input's gradient is computed by rows of one image", () => {
    const g = { ...plain, height: 70, width: 65, channels: 15, filters: 2, strideX: 1, filterHeight: 4 };
    checkFused(g, { relu: true, pool: false });
  });

  it("agrees with plain loops where the terms of the bias' gradient nearly cancel", () => {
    const sizes = { batch: 3, height: 9, width: 13, channels: 2, filters: 1, strideY: 2, strideX: 2 };
    checkFused({ ...plain, ...sizes, filterHeight: 1, filterWidth: 1 }, { relu: false, pool: false });
  });

  it('agrees with plain loops for rows wider than a block of the matrix', () => {
    checkFused({ ...plain, batch: 1, height: 3, width: 150, channels: 1 }, { relu: true, pool: false });
  });

  it.each(kinds)('keeps a NaN or an infinity where it is computed by %s', (_, g) => {
    const behind = { relu: true, pool: false };
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const [place, name] of ['x', 'filter', 'bias', 'dy'].entries()) {
        const inputs = operands(g, false);
        // Large biases keep all values from being cut off by the ReLU.
        inputs[2].fill(1000);
        inputs[place]!.fill(bad, 0, 1);
        const { y, byFilter, byInput, byBias } = computeFused(inputs, g, behind);
        if (name === 'dy') {
          for (const part of [byFilter, byInput, byBias]) expect(part.every(Number.isFinite)).toBe(false);
        } else if (Number.isNaN(bad)) {
          // A NaN of a filter or bias is in each of its outputs.
          expect(Number.isNaN(y[0])).toBe(true);
          if (name !== 'x')
            expect(y.filter(Number.isNaN).length).toBeGreaterThanOrEqual(y.length / g.filters);
        } else if (bad > 0 || name !== 'bias') {
          // ReLU makes 0 of a negative infinity; the other filters keep it.
          expect(y.every((value) => Number.isFinite(value) && value > 0)).toBe(false);
        }
      }
    }
  });

  it('has gradients of 0 where those of its output are 0', () => {
    for (const [, g] of kinds) {
      const inputs = operands(g, false);
      inputs[3].fill(0);
      const { byFilter, byInput, byBias } = computeFused(inputs, g, { relu: true, pool: false });
      for (const part of [byFilter, byInput, byBias]) expect(part.every((value) => value === 0)).toBe(true);
    }
  });

  it('gives the same bits when repeated, and those of each image alone', () => {
    for (const [, g] of kinds) {
      const inputs = operands(g, false);
      const behind = { relu: true, pool: false };
      const both = computeFused(inputs, g, behind);
      expect(computeFused(inputs, g, behind)).toEqual(both);
      const [x, filter, bias, dy] = inputs;
      const one = { ...g, batch: 1 };
      const first = computeFused(
        [x.slice(0, x.length / 2), filter, bias, dy.slice(0, dy.length / 2)],
        one,
        behind,
      );
      expect(first.y).toEqual(both.y.slice(0, both.y.length / 2));
      expect(first.byInput).toEqual(both.byInput.slice(0, both.byInput.length / 2));
    }
  });

  it('agrees with plain loops as a product with a matrix', () => {
    checkProperty(
      fc.property(small(1, 40), small(1, 40), small(1, 40), fc.boolean(), (rows, inputs, outputs, relu) => {
        const xs = values(2 * rows * inputs, 5);
        const kernel = values(inputs * outputs, 6);
        const bias = values(outputs, 7);
        const sums = matMul(xs, kernel, [2 * rows, inputs, outputs], false, false).map(
          (value, i) => value + bias[i % outputs]!,
        );
        const dys = values(sums.length, 8).map((value, i) => (Math.abs(sums[i]!) < 1e-4 ? 0 : value));
        const slope = dys.map((value, i) => (relu && sums[i]! <= 0 ? 0 : value));
        const biasSum = new Float64Array(outputs);
        slope.forEach((value, i) => (biasSum[i % outputs]! += value));
        const expected = [
          relu ? sums.map((value) => Math.max(0, value)) : sums,
          matMul(slope, kernel, [2 * rows, outputs, inputs], false, true),
          matMul(xs, slope, [inputs, 2 * rows, outputs], true, false),
          biasSum,
        ];
        tf.tidy(() => {
          const { value, grads } = tf.valueAndGrads((...[a, b, c]: tf.Tensor[]) =>
            biasedProduct(tf, a!, b!, c!, relu),
          )(
            [tf.tensor(xs, [2, rows, inputs]), tf.tensor(kernel, [inputs, outputs]), tf.tensor(bias)],
            tf.tensor(dys, [2, rows, outputs]),
          );
          expect(value.shape).toEqual([2, rows, outputs]);
          expect(grads[0]!.shape).toEqual([2, rows, inputs]);
          const terms = [inputs, outputs, 2 * rows, 2 * rows];
          [value, ...grads].forEach((found, i) =>
            expect(relativeError(found.dataSync(), expected[i]!, terms[i])).toBeLessThan(MAX_ERROR),
          );
        });
      }),
      { numRuns: 20, seed: 22 },
    );
  });

  it('leaks no tensor if only some of its gradients are asked for, as of a frozen layer', async () => {
    const [x, filter, bias] = [tf.ones([1, 5, 5, 4]), tf.ones([3, 3, 4, 4]), tf.ones([4])];
    const before = tf.memory().numTensors;
    const how = { strides: [1, 1], padding: 'valid', relu: true } as const;
    const sum = (a: tf.Tensor, b: tf.Tensor) => tf.sum(biasedConv2d(tf, a, b, bias, how));
    tf.grad((a: tf.Tensor) => sum(a, filter))(x).dispose();
    tf.grad((b: tf.Tensor) => sum(x, b))(filter).dispose();
    await Promise.resolve();
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([x, filter, bias]);
  });
});
