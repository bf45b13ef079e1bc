import type { Job } from '../../shared/model/job.ts';
import type { Layout } from '../../shared/model/layout.ts';
import type { Range } from '../../shared/util/range.ts';
import { residentVectors } from './kernels/vector.ts';

/** What an optimizer remembers between steps, by name; each of the flat vector's length. */
export type OptimizerState = Readonly<Record<string, Float32Array>>;

/** Changes weights in place, on flat vectors. */
export interface Optimizer {
  /**
   * @param weights the flat vector, updated in place
   * @param gradientSum sum over the batch's samples, in the same layout
   * @param samples how many samples the sum is over; their mean gradient is what is applied
   * @param part of the vectors to be updated, as positions; a step is over when each has had its turn
   */
  step(weights: Float32Array, gradientSum: Float32Array, samples: number, part?: Range): void;
  readonly state: OptimizerState;
  /** Zeros in one memory with the state: a step that is taken with these need not move them. */
  readonly resident: { readonly weights: Float32Array; readonly gradientSum: Float32Array };
}

export function createOptimizer(settings: Job['optimizer'], layout: Layout): Optimizer {
  return adadelta(settings, layout);
}

/**
 * Adadelta by Keras' rule (keras 1.2 optimizers.py; keras 3 optimizers/adadelta.py), after Zeiler, "ADADELTA: an
 * adaptive learning rate method" (arXiv:1212.5701), with a learning rate:
 *
 *     a = rho a + (1 - rho) g^2
 *     u = g sqrt(d + epsilon) / sqrt(a + epsilon)
 *     w = w - learningRate u
 *     d = rho d + (1 - rho) u^2
 *
 * The squared-gradient average that divides is the new one. Every operation rounds to float32, which gives Keras' own
 * bits. What is not trainable takes the mean change that the forward passes made to it.
 */
function adadelta(settings: Job['optimizer'], layout: Layout): Optimizer {
  type Vectors = [Float32Array, Float32Array, Float32Array, Float32Array];
  const { kernels, vectors } = residentVectors(4, layout.length);
  const [weights, gradientSum, meanSquareGradient, meanSquareUpdate] = vectors as Vectors;
  const runs = trainableRanges(layout);
  return {
    state: { meanSquareGradient, meanSquareUpdate },
    resident: { weights, gradientSum },
    step(weights, gradientSum, samples, part = { from: 0, to: layout.length }) {
      for (const run of runs) {
        const { trainable } = run;
        const [from, to] = [Math.max(run.from, part.from), Math.min(run.to, part.to)];
        if (from >= to) continue;
        const [w, g] = [weights.subarray(from, to), gradientSum.subarray(from, to)];
        if (trainable) {
          const [a, d] = [meanSquareGradient.subarray(from, to), meanSquareUpdate.subarray(from, to)];
          kernels.adadelta(w, g, a, d, { samples, ...settings });
        } else {
          for (let i = 0; i < w.length; i++) w[i] = (w[i] as number) + (g[i] as number) / samples;
        }
      }
    },
  };
}

/** Neighbouring tensors that are alike trainable, as one range of the flat vector. */
function trainableRanges({ slices }: Layout): { from: number; to: number; trainable: boolean }[] {
  const runs: { from: number; to: number; trainable: boolean }[] = [];
  for (const { offset, size, trainable } of slices) {
    const last = runs.at(-1);
    if (last?.trainable === trainable) last.to = offset + size;
    else runs.push({ from: offset, to: offset + size, trainable });
  }
  return runs;
}
