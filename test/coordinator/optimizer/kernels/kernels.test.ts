import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  residentVectors,
  vectorKernels,
  type VectorKernels,
} from '../../../../coordinator/optimizer/kernels/vector.ts';
import { checkProperty } from '../../../support/property.ts';
import { scalarKernels, type ReferencePasses } from '../../../support/scalar-vector-kernels.ts';

/** Kernels with Adadelta as a function of its vectors. */
const withAdadelta = (kernels: Pick<VectorKernels, 'finiteNorm' | 'addInto' | 'run'>): ReferencePasses => ({
  finiteNorm: (values) => kernels.finiteNorm(values),
  addInto: (total, part) => kernels.addInto(total, part),
  adadelta: (weights, gradientSum, a, d, { samples, learningRate, rho, epsilon }) =>
    kernels.run('adadelta', { changed: [weights, a, d], read: [gradientSum] }, [
      samples,
      learningRate,
      rho,
      1 - rho,
      epsilon,
    ]),
});
const simd = withAdadelta(vectorKernels);
/** Vectors that share the memory of their kernels. */
const residents = (count: number, length: number) => {
  const { kernels, vectors } = residentVectors(count, length);
  return { kernels: withAdadelta(kernels), vectors };
};
const value = fc.float({ noNaN: true, noDefaultInfinity: true });
/** Lengths around the ends of blocks and of groups of four. */
const lengths = [0, 1, 3, 4, 5, 8191, 8192, 8193, 20000];

describe.each([
  ['SIMD', simd],
  ['scalar', scalarKernels],
])('finiteNorm, %s', (_, kernels) => {
  const allFinite = (values: Float32Array): boolean => kernels.finiteNorm(values) !== null;

  it('accepts any finite values, including the largest and the smallest', () => {
    checkProperty(
      fc.property(fc.array(value, { maxLength: 40 }), (values) => allFinite(Float32Array.from(values))),
      { seed: 1 },
    );
    expect(allFinite(new Float32Array(9).fill(3.4028234663852886e38))).toBe(true);
    expect(allFinite(Float32Array.of(-0, 2 ** -149))).toBe(true);
    expect(allFinite(new Float32Array(0))).toBe(true);
  });

  it('finds a value that is not finite at any position, and only as long as it is there', () => {
    const positions = [1, 2, 3, 4, 5, 18, 19].flatMap((length) =>
      Array.from({ length }, (_, at) => [length, at] as const),
    );
    for (const [length, at] of [
      ...positions,
      [8193, 8192],
      [8193, 8191],
      [20000, 10],
      [20000, 19999],
    ] as const) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const values = new Float32Array(length).fill(1.5);
        values[at] = bad;
        if (allFinite(values)) throw new Error(`${bad} at ${at} of ${length} was not found.`);
        values[at] = 0;
        if (!allFinite(values)) throw new Error(`${bad} at ${at} of ${length} is still found.`);
      }
    }
  });

  it('finds two infinities that would cancel', () => {
    expect(allFinite(Float32Array.of(Infinity, 1, 1, 1, -Infinity))).toBe(false);
  });

  it.each(lengths)('of %i values is the root of the sum of their squares', (length) => {
    const values = Float32Array.from({ length }, (_, i) => Math.sin(i) * 10 ** ((i % 7) - 3));
    const expected = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
    const norm = kernels.finiteNorm(values);
    expect(norm).not.toBeNull();
    expect(Math.abs((norm ?? 0) - expected)).toBeLessThanOrEqual(1e-4 * expected);
  });

  it('of large finite values is not too small', () => {
    expect(kernels.finiteNorm(new Float32Array(5).fill(3e38))).toBeGreaterThan(6e38);
  });
});

describe('SIMD and scalar give the same bits', () => {
  const some = (length: number, seed: number, scale = 1): Float32Array =>
    Float32Array.from({ length }, (_, i) => Math.sin((i + 1) * (seed + 0.37)) * scale);

  it.each(lengths)('adding vectors of %i values', (length) => {
    const [a, b] = [some(length, 1), some(length, 1)];
    simd.addInto(a, some(length, 2, 1e-3));
    scalarKernels.addInto(b, some(length, 2, 1e-3));
    expect(a).toEqual(b);
    if (length > 0) expect(a).not.toEqual(some(length, 1));
  });

  const settings = { samples: 96, learningRate: 0.7, rho: 0.95, epsilon: 1e-8 };
  const fiveSteps = (kernels: ReferencePasses, a: Float32Array, d: Float32Array): Float32Array[] => {
    const weights = some(a.length, 1);
    for (let step = 0; step < 5; step++) kernels.adadelta(weights, some(a.length, step + 3), a, d, settings);
    return [weights, a, d];
  };
  const expected = (length: number): Float32Array[] =>
    fiveSteps(scalarKernels, new Float32Array(length), new Float32Array(length));

  it.each(lengths)('five steps of Adadelta over %i values', (length) => {
    const state = fiveSteps(simd, new Float32Array(length), new Float32Array(length));
    expect(state).toEqual(expected(length));
  });

  it.each(lengths)('five steps of Adadelta over %i values, two of the vectors resident', (length) => {
    const { kernels, vectors } = residents(2, length);
    const [a, d] = vectors as [Float32Array, Float32Array];
    expect(fiveSteps(kernels, a, d)).toEqual(expected(length));
  });

  it('a pass over a part of resident vectors does not change the neighboring values', () => {
    const { kernels, vectors } = residents(2, 40);
    for (const [from, to] of [
      [0, 5],
      [5, 13],
      [13, 14],
      [14, 30],
    ] as const) {
      const [a, d] = vectors.map((vector) => vector.fill(7)) as [Float32Array, Float32Array];
      const part = to - from;
      const weights = some(part, 1);
      kernels.adadelta(weights, some(part, 2), a.subarray(from, to), d.subarray(from, to), settings);
      for (const vector of [a, d]) {
        expect([...vector.subarray(0, from), ...vector.subarray(to)].every((x) => x === 7)).toBe(true);
        expect(vector.subarray(from, to).every((x) => x !== 7)).toBe(true);
      }
    }
  });
});
