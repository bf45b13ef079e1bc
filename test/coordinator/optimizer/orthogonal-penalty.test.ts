import { expect, it } from 'vitest';
import {
  addOrthogonalGradient,
  orthogonalPenalty,
} from '../../../coordinator/optimizer/orthogonal-penalty.ts';
import { wholeRanges } from '../../../coordinator/optimizer/whole-gradient.ts';
import { layoutOf } from '../../../shared/model/layout.ts';

const shape = [3, 4];
const weights = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i + 1));

it.each(['rows', 'columns'] as const)('the gradient of %s is the slope of the penalty', (mode) => {
  const settings = { factor: 0.7, mode };
  const gradient = new Float32Array(12);
  addOrthogonalGradient(weights, gradient, shape, settings);
  const step = 2 ** -10;
  weights.forEach((value, i) => {
    const at = (moved: number): number => orthogonalPenalty(weights.with(i, moved), shape, settings);
    expect(gradient[i]).toBeCloseTo((at(value + step) - at(value - step)) / (2 * step), 4);
  });
});

it('orthogonal rows have no penalty, and rows of zeros a finite gradient', () => {
  const settings = { factor: 1, mode: 'rows' } as const;
  expect(orthogonalPenalty(Float32Array.of(1, 1, 1, -1), [2, 2], settings)).toBe(0);
  const gradient = new Float32Array(4);
  addOrthogonalGradient(Float32Array.of(0, 0, 1, 2), gradient, [2, 2], settings);
  expect([...gradient].every(Number.isFinite)).toBe(true);
});

it('the matrix has to be applied at once', () => {
  const { slices } = layoutOf([
    { shape: [2], trainable: true },
    { shape, trainable: true },
  ]);
  const tensorRules = [{ tensor: 1, orthogonal: { factor: 1, mode: 'rows' as const } }];
  const settings = { name: 'sgd', learningRate: 0.1, momentum: 0, nesterov: false, tensorRules } as const;
  expect(wholeRanges(settings, slices)).toMatchObject([{ from: 2, to: 14 }]);
});
