import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { Layout } from '../../shared/model/layout.ts';
import type { CommonOptions } from './common-options.ts';
import { complement, f32, power, type UpdateRule } from './update-rule.ts';

/** Options of Lamb. */
export interface LambOptions extends CommonOptions {
  readonly name: 'lamb';
  /** Part of the mean gradient that each update keeps. @default 0.9 */
  readonly beta1?: number;
  /** Part of the mean square gradient that each update keeps. @default 0.999 */
  readonly beta2?: number;
  /** Added to the root of the mean square gradient. @default 1e-7 */
  readonly epsilon?: number;
}

/** Keras' defaults. */
export const lambDefaults = { learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };

/**
 * Lamb (keras 3 optimizers/lamb.py), after You et al., "Large batch optimization for deep learning: training BERT in 76 minutes"
 * (arXiv:1904.00962). t counts updates from 1; norms are over a whole tensor:
 *
 *     m = m + (g - m) (1 - beta1)
 *     v = v + (g^2 - v) (1 - beta2)
 *     u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
 *     w = w - |w| / |u| learningRate u                          the ratio is 1 if a norm is 0
 */
export function lamb({ beta1, beta2, epsilon }: SettingsOf<'lamb'>, { slices }: Layout): UpdateRule {
  const direction = new Float32Array(Math.max(...slices.map(({ size }) => size)));
  return {
    state: { momentum: 0, velocity: 0 },
    update({ kernels, weights, gradientSum, samples, state, learningRate, iteration }) {
      const u = direction.subarray(0, weights.length);
      kernels.run('lambDirection', { changed: [u, ...state], read: [gradientSum] }, [
        samples,
        complement(beta1),
        complement(beta2),
        epsilon,
        f32(1 - power(beta1, iteration + 1)),
        f32(1 - power(beta2, iteration + 1)),
      ]);
      const weightNorm = f32(Math.sqrt(f32(kernels.sumSquares(weights))));
      const updateNorm = f32(Math.sqrt(f32(kernels.sumSquares(u))));
      const ratio = weightNorm > 0 && updateNorm > 0 ? f32(weightNorm / updateNorm) : 1;
      const rate = f32(ratio * learningRate);
      kernels.run('subtractScaled', { changed: [weights], read: [u] }, [rate, 1, 1]);
    },
  };
}
