import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { matMul, maxPoolGradient, relativeError, sized } from '../../support/reference-kernels.ts';
import { geometries, tfPad, values } from './arbitraries.ts';
import { runKernel, startWasm, variants } from './wasm-backend.ts';
import { checkProperty } from '../../support/property.ts';

const size = (max: number) => fc.integer({ min: 1, max });

describe.each(variants)('kernels of dense layers, pools and activations, $name', ({ kernels }) => {
  beforeAll(() => startWasm(kernels));

  it('multiply matrices, transposed or not, of any size', () => {
    checkProperty(fc.property(size(70), size(1100), size(40), fc.boolean(), fc.boolean(), checkMatMul), {
      numRuns: 60,
      seed: 2,
    });
  });

  it('multiply batches of matrices', () => {
    const a = tf.tensor(values(2 * 3 * 20, 1), [2, 3, 4, 5]);
    const b = tf.tensor(values(2 * 3 * 30, 2), [2, 3, 6, 5]);
    const out = runKernel('BatchMatMul', { a, b }, { transposeA: false, transposeB: true });
    expect(out.shape).toEqual([2, 3, 4, 6]);
    const expected = Array.from({ length: 6 }, (_, i) => {
      const pa = values(120, 1).slice(i * 20);
      const pb = values(180, 2).slice(i * 30);
      return [...matMul(pa, pb, [4, 5, 6], false, true)];
    });
    expect(relativeError(out.values, expected.flat())).toBeLessThan(1e-5);
    tf.dispose([a, b]);
  });

  it('multiply few or many rows, with and without a bias and a ReLU', () => {
    checkProperty(
      fc.property(size(12), size(300), size(40), fc.boolean(), fc.boolean(), (m, k, n, biased, relu) => {
        const as = values(m * k, 6);
        const bs = values(k * n, 7);
        const biases = values(n, 8);
        const a = tf.tensor(as, [1, m, k]);
        const b = tf.tensor(bs, [1, k, n]);
        const bias = tf.tensor1d(biases);
        const out = runKernel('_FusedMatMul', biased ? { a, b, bias } : { a, b }, {
          transposeA: false,
          transposeB: false,
          activation: relu ? 'relu' : 'linear',
        });
        const expected = matMul(as, bs, [m, k, n], false, false)
          .map((value, i) => value + (biased ? biases[i % n]! : 0))
          .map((value) => (relu ? Math.max(0, value) : value));
        expect(out.shape).toEqual([1, m, n]);
        const scale = Math.sqrt(k);
        expected.forEach((value, i) => expect(Math.abs(out.values[i]! - value) / scale).toBeLessThan(1e-5));
        tf.dispose([a, b, bias]);
      }),
      { numRuns: 60, seed: 5 },
    );
  });

  it("compute a max-pool's gradient for any window, with ties to the first", () => {
    checkProperty(
      fc.property(geometries, fc.boolean(), (geometry, ties) => {
        const g = { ...geometry, filters: geometry.channels };
        const { outHeight, outWidth } = sized(g);
        // A window inside the padding has no largest input.
        if (typeof g.pad === 'object') {
          const { top, bottom, left, right } = g.pad;
          fc.pre(Math.max(top, bottom) < g.filterHeight && Math.max(left, right) < g.filterWidth);
        }
        const xs = values(g.batch * g.height * g.width * g.channels, 3).map((v) =>
          ties ? Math.round(v) : v,
        );
        const dys = values(g.batch * outHeight * outWidth * g.channels, 4);
        const input = tf.tensor4d(xs, [g.batch, g.height, g.width, g.channels] as [
          number,
          number,
          number,
          number,
        ]);
        const dy = tf.tensor(dys, [g.batch, outHeight, outWidth, g.channels]);
        const [filterSize, strides] = [
          [g.filterHeight, g.filterWidth],
          [g.strideY, g.strideX],
        ] as [[number, number], [number, number]];
        const pad = tfPad(g) as Parameters<typeof tf.maxPool>[3];
        const output = tf.maxPool<tf.Tensor4D>(input, filterSize, strides, pad);
        const dx = runKernel('MaxPoolGrad', { dy, input, output }, { filterSize, strides, pad });
        expect(relativeError(dx.values, maxPoolGradient(xs, dys, g))).toBeLessThan(1e-5);
        tf.dispose([input, dy, output]);
      }),
      { numRuns: 150, seed: 3 },
    );
  });

  it('pass the gradient of a ReLU for inputs above zero', () => {
    const xs = Float32Array.of(-1, 0, 1, -0, 2, NaN, 1e-30);
    const x = tf.tensor1d(xs);
    const gradient = tf.tidy(() =>
      tf
        .grad((t: tf.Tensor) => tf.relu(t).mul(3))(x)
        .dataSync(),
    );
    expect([...gradient].slice(0, 5)).toEqual([0, 0, 3, 0, 3]);
    if (kernels.simd) expect([...gradient].slice(5)).toEqual([0, 3]);
    x.dispose();
  });

  it('compute the second derivative of a ReLU', () => {
    const x = tf.tensor1d([-1, 2, 3]);
    const second = tf.tidy(() => {
      const squared = (t: tf.Tensor) => tf.square(tf.relu(t));
      return tf
        .grad((t: tf.Tensor) => tf.grad(squared)(t))(x)
        .dataSync();
    });
    expect([...second]).toEqual([0, 2, 2]);
    x.dispose();
  });

  it('sum over leading axes, and over other axes with the stock kernel', () => {
    checkProperty(
      fc.property(size(5), size(9), size(60), size(33), fc.boolean(), (a, b, c, d, keepDims) => {
        const x = tf.tensor(values(a * b * c * d, 5), [a, b, c, d]);
        for (const axes of [[0, 1, 2], [0], [1, 2], [2], [2, 0, 1], [1, 3], [0, 1, 2, 3], [3]]) {
          const out = runKernel('Sum', { x }, { axis: axes, keepDims });
          const sums = new Float64Array(out.values.length);
          const sides = [a, b, c, d].map((length, axis) => (axes.includes(axis) ? 1 : length));
          x.dataSync().forEach((value, at) => {
            const index = [
              Math.floor(at / (b * c * d)),
              Math.floor(at / (c * d)) % b,
              Math.floor(at / d) % c,
              at % d,
            ];
            const to = sides.reduce(
              (flat, length, axis) => flat * length + (length === 1 ? 0 : index[axis]!),
              0,
            );
            sums[to]! += value;
          });
          expect(out.shape).toEqual(
            keepDims ? sides : [a, b, c, d].filter((_, axis) => !axes.includes(axis)),
          );
          // tfjs' own Sum adds value by value, and a sum near zero loses all precision.
          const scale = Math.max(1e-30, Math.sqrt(x.size / sums.length));
          sums.forEach((sum, i) => expect(Math.abs(out.values[i]! - sum) / scale).toBeLessThan(1e-4));
        }
        x.dispose();
      }),
      { numRuns: 12, seed: 4 },
    );
  });

  it('clone a tensor so that each clone is disposed independently', () => {
    const x = tf.tensor1d([1, 2, 3]);
    const copy = x.clone();
    x.dispose();
    expect([...copy.dataSync()]).toEqual([1, 2, 3]);
    copy.dispose();
  });
});

function checkMatMul(m: number, k: number, n: number, transposeA: boolean, transposeB: boolean): void {
  const as = values(m * k, 6);
  const bs = values(k * n, 7);
  const a = tf.tensor(as, transposeA ? [k, m] : [m, k]);
  const b = tf.tensor(bs, transposeB ? [n, k] : [k, n]);
  const out = runKernel('BatchMatMul', { a, b }, { transposeA, transposeB });
  expect(out.shape).toEqual([m, n]);
  const expected = matMul(as, bs, [m, k, n], transposeA, transposeB);
  expect(relativeError(out.values, expected, k)).toBeLessThan(1e-5);
  tf.dispose([a, b]);
}
