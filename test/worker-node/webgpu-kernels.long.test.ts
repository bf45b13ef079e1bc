import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fillDropoutMask, type MaskKey } from '../../shared/kernels/masks/dropout-masks.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import { openGpuProcess, type GpuProcess } from '../support/gpu-process.ts';
import { checkProperty } from '../support/property.ts';
import {
  convFilterGradient,
  convForward,
  convInputGradient,
  maxPool,
  maxPoolGradient,
  sized,
  type ConvGeometry,
} from '../support/reference-kernels.ts';
import { describeWebGpu } from '../support/webgpu.ts';

/** Largest relative error of one rounding to float32. */
const ROUNDING = 2 ** -24;
/** Smallest normal number of float32. */
const SMALLEST = 2 ** -126;

let draws = 0;
/** Values from -1 to 1. */
function values(length: number): Float32Array {
  const stream = randomStream(1, Purpose.syntheticDigits, 3, draws++);
  return Float32Array.from({ length }, () => 2 * stream.uniform() - 1);
}

const absolute = (array: Float32Array): Float32Array => array.map(Math.abs);

/**
 * Compares sums of products with those in double precision. A sum of n products in float32, in any order, is off by at most
 * n roundings of the sum of their absolute values, and as roundings cancel, by 4 times the square root of n but for one of 3,000
 * sums (Higham and Mary, 2019).
 * @param terms largest number of products of a sum
 * @param exact sums in double precision
 * @param sizes sums of the absolute values
 */
function expectSums(
  actual: Float32Array | undefined,
  terms: number,
  exact: Float64Array,
  sizes: Float64Array,
  what: string,
): void {
  expect(actual?.length, what).toBe(exact.length);
  const bound = (4 * Math.sqrt(terms) + 2) * ROUNDING;
  const wrong = [...exact].findIndex(
    (value, i) => !(Math.abs((actual?.[i] ?? NaN) - value) <= bound * (sizes[i] ?? 0)),
  );
  expect(wrong < 0 ? '' : `value ${wrong} is ${actual?.[wrong]}, not ${exact[wrong]}`, what).toBe('');
}

/** Computes a convolution with bias and its gradients, and compares them. A product of matrices is one of images of one pixel. */
async function checkConvolution(gpu: GpuProcess, g: ConvGeometry, relu: boolean, isProduct = false) {
  const { outHeight, outWidth } = sized(g);
  const pixels = g.batch * outHeight * outWidth;
  const taps = g.filterHeight * g.filterWidth;
  const x = values(g.batch * g.height * g.width * g.channels);
  const filter = values(taps * g.channels * g.filters);
  const bias = values(g.filters);
  const dy = values(pixels * g.filters);
  const arrays = { relu, x, filter, bias, dy };
  const [y, dx, dFilter, dBias] = isProduct
    ? await gpu.compute('product', { sizes: [g.batch, g.channels, g.filters], ...arrays })
    : await gpu.compute('convolution', { geometry: g, ...arrays });
  const what = JSON.stringify({ ...g, relu });
  const withBias = (sums: Float64Array, terms: Float32Array): Float64Array =>
    sums.map((sum, i) => sum + (terms[i % g.filters] ?? NaN));
  const outputs = withBias(convForward(x, filter, g), bias);
  expectSums(
    y,
    taps * g.channels + 1,
    relu ? outputs.map((value) => Math.max(0, value)) : outputs,
    withBias(convForward(absolute(x), absolute(filter), g), absolute(bias)),
    `output of ${what}`,
  );
  // Rounding decides which side of zero an output is on; the output itself is checked above.
  const slope = relu ? dy.map((value, i) => ((y?.[i] ?? NaN) > 0 ? value : 0)) : dy;
  expectSums(
    dx,
    taps * g.filters,
    convInputGradient(filter, slope, g),
    convInputGradient(absolute(filter), absolute(slope), g),
    `gradient of the input of ${what}`,
  );
  expectSums(
    dFilter,
    pixels,
    convFilterGradient(x, slope, g),
    convFilterGradient(absolute(x), absolute(slope), g),
    `gradient of the filter of ${what}`,
  );
  const ones: ConvGeometry = {
    ...g,
    channels: 1,
    filterHeight: 1,
    filterWidth: 1,
    height: 1,
    width: 1,
    strideX: 1,
    strideY: 1,
    batch: pixels,
  };
  const one = new Float32Array(pixels).fill(1);
  expectSums(
    dBias,
    pixels,
    convFilterGradient(one, slope, ones),
    convFilterGradient(one, absolute(slope), ones),
    `gradient of the bias of ${what}`,
  );
}

const CHANNELS = [1, 3, 4, 5, 32] as const;
const FILTERS = [1, 4, 7, 32, 33, 65] as const;
const IMAGES = [
  [1, 1],
  [2, 3],
  [3, 1],
  [5, 5],
  [8, 8],
  [13, 9],
] as const;
const WINDOWS = [
  [1, 1],
  [3, 3],
  [2, 2],
  [3, 2],
  [1, 4],
  [5, 5],
] as const;
const BATCHES = [1, 3, 17] as const;
/** Around the sizes of a tile and of its parts. */
const WIDTHS = [1, 15, 16, 17, 63, 64, 65, 129] as const;

interface Chosen {
  readonly channels: number;
  readonly filters: number;
  readonly image: readonly [number, number];
  readonly window: readonly [number, number];
  readonly batch: number;
  readonly strides: readonly [number, number];
  readonly isSame: boolean;
}

/** A filter larger than the image fits with zeros around it only. */
function geometry({ channels, filters, image, window, batch, strides, isSame }: Chosen): ConvGeometry {
  const fits = window[0] <= image[0] && window[1] <= image[1];
  return {
    ...{ batch, height: image[0], width: image[1], channels, filters },
    ...{ filterHeight: window[0], filterWidth: window[1], strideY: strides[0], strideX: strides[1] },
    pad: isSame || !fits ? 'same' : 'valid',
  };
}

const product = (rows: number, inputs: number, outputs: number): ConvGeometry => ({
  ...{ batch: rows, height: 1, width: 1, channels: inputs, filters: outputs },
  ...{ filterHeight: 1, filterWidth: 1, strideY: 1, strideX: 1, pad: 'valid' },
});

/** The element of this number, round and round. */
const at = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;

/** Every value of each size, mixed. They are few, since SwiftShader needs nearly a second to compile a shader. */
const CONVOLUTIONS: readonly Chosen[] = Array.from({ length: 12 }, (_, i) => ({
  channels: at(CHANNELS, i),
  filters: at(FILTERS, i + Math.floor(i / 6)),
  image: at(IMAGES, i * 5 + Math.floor(i / 6)),
  window: at(WINDOWS, i * 5 + 4 * Math.floor(i / 6)),
  batch: at(BATCHES, i + Math.floor(i / 3)),
  strides: [1 + (i % 3), 1 + (Math.floor(i / 2) % 3)],
  isSame: i % 4 < 2,
}));

const oneOf = <T>(list: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...list);
const anyChosen: fc.Arbitrary<Chosen> = fc.record({
  channels: fc.integer({ min: 1, max: 40 }),
  filters: fc.integer({ min: 1, max: 70 }),
  image: fc.tuple(fc.integer({ min: 1, max: 13 }), fc.integer({ min: 1, max: 13 })),
  window: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
  batch: fc.integer({ min: 1, max: 6 }),
  strides: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  isSame: fc.boolean(),
});

describeWebGpu((env) => {
  let gpu: GpuProcess;
  beforeAll(async () => {
    gpu = await openGpuProcess(env);
  });
  afterAll(() => gpu.close());

  describe('convolutions with bias, and their gradients, are those of a loop in double precision', () => {
    test('of every odd size', async () => {
      for (const [i, chosen] of CONVOLUTIONS.entries())
        await checkConvolution(gpu, geometry(chosen), i % 3 > 0);
    });

    test('whose sums are divided', async () => {
      const deep = { image: [13, 9], window: [3, 3], strides: [1, 1], isSame: true } as const;
      // 9 x 129 products for an output, 17 x 117 for the gradient of a filter.
      await checkConvolution(gpu, geometry({ ...deep, channels: 129, filters: 7, batch: 1 }), true);
      await checkConvolution(gpu, geometry({ ...deep, channels: 4, filters: 65, batch: 17 }), true);
      await checkConvolution(gpu, geometry({ ...deep, channels: 3, filters: 4, batch: 17 }), false);
    });

    test('of any size', () =>
      checkProperty(
        fc.asyncProperty(anyChosen, fc.boolean(), (chosen, relu) =>
          checkConvolution(gpu, geometry(chosen), relu),
        ),
        { seed: 11, numRuns: 2 },
      ));
  });

  describe('products with bias, and their gradients, are those of a loop in double precision', () => {
    test('of sizes around those of tiles', async () => {
      for (const [i, inputs] of WIDTHS.entries())
        for (const j of [0, 3, 6])
          await checkConvolution(
            gpu,
            product(at(WIDTHS, i + j), inputs, at(WIDTHS, 3 * i + 1)),
            i % 2 === 0,
            true,
          );
    });

    test('whose sums are divided', async () => {
      await checkConvolution(gpu, product(3, 2_000, 10), true, true);
      await checkConvolution(gpu, product(17, 1_001, 65), false, true);
      await checkConvolution(gpu, product(700, 65, 33), true, true);
    });

    test('of any size', () =>
      checkProperty(
        fc.asyncProperty(
          ...([200, 600, 140].map((max) => fc.integer({ min: 1, max })) as [
            fc.Arbitrary<number>,
            fc.Arbitrary<number>,
            fc.Arbitrary<number>,
          ]),
          fc.boolean(),
          (rows, inputs, outputs, relu) => checkConvolution(gpu, product(rows, inputs, outputs), relu, true),
        ),
        { seed: 12, numRuns: 1 },
      ));
  });

  describe("dropout multiplies by the processor's mask, bit by bit", () => {
    interface Dropout {
      readonly key: MaskKey;
      readonly samples: readonly number[];
      readonly layer: number;
      readonly rate: number;
      /** Shape of a sample. */
      readonly shape: readonly number[];
    }
    const check = async ({ key, samples, layer, rate, shape }: Dropout): Promise<void> => {
      const size = shape.reduce((a, b) => a * b, 1);
      const sampleNumbers = Uint32Array.from(samples);
      const mask = new Float32Array(samples.length * size);
      fillDropoutMask(mask, key, sampleNumbers, layer, size, rate);
      const ones = new Float32Array(mask.length).fill(1);
      const dy = values(mask.length);
      const whole = [samples.length, ...shape];
      const request = { key, sampleNumbers, layer, rate, shape: whole, x: ones, dy };
      const [actual, gradient] = await gpu.compute('dropout', request);
      const what = JSON.stringify({ key, samples: samples.length, layer, rate, shape });
      // Both zeros are equal.
      const wrong = (found: Float32Array | undefined, right: Float32Array): number =>
        right.findIndex((value, i) => value !== found?.[i]);
      expect(actual?.length, what).toBe(mask.length);
      expect(wrong(actual, mask), `mask of ${what}`).toBe(-1);
      expect(
        wrong(
          gradient,
          dy.map((value, i) => value * (mask[i] ?? NaN)),
        ),
        `gradient of ${what}`,
      ).toBe(-1);
    };

    test.each([
      ['of one value', [1]],
      ['of less than a block', [7]],
      ['of one block', [8]],
      ['of a block and a value', [3, 3]],
      ['of odd sizes', [5, 3, 13]],
      ['of the default model', [12, 12, 32]],
    ])('for samples %s', async (_, shape) => {
      for (const [i, rate] of [0.25, 0.5, 0.3, 1 / 512, 0.999, 1 / 256].entries())
        await check({
          ...{ key: { seed: 1337 + i, step: 7 * i }, layer: i, rate, shape },
          samples: [0, 59_999, 2 ** 32 - 1, 17, 2 ** 31].slice(0, 1 + (i % 5)),
        });
    });

    test('for more workgroups than a row has', () =>
      check({
        ...{ key: { seed: 2 ** 32 - 1, step: 2 ** 32 - 1 }, layer: 3, rate: 0.5 },
        // A block for each sample.
        ...{ samples: Array.from({ length: 64 * 32_768 + 65 }, (_, i) => i), shape: [1] },
      }));

    test('for any shape, rate and sample', () => {
      const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
      return checkProperty(
        fc.asyncProperty(
          fc.record({
            key: fc.record({ seed: word, step: word }),
            samples: fc.array(word, { minLength: 1, maxLength: 20 }),
            layer: fc.integer({ min: 0, max: 40 }),
            rate: fc.double({ min: 0, max: 1, noNaN: true }),
            shape: fc.array(fc.integer({ min: 1, max: 19 }), { minLength: 1, maxLength: 3 }),
          }),
          check,
        ),
        { seed: 13, numRuns: 20 },
      );
    });
  });

  describe('the gradient of a max-pool goes to the first of the largest inputs', () => {
    /** Inputs of few values, so that many are equal, and gradients whose sums are exact. */
    const check = async (chosen: Omit<Chosen, 'filters'>, levels: number, shift: number): Promise<void> => {
      const g = geometry({ ...chosen, filters: chosen.channels });
      const { outHeight, outWidth } = sized(g);
      const x = values(g.batch * g.height * g.width * g.channels).map((v) => Math.round(v * levels) - shift);
      const dy = values(g.batch * outHeight * outWidth * g.channels).map((v) => Math.round(v * 100));
      const [y, dx] = await gpu.compute('maxPool', { geometry: g, x, dy });
      const what = JSON.stringify(g);
      // Positive and negative zero are equal.
      const plain = (array: ArrayLike<number>): number[] => Array.from(array, (value) => value + 0);
      expect(plain(y ?? []), `output of ${what}`).toEqual(plain(maxPool(x, g)));
      expect(plain(dx ?? []), `gradient of ${what}`).toEqual(plain(maxPoolGradient(x, dy, g)));
    };

    test.each([
      ['next to each other', [2, 2], [2, 2], false],
      ['that overlap', [3, 3], [1, 2], false],
      ['that overlap and are padded', [3, 2], [2, 1], true],
      ['with inputs between them', [2, 2], [3, 3], false],
      ['padded, with inputs between them', [2, 2], [3, 3], true],
      ['as large as the image', [13, 9], [1, 1], false],
    ] as const)('with windows %s', async (_, window, strides, isSame) => {
      for (const channels of [1, 5, 32])
        for (const shift of [0, 10])
          await check({ image: [13, 9], window, strides, isSame, batch: 3, channels }, 2, shift);
    });

    test('with inputs that are all equal', () =>
      check({ image: [7, 8], window: [3, 3], strides: [1, 1], isSame: true, batch: 2, channels: 4 }, 0, 5));

    test('of any size', () =>
      checkProperty(fc.asyncProperty(anyChosen, oneOf([1, 2, 1_000]), oneOf([0, 2_000]), check), {
        seed: 13,
        numRuns: 10,
      }));
  });

  describe('the gradient of a cross-entropy of softmax is that of a loop in double precision', () => {
    /** @param size of the largest logits */
    const check = async (classes: number, rows: number, isOneScale: boolean, size: number): Promise<void> => {
      const logits = values(rows * classes).map((value) => value * size);
      const target = new Float32Array(rows * classes);
      for (let row = 0; row < rows; row++) target[row * classes + ((row * 7) % classes)] = 1;
      const scale = values(isOneScale ? 1 : rows).map((value) => 3 * value);
      const actual = await gpu.compute('softmax', { classes, logits, target, scale });
      expect(actual).toHaveLength(rows * classes);
      for (let row = 0; row < rows; row++) {
        const own = Array.from(logits.subarray(row * classes, (row + 1) * classes));
        const largest = Math.max(...own);
        const powers = own.map((logit) => Math.exp(logit - largest));
        const sum = powers.reduce((total, power) => total + power, 0);
        // WGSL's exp(x) is off by 3 + 2 |x| units in the last place, which are two roundings.
        const errors = own.map((logit) => 6 + 4 * (largest - logit));
        const errorOfSum = errors.reduce((total, error, i) => total + (error * (powers[i] ?? 0)) / sum, 0);
        const factor = scale[isOneScale ? 0 : row] ?? NaN;
        for (let i = 0; i < classes; i++) {
          const p = (powers[i] ?? NaN) / sum;
          const difference = p - (target[row * classes + i] ?? NaN);
          // Beside the powers: the sum, a division of 2.5 units, a difference and a product.
          const roundings =
            p * ((errors[i] ?? 0) + errorOfSum + 4 * Math.sqrt(classes) + 5) + 2 * Math.abs(difference);
          // Powers, quotients and products below the smallest normal number may be 0.
          const bound = Math.abs(factor) * (roundings * ROUNDING + 2 * SMALLEST) + SMALLEST;
          const error = Math.abs((actual[row * classes + i] ?? NaN) - factor * difference);
          // An assertion for each of 600,000 values would take longer than all else.
          if (!(error <= bound))
            expect.fail(`class ${i} of row ${row} is off by ${error}, more than ${bound}`);
        }
      }
    };

    test.each([1, 2, 10, 64, 65, 1_000])('of %i classes', async (classes) => {
      for (const rows of [1, 3, 129])
        for (const isOneScale of [true, false])
          for (const size of [1, 80]) await check(classes, rows, isOneScale, size);
    });
  });
});
