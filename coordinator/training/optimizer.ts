import type { Job } from '../../shared/model/job.ts';
import type { Layout } from '../../shared/model/layout.ts';

/** What an optimizer remembers between steps, by name; each of the flat vector's length. */
export type OptimizerState = Readonly<Record<string, Float32Array>>;

/** Changes weights in place, on flat vectors. */
export interface Optimizer {
  /**
   * @param weights the flat vector, updated in place
   * @param gradientSum sum over the batch's samples, in the same layout
   * @param samples how many samples the sum is over; their mean gradient is what is applied
   */
  step(weights: Float32Array, gradientSum: Float32Array, samples: number): void;
  readonly state: OptimizerState;
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
 * The squared-gradient average that divides is the new one. What is not trainable takes the mean change that the
 * forward passes made to it.
 */
function adadelta(settings: Job['optimizer'], layout: Layout): Optimizer {
  const { learningRate, rho, epsilon } = settings;
  const meanSquareGradient = new Float32Array(layout.length);
  const meanSquareUpdate = new Float32Array(layout.length);
  const fresh = 1 - rho;

  return {
    state: { meanSquareGradient, meanSquareUpdate },
    step(weights, gradientSum, samples) {
      const scale = 1 / samples;
      for (const { offset, size, trainable } of layout.slices) {
        const end = offset + size;
        if (!trainable) {
          for (let i = offset; i < end; i++) {
            weights[i] = (weights[i] as number) + (gradientSum[i] as number) * scale;
          }
          continue;
        }
        for (let i = offset; i < end; i++) {
          const g = (gradientSum[i] as number) * scale;
          const a = rho * (meanSquareGradient[i] as number) + fresh * g * g;
          const d = meanSquareUpdate[i] as number;
          const u = g * Math.sqrt((d + epsilon) / (a + epsilon));
          meanSquareGradient[i] = a;
          meanSquareUpdate[i] = rho * d + fresh * u * u;
          weights[i] = (weights[i] as number) - learningRate * u;
        }
      }
    },
  };
}
