import * as v from 'valibot';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf, type Slice } from '../../shared/model/layout.ts';
import {
  optimizerSchema,
  type ConstraintSettings,
  type TensorRule,
} from '../../shared/model/optimizer-settings.ts';
import { vectorKernels, type VectorKernels } from './kernels/vector.ts';
import { orthogonalPenalty } from './orthogonal-penalty.ts';
import { f32 } from './update-rule.ts';

/** Keras' backend.epsilon(). */
const EPSILON = f32(1e-7);

/** Penalty of a saved model's regularizers, which is part of its loss; 0 without any. */
export function modelPenalty({ optimizer, layout }: Job, weights: Float32Array): number {
  // A model of another version may have an optimizer that this one does not know.
  const { success, output } = v.safeParse(optimizerSchema, optimizer);
  if (!success || output.tensorRules === undefined) return 0;
  return sumPenalties(output.tensorRules, layoutOf(layout).slices, weights, vectorKernels);
}

/** Sum of the penalties of tensors: l1 sum |w| + l2 sum w^2, and that of vectors that are not orthogonal. @param kernels kernels of the weights' memory */
export function sumPenalties(
  rules: readonly TensorRule[],
  slices: readonly Slice[],
  weights: Float32Array,
  kernels: Pick<VectorKernels, 'sumSquares' | 'sumMagnitudes'>,
): number {
  let total = 0;
  for (const { tensor, penalty, orthogonal } of rules) {
    const slice = slices[tensor];
    if (slice === undefined) continue;
    const values = weights.subarray(slice.offset, slice.offset + slice.size);
    if (orthogonal !== undefined) total += orthogonalPenalty(values, slice.shape, orthogonal);
    if (penalty === undefined) continue;
    if (penalty.l1 > 0) total += penalty.l1 * kernels.sumMagnitudes(values);
    if (penalty.l2 > 0) total += penalty.l2 * kernels.sumSquares(values);
  }
  return total;
}

/**
 * Applies the constraint of a tensor in place (keras 3 constraints/constraints.py). Norms are sums over the constraint's axes;
 * their squares are added in float64, and all other operations are rounded to float32.
 */
export function constrain(
  weights: Float32Array,
  shape: readonly number[],
  constraint: ConstraintSettings,
): void {
  if (constraint.name === 'nonNegative') {
    for (let i = 0; i < weights.length; i++) weights[i] = Math.max(weights[i] as number, 0);
    return;
  }
  const { axes } = constraint;
  // Along the last axis, all values share a norm, or each has the next one.
  const length = shape.at(-1) ?? 1;
  const step = axes.includes(shape.length - 1) ? 0 : 1;
  const rows = groupsOf(shape.slice(0, -1), axes).map((row) => (step === 0 ? row : row * length));
  const norms = new Float64Array(groupCount(shape, axes));
  // Plain loops, which take a few milliseconds for a million values.
  for (let row = 0, at = 0; row < rows.length; row++) {
    let group = rows[row] as number;
    for (const end = at + length; at < end; at++, group += step) {
      const value = weights[at] as number;
      norms[group] = (norms[group] as number) + f32(value * value);
    }
  }
  const isUnitNorm = constraint.name === 'unitNorm';
  const scales = norms.map((sum) => {
    const norm = f32(Math.sqrt(f32(sum)));
    const divisor = f32(EPSILON + norm);
    return constraint.name === 'unitNorm' ? divisor : f32(desiredNorm(norm, constraint) / divisor);
  });
  for (let row = 0, at = 0; row < rows.length; row++) {
    let group = rows[row] as number;
    for (const end = at + length; at < end; at++, group += step) {
      const value = weights[at] as number;
      const scale = scales[group] as number;
      weights[at] = isUnitNorm ? value / scale : value * scale;
    }
  }
}

function desiredNorm(
  norm: number,
  constraint: Exclude<ConstraintSettings, { readonly name: 'nonNegative' | 'unitNorm' }>,
): number {
  if (constraint.name === 'maxNorm') return Math.min(Math.max(norm, 0), f32(constraint.maxValue));
  const { minValue, maxValue, rate } = constraint;
  const clipped = Math.min(Math.max(norm, f32(minValue)), f32(maxValue));
  return f32(f32(f32(rate) * clipped) + f32(f32(1 - rate) * norm));
}

const groupCount = (shape: readonly number[], axes: readonly number[]): number =>
  shape.reduce((product, side, axis) => product * (axes.includes(axis) ? 1 : side), 1);

/** Number of the norm that each value of a tensor belongs to: values that differ only in the axes share one. */
function groupsOf(shape: readonly number[], axes: readonly number[]): Uint32Array {
  const size = shape.reduce((product, side) => product * side, 1);
  const groups = new Uint32Array(size);
  let stride = size;
  let groupStride = 1;
  // From the last axis, so that groups are numbered densely.
  const groupStrides = shape.map(() => 0);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (axes.includes(axis)) continue;
    groupStrides[axis] = groupStride;
    groupStride *= shape[axis] as number;
  }
  for (const [axis, side] of shape.entries()) {
    stride /= side;
    const groupStep = groupStrides[axis] as number;
    if (groupStep === 0) continue;
    for (let i = 0; i < size; i++)
      groups[i] = (groups[i] as number) + (Math.floor(i / stride) % side) * groupStep;
  }
  return groups;
}
