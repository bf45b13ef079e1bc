import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import { complement, f32, power, type UpdateRule } from './update-rule.ts';

/** Options of Adamax. */
export interface AdamaxOptions extends CommonOptions {
  readonly name: 'adamax';
  /** Part of the mean gradient that each update keeps. @default 0.9 */
  readonly beta1?: number;
  /** Part of the largest gradient that each update keeps. @default 0.999 */
  readonly beta2?: number;
  /** Added to the largest gradient. @default 1e-7 */
  readonly epsilon?: number;
}

/** Keras' defaults. */
export const adamaxDefaults = { learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };

/**
 * Adamax (keras 3 optimizers/adamax.py), after section 7.1 of Kingma and Ba, "Adam: a method for stochastic optimization"
 * (arXiv:1412.6980). t counts updates from 1:
 *
 *     m = m + (g - m) (1 - beta1)
 *     u = max(beta2 u, |g|)
 *     w = w - learningRate m / ((1 - beta1^t) (u + epsilon))
 */
export function adamax({ beta1, beta2, epsilon }: SettingsOf<'adamax'>): UpdateRule {
  return {
    state: { momentum: 0, norm: 0 },
    update({ kernels, weights, gradientSum, samples, state, learningRate, iteration }) {
      const divisor = f32(1 - power(beta1, iteration + 1));
      const vectors = { changed: [weights, ...state], read: [gradientSum] };
      kernels.run('adamax', vectors, [samples, learningRate, complement(beta1), beta2, epsilon, divisor]);
    },
  };
}
