import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createSimdFillMask,
  fillDropoutMask,
  fillSampleMaskScalar,
} from '../../../shared/kernels/masks/dropout-masks.ts';
import { Purpose } from '../../../shared/random/stream.ts';
import { threefry2x32 } from '../../../shared/random/threefry.ts';
import { checkProperty } from '../../support/property.ts';

interface Mask {
  readonly seed?: number;
  readonly step?: number;
  readonly samples?: readonly number[];
  readonly layer?: number;
  readonly size?: number;
  readonly rate?: number;
}

function mask({ seed = 1, step = 2, samples = [5], layer = 0, size = 40, rate = 0.5 }: Mask): Float32Array {
  const values = new Float32Array(samples.length * size).fill(NaN);
  fillDropoutMask(values, { seed, step }, Uint32Array.from(samples), layer, size, rate);
  return values;
}

/** Mask computed element by element as the docstring of fillDropoutMask describes. */
function naive({ seed = 1, step = 2, samples = [5], layer = 0, size = 40, rate = 0.5 }: Mask): Float32Array {
  const threshold = Math.round(256 * rate);
  const elements = samples.flatMap((sample) =>
    Array.from({ length: size }, (_, e) => {
      const subkey = new Uint32Array(2);
      threefry2x32(seed, Purpose.dropout, step, sample, subkey);
      const words = new Uint32Array(2);
      threefry2x32(subkey[0]!, subkey[1]!, Math.floor(e / 8), layer, words);
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, words[0]!, true);
      new DataView(bytes.buffer).setUint32(4, words[1]!, true);
      return bytes[e % 8]! >= threshold ? 256 / (256 - threshold) : 0;
    }),
  );
  return Float32Array.from(elements);
}

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const sampleLists = fc.array(uint32, { maxLength: 6 });
const sizes = fc.integer({ min: 1, max: 50 });
const rates = fc.integer({ min: 0, max: 254 }).map((threshold) => threshold / 256);
const kept = (values: Float32Array): number => values.filter((value) => value > 0).length / values.length;

describe('a dropout mask', () => {
  it('follows its docstring element by element', () => {
    const settings = fc.record({
      seed: uint32,
      step: fc.nat(),
      samples: sampleLists,
      layer: fc.nat(20),
      size: sizes,
      rate: rates,
    });
    checkProperty(
      fc.property(
        settings,
        (setting) => Buffer.compare(bytesOf(mask(setting)), bytesOf(naive(setting))) === 0,
      ),
      { seed: 1, numRuns: 300 },
    );
  });

  it('is the same from the scalar kernel and from the SIMD kernel', () => {
    const simd = createSimdFillMask();
    if (simd === null) throw new Error('No SIMD in this Node.');
    const sample = fc.record({
      key0: fc.integer(),
      key1: fc.integer(),
      layer: fc.nat(),
      threshold: fc.nat(255),
      scale: fc.constantFrom(1, 256 / 192, 2, 256),
    });
    checkProperty(
      fc.property(fc.integer({ min: 1, max: 20_000 }), fc.nat(5), sample, (size, from, how) => {
        const [one, two] = [fillSampleMaskScalar, simd].map((fill) => {
          const values = new Float32Array(from + size + 3).fill(7);
          fill(values, from, size, how);
          return values;
        });
        return Buffer.compare(bytesOf(one!), bytesOf(two!)) === 0;
      }),
      { seed: 2, numRuns: 100 },
    );
  });

  it('does not depend on the other samples of the shard', () => {
    checkProperty(
      fc.property(sampleLists, sizes, rates, fc.nat(6), (samples, size, rate, at) => {
        const together = mask({ samples, size, rate });
        const first = samples.slice(0, at);
        const second = samples.slice(at);
        const apart = [...mask({ samples: first, size, rate }), ...mask({ samples: second, size, rate })];
        return apart.length === together.length && apart.every((value, i) => value === together[i]);
      }),
      { seed: 3, numRuns: 300 },
    );
  });

  it('is the same for the first elements of a larger layer', () => {
    expect(mask({ size: 90 }).subarray(0, 13)).toEqual(mask({ size: 13 }));
  });

  it.each<Mask>([{ seed: 9 }, { step: 3 }, { samples: [6] }, { layer: 1 }])('differs for %o', (other) => {
    const one = mask({ size: 4000 });
    const two = mask({ ...other, size: 4000 });
    const agreement = one.filter((value, i) => value === two[i]).length / one.length;
    expect(Math.abs(agreement - 0.5)).toBeLessThan(0.05);
  });

  it.each([0.1, 0.25, 0.5, 0.9])('of rate %d drops this fraction and keeps the expectation', (rate) => {
    const values = mask({ samples: Array.from({ length: 400 }, (_, i) => i), size: 500, rate });
    const threshold = Math.round(256 * rate);
    expect(new Set(values)).toEqual(new Set([0, Math.fround(256 / (256 - threshold))]));
    expect(Math.abs(kept(values) - (1 - threshold / 256))).toBeLessThan(0.005);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(Math.abs(mean - 1)).toBeLessThan(0.02);
  });

  it('is all ones without dropout and not all zeros at the highest rate', () => {
    expect(mask({ rate: 0 }).every((value) => value === 1)).toBe(true);
    const values = mask({ size: 100_000, rate: 0.9999 });
    expect(new Set(values)).toEqual(new Set([0, 256]));
  });
});

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer);
