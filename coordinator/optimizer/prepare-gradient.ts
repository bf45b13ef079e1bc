import type { OptimizerSettings } from '../../shared/model/optimizer-settings.ts';
import type { Range } from '../../shared/util/range.ts';
import type { VectorKernels } from './kernels/vector.ts';
import { addOrthogonalGradient } from './orthogonal-penalty.ts';
import { f32 } from './update-rule.ts';

/** Vectors of a step's gradient. */
export interface GradientVectors {
  readonly kernels: VectorKernels;
  readonly weights: Float32Array;
  readonly gradientSum: Float32Array;
  /** Mean gradient that the rule applies; overwritten. */
  readonly gradient: Float32Array;
  /** Sum of the mean gradients of the steps since the last update; null without accumulation. */
  readonly accumulated: Float32Array | null;
}

/** Tensor or part of one. */
export interface TensorPart extends Range {
  readonly tensor: number;
  /** Shape of the whole tensor. */
  readonly shape: readonly number[];
}

/** Whether the rule cannot take the mean of the gradient sum as it is. */
export const changesGradient = (settings: OptimizerSettings): boolean =>
  [settings.clipNorm, settings.globalClipNorm, settings.clipValue, settings.accumulate].some(
    (setting) => setting !== undefined,
  ) ||
  settings.tensorRules?.some(({ penalty, orthogonal }) => (penalty ?? orthogonal) !== undefined) === true;

/**
 * Computes the mean gradient of a range with the penalties of its tensors, in float32: of this step, or with accumulation of the
 * steps since the last update. In a step without an update it is only added to those of earlier steps.
 */
export function takeMean(
  { kernels, weights, gradientSum, gradient, accumulated }: GradientVectors,
  range: Range,
  parts: readonly TensorPart[],
  settings: OptimizerSettings,
  { samples, isUpdate }: { readonly samples: number; readonly isUpdate: boolean },
): void {
  const of = (vector: Float32Array, { from, to }: Range): Float32Array => vector.subarray(from, to);
  const mean = of(gradient, range);
  kernels.run('mean', { changed: [mean], read: [of(gradientSum, range)] }, [samples]);
  for (const { tensor, penalty, orthogonal } of settings.tensorRules ?? []) {
    for (const part of parts.filter((each) => each.tensor === tensor)) {
      const vectors = { changed: [of(gradient, part)], read: [of(weights, part)] };
      if (penalty !== undefined) kernels.run('penalize', vectors, [penalty.l1, penalty.l2]);
      if (orthogonal !== undefined)
        addOrthogonalGradient(of(weights, part), of(gradient, part), part.shape, orthogonal);
    }
  }
  if (accumulated === null) return;
  const sum = of(accumulated, range);
  if (!isUpdate) {
    kernels.addInto(sum, mean);
    return;
  }
  kernels.run('meanOfSteps', { changed: [mean], read: [sum] }, [settings.accumulate ?? 1]);
  sum.fill(0);
}

/**
 * Clips the gradient of whole tensors, or by value of any parts, as tf.clip_by_norm and keras 3 optimizers/base_optimizer.py do.
 * @param parts trained tensors, whole for a clip by norm, and all of them for a clip by the global norm
 */
export function clipGradient(
  kernels: VectorKernels,
  gradient: Float32Array,
  parts: readonly TensorPart[],
  { clipNorm, globalClipNorm, clipValue }: OptimizerSettings,
): void {
  const vectors = parts.map(({ from, to }) => gradient.subarray(from, to));
  if (clipNorm !== undefined) {
    for (const vector of vectors) {
      const norm = f32(Math.sqrt(f32(kernels.sumSquares(vector))));
      kernels.run('scale', { changed: [vector] }, [clipNorm, Math.max(norm, f32(clipNorm))]);
    }
  } else if (globalClipNorm !== undefined) {
    const squares = vectors.map((vector) => f32(kernels.sumSquares(vector)));
    const norm = f32(Math.sqrt(f32(squares.reduce((sum, square) => sum + square, 0))));
    const factor = f32(f32(globalClipNorm) * Math.min(f32(1 / norm), f32(1 / globalClipNorm)));
    for (const vector of vectors) kernels.run('scale', { changed: [vector] }, [factor, 1]);
  } else if (clipValue !== undefined) {
    for (const vector of vectors) kernels.run('clip', { changed: [vector] }, [clipValue]);
  }
}
