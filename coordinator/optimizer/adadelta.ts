import type { Job } from '../../shared/model/job.ts';
import type { Layout } from '../../shared/model/layout.ts';
import { residentVectors } from './kernels/vector.ts';
import type { UpdateRule } from './update-rule.ts';

/**
 * Adadelta by Keras' rule (keras 1.2 optimizers.py; keras 3 optimizers/adadelta.py), after Zeiler, "ADADELTA: an
 * adaptive learning rate method" (arXiv:1212.5701), with a learning rate:
 *
 *     a = rho a + (1 - rho) g^2
 *     u = g sqrt(d + epsilon) / sqrt(a + epsilon)
 *     w = w - learningRate u
 *     d = rho d + (1 - rho) u^2
 *
 * u divides by the updated a. Every operation rounds to float32, which gives Keras' own bits. To values that are not trainable,
 * the mean of the changes that the forward passes made to them is added.
 */
export function adadelta(settings: Job['optimizer'], layout: Layout): UpdateRule {
  type Vectors = [Float32Array, Float32Array, Float32Array, Float32Array];
  const { kernels, vectors } = residentVectors(4, layout.length);
  const [weights, gradientSum, meanSquareGradient, meanSquareUpdate] = vectors as Vectors;
  const ranges = trainableRanges(layout);
  return {
    weights,
    gradientSum,
    state: { meanSquareGradient, meanSquareUpdate },
    update(samples, range) {
      for (const { trainable, ...tensors } of ranges) {
        const from = Math.max(tensors.from, range.from);
        const to = Math.min(tensors.to, range.to);
        if (from >= to) continue;
        const w = weights.subarray(from, to);
        const g = gradientSum.subarray(from, to);
        if (trainable) {
          const a = meanSquareGradient.subarray(from, to);
          const d = meanSquareUpdate.subarray(from, to);
          kernels.adadelta(w, g, a, d, { samples, ...settings });
        } else {
          for (let i = 0; i < w.length; i++) w[i] = (w[i] as number) + (g[i] as number) / samples;
        }
      }
    },
  };
}

/** Ranges of the flat vector whose tensors are all trainable or all not trainable, each as long as possible. */
function trainableRanges({ slices }: Layout): { from: number; to: number; trainable: boolean }[] {
  const ranges: { from: number; to: number; trainable: boolean }[] = [];
  for (const { offset, size, trainable } of slices) {
    const last = ranges.at(-1);
    if (last?.trainable === trainable) last.to = offset + size;
    else ranges.push({ from: offset, to: offset + size, trainable });
  }
  return ranges;
}
