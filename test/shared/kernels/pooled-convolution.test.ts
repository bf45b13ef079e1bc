import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FusedKernel,
  fusesPool,
  pooledConv2d,
  supportsPooledConv2d,
} from '../../../shared/kernels/fused-ops.ts';
import { simdKernels } from '../../../shared/kernels/wasm/simd.ts';
import { checkProperty } from '../../support/property.ts';
import { sized, type ConvGeometry } from '../../support/reference-kernels.ts';
import { winogradGeometries } from './arbitraries.ts';
import { checkFused, computeFused, operands, settingsOf } from './check-fused.ts';
import { useGuardedWasm, variants } from './wasm-backend.ts';

const plain: ConvGeometry = {
  ...{ batch: 2, height: 11, width: 8, channels: 32, filterHeight: 3, filterWidth: 3, filters: 12 },
  ...{ strideY: 1, strideX: 1, pad: 'valid' },
};

/** Convolutions that are computed with their pool; the gradient of the input gathers groups of 32 channels. */
const kinds: [string, ConvGeometry][] = [
  ['32 channels', plain],
  ['64 channels', { ...plain, channels: 64 }],
  ['8 channels', { ...plain, channels: 8 }],
];

const isSupported = (g: ConvGeometry): boolean => {
  const { outHeight, outWidth } = sized(g);
  return outHeight >= 4 && outWidth >= 4 && g.channels % 4 === 0 && g.filters % 4 === 0;
};

const geometries = fc
  .tuple(winogradGeometries, fc.constantFrom('valid' as const, 'same' as const))
  .map(([g, pad]): ConvGeometry => ({
    ...g,
    pad,
    filters: 4 * Math.ceil(g.filters / 4),
  }))
  .filter(isSupported);

const values = (y: Float32Array) => [...y];

/** Runs the kernel of both passes with a filter of zeros, so that each output is its bias. */
function ofBias(bias: number, relu: boolean) {
  const inputs = operands(plain, true);
  inputs[1].fill(0);
  inputs[2].fill(bias);
  return computeFused(inputs, plain, { relu, pool: true });
}

describe.each(variants.slice(0, 2))('a convolution with bias, ReLU and pool, $name', ({ kernels }) => {
  const heap = useGuardedWasm(kernels);

  it('agrees with plain loops for any size and padding', () => {
    checkProperty(
      fc.property(geometries, fc.boolean(), (g, relu) => {
        checkFused(g, { relu, pool: true });
        heap.check();
      }),
      { numRuns: 40, seed: 23 },
    );
  });

  it.each(kinds)('agrees with plain loops for %s, odd sides and both paddings', (_, g) => {
    for (const pad of ['valid', 'same'] as const)
      for (const relu of [true, false]) checkFused({ ...g, pad, filters: 36 }, { relu, pool: true });
  });

  it("agrees with plain loops on the default model's convolution", () => {
    checkFused({ ...plain, batch: 1, height: 26, width: 26, filters: 32 }, { relu: true, pool: true });
  });

  it.each([
    ['with a stride', { strideY: 2 }],
    ['of other than 3 x 3 taps', { filterWidth: 2 }],
    ['of 6 channels', { channels: 6 }],
    ['of 6 filters', { filters: 6 }],
    ['with outputs of less than 4 x 4', { width: 5 }],
    ['of several groups', { filterChannels: 16 }],
  ])('is not for a convolution %s', (_, other) => {
    const g = { ...plain, filterChannels: plain.channels, ...other };
    if ('channels' in other) g.filterChannels = g.channels;
    const x = tf.ones([g.batch, g.height, g.width, g.channels]);
    const filterShape = [g.filterHeight, g.filterWidth, g.filterChannels, g.filters];
    expect(supportsPooledConv2d(tf, x, filterShape, settingsOf(g, true))).toBe(false);
    x.dispose();
  });

  it('sends the gradient to the first of equal values, in order of rows', () => {
    const [, , , dy] = operands(plain, true);
    for (const [relu, bias] of [
      [true, 3],
      [false, 3],
      [false, -3],
      [false, 0],
    ] as const) {
      const found = ofBias(bias, relu);
      expect(found.y.every((value) => value === bias)).toBe(true);
      // Windows that choose their first output see the inputs under it.
      const expected = new Float64Array(plain.channels * plain.filters);
      const [x] = operands(plain, true);
      const { outHeight, outWidth } = sized(plain);
      const [high, wide] = [Math.floor(outHeight / 2), Math.floor(outWidth / 2)];
      for (let n = 0; n < plain.batch; n++)
        for (let oy = 0; oy < high; oy++)
          for (let ox = 0; ox < wide; ox++)
            for (let c = 0; c < plain.channels; c++)
              for (let f = 0; f < plain.filters; f++)
                expected[c * plain.filters + f]! +=
                  x[((n * plain.height + 2 * oy) * plain.width + 2 * ox) * plain.channels + c]! *
                  dy[((n * high + oy) * wide + ox) * plain.filters + f]!;
      expected.forEach((value, i) => expect(found.byFilter[i]).toBeCloseTo(value, 4));
    }
  });

  it('has no gradient where ReLU has made 0 of all outputs of a window', () => {
    for (const bias of [0, -3]) {
      const { y, byInput, byFilter, byBias } = ofBias(bias, true);
      for (const part of [y, byInput, byFilter, byBias])
        expect(part.every((value) => value === 0)).toBe(true);
    }
  });

  it('has gradients of 0 where all of those of its output are 0', () => {
    for (const [, g] of kinds) {
      const inputs = operands(g, true);
      inputs[3].fill(0);
      const { byFilter, byInput, byBias } = computeFused(inputs, g, { relu: false, pool: true });
      for (const part of [byFilter, byInput, byBias]) expect(part.every((value) => value === 0)).toBe(true);
    }
  });

  it('has the gradient of all outputs with one gradient that is not 0', () => {
    for (const [, g] of kinds) {
      const inputs = operands(g, true);
      const at = 7 * g.filters + 5;
      inputs[3] = inputs[3].map((value, i) => (i === at ? value : 0));
      const { byBias, byFilter } = computeFused(inputs, g, { relu: false, pool: true });
      expect(values(byBias)).toEqual(values(byBias.map((_, f) => (f === 5 ? inputs[3][at]! : 0))));
      expect(byFilter.every((value, i) => value === 0 || i % g.filters === 5)).toBe(true);
      expect(byFilter.some((value) => value !== 0)).toBe(true);
    }
  });

  it('does not read the row and column that the pool drops', () => {
    // Of 5 outputs a side, the last is dropped; the inputs under it alone are the last ones.
    const g = { ...plain, height: 7, width: 7 };
    const inputs = operands(g, true);
    const expected = computeFused(inputs, g, { relu: true, pool: true });
    inputs[0] = inputs[0].map((value, i) => {
      const x = Math.floor(i / g.channels) % 7;
      const y = Math.floor(i / (7 * g.channels)) % 7;
      return x === 6 || y === 6 ? 1e3 * value : value;
    });
    const { y, byInput, byBias } = computeFused(inputs, g, { relu: true, pool: true });
    y.forEach((value, i) => expect(value).toBeCloseTo(expected.y[i]!, 1));
    expect(byInput.length).toBe(expected.byInput.length);
    byBias.forEach((value, i) => expect(value).toBeCloseTo(expected.byBias[i]!, 3));
    byInput.forEach((value, i) => {
      const x = Math.floor(i / g.channels) % 7;
      const row = Math.floor(i / (7 * g.channels)) % 7;
      if (x === 6 || row === 6) expect(value).toBe(0);
    });
  });

  it.each(kinds)('keeps a NaN or an infinity with %s', (_, g) => {
    for (const relu of [true, false])
      for (const bad of [NaN, Infinity, -Infinity])
        for (const [place, name] of ['x', 'filter', 'bias', 'dy'].entries()) {
          const inputs = operands(g, true);
          // Large biases keep all values from being cut off by the ReLU.
          inputs[2].fill(1000);
          inputs[place]!.fill(bad, 0, 1);
          const { y, byFilter, byInput, byBias } = computeFused(inputs, g, { relu, pool: true });
          if (name === 'dy') {
            for (const part of [byFilter, byInput, byBias]) expect(part.every(Number.isFinite)).toBe(false);
          } else if (Number.isNaN(bad)) {
            expect(Number.isNaN(y[0])).toBe(true);
            if (name !== 'x')
              expect(y.filter(Number.isNaN).length).toBeGreaterThanOrEqual(y.length / g.filters);
          } else if (bad > 0 || !relu || name !== 'bias') {
            expect(y.every((value) => Number.isFinite(value) && value > 0)).toBe(false);
          }
        }
  });

  it('gives a NaN gradient where inputs and output are NaN', () => {
    const inputs = operands(plain, true);
    inputs[0].fill(NaN, 0, 1);
    inputs[3].fill(NaN);
    const { byFilter, byInput, byBias } = computeFused(inputs, plain, { relu: true, pool: true });
    for (const part of [byFilter, byInput, byBias]) expect(part.some(Number.isNaN)).toBe(true);
  });

  it('gives the same bits when repeated, and those of each image alone', () => {
    for (const [, g] of kinds) {
      const inputs = operands(g, true);
      const behind = { relu: true, pool: true };
      const both = computeFused(inputs, g, behind);
      expect(computeFused(inputs, g, behind)).toEqual(both);
      const [x, filter, bias, dy] = inputs;
      const one = { ...g, batch: 1 };
      const second = computeFused(
        [x.slice(x.length / 2), filter, bias, dy.slice(dy.length / 2)],
        one,
        behind,
      );
      expect(second.y).toEqual(both.y.slice(both.y.length / 2));
      expect(second.byInput).toEqual(both.byInput.slice(both.byInput.length / 2));
    }
  });
});

describe.each(variants.slice(0, 2))('gradients of a convolution and pool, $name', ({ kernels }) => {
  useGuardedWasm(kernels);

  it('leak no tensor if only some of them are asked for, as of a frozen layer', async () => {
    const [x, filter, bias] = [tf.ones([1, 6, 6, 4]), tf.ones([3, 3, 4, 4]), tf.ones([4])];
    const before = tf.memory().numTensors;
    const how = { strides: [1, 1], padding: 'valid', relu: true } as const;
    const sum = (a: tf.Tensor, b: tf.Tensor) => tf.sum(pooledConv2d(tf, a, b, bias, how));
    tf.grad((a: tf.Tensor) => sum(a, filter))(x).dispose();
    tf.grad((b: tf.Tensor) => sum(x, b))(filter).dispose();
    await Promise.resolve();
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([x, filter, bias]);
  });
});

describe('the places of the largest outputs', () => {
  const NONE = 255;
  useGuardedWasm({});

  /**
   * Place and value of the largest of one window's outputs, as the kernel computes them in each of four channels: each output is the
   * input of its pixel and channel.
   */
  function winnersOf(window: readonly number[], relu: boolean): { place: number; value: number } {
    const backend = tf.backend() as unknown as Parameters<typeof simdKernels>[0];
    const kernels = simdKernels(backend)!;
    const { wasm } = backend as unknown as {
      wasm: { HEAPU8: Uint8Array; _malloc(n: number): number; _free(p: number): void };
    };
    const pointers: number[] = [];
    const reserve = (bytes: number): number => {
      const pointer = wasm._malloc(bytes);
      pointers.push(pointer);
      return pointer;
    };
    const floats = (values: readonly number[]): number => {
      const pointer = reserve(4 * values.length);
      new Float32Array(wasm.HEAPU8.buffer, pointer, values.length).set(values);
      return pointer;
    };
    const y = floats(window.flatMap((value) => [value, value, value, value]));
    const isMiddle = (i: number): boolean => Math.floor(i / 16) === 4 && Math.floor(i / 4) % 4 === i % 4;
    const filter = floats(Array.from({ length: 144 }, (_, i) => (isMiddle(i) ? 1 : 0)));
    const packed = reserve(kernels.winogradFilterBytes(4, 4));
    const [out, winners] = [reserve(16), reserve(4)] as [number, number];
    kernels.winogradFilters(filter, 4, 4, false, packed);
    const scratch = reserve(kernels.winogradScratchBytes(4, 4, 2, 2));
    kernels.winogradConv(y, packed, 0, relu, out, winners, 1, 2, 2, 4, 4, 2, 2, 1, 1, scratch);
    const places = [...wasm.HEAPU8.slice(winners, winners + 4)];
    const [value] = new Float32Array(wasm.HEAPU8.buffer, out, 1);
    pointers.forEach((pointer) => wasm._free(pointer));
    expect(new Set(places).size).toBe(1);
    return { place: places[0]!, value: value! };
  }

  it.each([
    [[1, 2, 3, 4], 3],
    [[4, 3, 2, 1], 0],
    [[1, 2, 2, 1], 1],
    [[1, 1, 2, 2], 2],
    [[5, 5, 5, 5], 0],
    [[0, 0, 0, 1], 3],
    [[-3, -1, -2, -1], 1],
    [[-0, 0, -1, -1], 0],
  ])('of %j is %i', (window, place) => {
    expect(winnersOf(window, false)).toEqual({ place, value: Math.max(...window) });
    const behind = window.map((value) => Math.max(0, value));
    const hasGradient = behind.some((value) => value > 0);
    expect(winnersOf(behind, true).place).toBe(hasGradient ? place : NONE);
  });

  it('exist also where all are NaN, so that gradients become NaN', () => {
    for (const relu of [true, false]) {
      const { place, value } = winnersOf([NaN, NaN, NaN, NaN], relu);
      expect(value).toBeNaN();
      expect(place).toBeLessThan(4);
      expect(winnersOf([1, NaN, 2, 3], relu).value).toBeNaN();
      expect(winnersOf([1, NaN, 2, 3], relu).place).toBeLessThan(4);
    }
  });
});

describe('a convolution and its pool without SIMD', () => {
  useGuardedWasm({ simd: false });

  it('are computed one after the other', () => {
    expect(fusesPool(tf)).toBe(false);
    expect(tf.getKernelsForBackend('wasm').some(({ kernelName }) => kernelName === FusedKernel.pooled)).toBe(
      false,
    );
  });
});
