import * as fc from 'fast-check';
import type { ConvGeometry } from '../../support/reference-kernels.ts';
import { sized } from '../../support/reference-kernels.ts';

const small = (min: number, max: number) => fc.integer({ min, max });
const side = small(0, 2);

/** Convolutions with a nonempty output: any sizes, strides 1 to 3, every padding. */
export const geometries: fc.Arbitrary<ConvGeometry> = fc
  .record({
    batch: small(1, 9),
    height: small(1, 13),
    width: small(1, 13),
    channels: small(1, 33),
    filterHeight: small(1, 5),
    filterWidth: small(1, 5),
    filters: small(1, 33),
    strideY: small(1, 3),
    strideX: small(1, 3),
    pad: fc.oneof(
      fc.constant('valid' as const),
      fc.constant('same' as const),
      fc.record({ top: side, bottom: side, left: side, right: side }),
    ),
  })
  .filter((g) => {
    const { outHeight, outWidth } = sized(g);
    return outHeight > 0 && outWidth > 0;
  });

/** Products of a convolution that plain loops compute in some milliseconds. */
export const MAX_PRODUCTS = 2e6;

/** Convolutions that use Winograd's algorithm: 3 x 3 taps with stride 1, and multiples of 4 channels. From 32 on, its tiles are larger. */
export const winogradGeometries: fc.Arbitrary<ConvGeometry> = fc
  .tuple(geometries, small(1, 13), small(1, 13), small(1, 10), small(1, 10), fc.boolean())
  .map(([g, height, width, channels, filters, wholeFilters]) => ({
    ...g,
    batch: Math.min(g.batch, 3),
    height,
    width,
    filterHeight: 3,
    filterWidth: 3,
    strideY: 1,
    strideX: 1,
    channels: 4 * channels,
    filters: wholeFilters ? 4 * filters : g.filters,
  }))
  .filter((g) => {
    const { outHeight, outWidth } = sized(g);
    const products = g.batch * outHeight * outWidth * 9 * g.channels * g.filters;
    return outHeight > 0 && outWidth > 0 && products < MAX_PRODUCTS;
  });

/** Convolutions of one channel by filters three pixels wide, whose taps stay in registers. */
export const slidingGeometries: fc.Arbitrary<ConvGeometry> = fc
  .tuple(geometries, small(1, 3))
  .map(([g, filters]): ConvGeometry => ({
    ...g,
    ...{ channels: 1, filterWidth: 3, strideY: 1, strideX: 1, filters: 8 * filters },
  }))
  .filter((g) => {
    const { outHeight, outWidth } = sized(g);
    return outHeight > 0 && outWidth > 0;
  });

/** Pseudorandom values in (-1, 1) that depend on the seed, from a linear congruential generator. */
export function values(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const out = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = (state >>> 8) / 2 ** 23 - 1;
  }
  return out;
}

/** Padding in the form of tfjs. */
export function tfPad({ pad }: ConvGeometry): 'valid' | 'same' | [number, number][] {
  if (typeof pad === 'string') return pad;
  return [
    [0, 0],
    [pad.top, pad.bottom],
    [pad.left, pad.right],
    [0, 0],
  ];
}
