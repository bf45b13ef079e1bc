import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import { complement32, type UpdateRule } from './update-rule.ts';

/** Options of Lion. */
export interface LionOptions extends CommonOptions {
  readonly name: 'lion';
  /** Part of the mean gradient in the update's direction. @default 0.9 */
  readonly beta1?: number;
  /** Part of the mean gradient that each update keeps. @default 0.99 */
  readonly beta2?: number;
}

/** Keras' defaults. */
export const lionDefaults = { learningRate: 0.001, beta1: 0.9, beta2: 0.99 };

/**
 * Lion (keras 3 optimizers/lion.py), after Chen et al., "Symbolic discovery of optimization algorithms" (arXiv:2302.06675):
 *
 *     w = w - learningRate sign(beta1 m + (1 - beta1) g)
 *     m = beta2 m + (1 - beta2) g
 */
export function lion({ beta1, beta2 }: SettingsOf<'lion'>): UpdateRule {
  return {
    state: { momentum: 0 },
    update({ kernels, weights, gradientSum, samples, state, learningRate }) {
      const scalars = [samples, learningRate, beta1, complement32(beta1), beta2, complement32(beta2)];
      kernels.run('lion', { changed: [weights, ...state], read: [gradientSum] }, scalars);
    },
  };
}
