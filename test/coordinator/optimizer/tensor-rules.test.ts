import { expect, it } from 'vitest';
import { constrain } from '../../../coordinator/optimizer/tensor-rules.ts';

const f32 = Math.fround;

/** Unit norm over axes, value by value. */
function unitNorm(weights: Float32Array, shape: readonly number[], axes: readonly number[]): Float32Array {
  const groups = Array.from(weights, (_, position) => {
    let rest = position;
    const index = shape.toReversed().map((side) => {
      const at = rest % side;
      rest = (rest - at) / side;
      return at;
    });
    return index
      .toReversed()
      .filter((_, axis) => !axes.includes(axis))
      .join();
  });
  return weights.map((value, i) => {
    const squares = weights.filter((_, j) => groups[j] === groups[i]);
    const norm = f32(Math.sqrt(f32(squares.reduce((sum, each) => sum + f32(each * each), 0))));
    return value / f32(f32(1e-7) + norm);
  });
}

it.each([
  [[5], [0]],
  [[3, 4], [0]],
  [[3, 4], [1]],
  [
    [3, 4],
    [0, 1],
  ],
  [
    [2, 3, 1, 5],
    [0, 1, 2],
  ],
  [
    [2, 3, 4],
    [0, 2],
  ],
  [[2, 3, 4], [1]],
  [[2, 3, 1], []],
])('a norm of values of shape %j is over the axes %j', (shape, axes) => {
  const size = shape.reduce((product, side) => product * side, 1);
  const weights = Float32Array.from({ length: size }, (_, i) => Math.sin(i + 1));
  const expected = unitNorm(weights, shape, axes);
  constrain(weights, shape, { name: 'unitNorm', axes });
  expect(weights).toEqual(expected);
});
