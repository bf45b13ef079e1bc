import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import { complement, f32, power, type UpdateRule } from './update-rule.ts';

/** Options of Adam. */
export interface AdamOptions extends CommonOptions {
  readonly name: 'adam';
  /** Part of the mean gradient that each update keeps. @default 0.9 */
  readonly beta1?: number;
  /** Part of the mean square gradient that each update keeps. @default 0.999 */
  readonly beta2?: number;
  /** Added to the root of the mean square gradient. @default 1e-7 */
  readonly epsilon?: number;
  /** Whether the update divides by the largest mean square gradient so far. @default false */
  readonly amsgrad?: boolean;
}

/** Keras' defaults. */
export const adamDefaults = { learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7, amsgrad: false };

/**
 * Adam (keras 3 optimizers/adam.py), after Kingma and Ba, "Adam: a method for stochastic optimization" (arXiv:1412.6980), in the
 * form before its section 2.1, and AMSGrad after Reddi et al., "On the convergence of Adam and beyond" (ICLR 2018). t counts
 * updates from 1:
 *
 *     m = m + (g - m) (1 - beta1)
 *     v = v + (g^2 - v) (1 - beta2)
 *     w = w - m (learningRate sqrt(1 - beta2^t) / (1 - beta1^t)) / (sqrt(v) + epsilon)
 *
 * With AMSGrad, the largest v so far takes the place of v in the last line.
 */
export function adam({
  beta1,
  beta2,
  epsilon,
  amsgrad,
}: Omit<SettingsOf<'adam' | 'adamw'>, 'name'>): UpdateRule {
  return {
    state: { momentum: 0, velocity: 0, ...(amsgrad ? { maxVelocity: 0 } : {}) },
    update({ kernels, weights, gradientSum, samples, state, learningRate, iteration }) {
      const alpha = adamRate(learningRate, beta1, beta2, iteration);
      const vectors = { changed: [weights, ...state], read: [gradientSum] };
      const scalars = [samples, alpha, complement(beta1), complement(beta2), epsilon];
      kernels.run(amsgrad ? 'adamAmsgrad' : 'adam', vectors, scalars);
    },
  };
}

/** Learning rate, corrected for the averages' start at 0, in float32. */
export function adamRate(learningRate: number, beta1: number, beta2: number, iteration: number): number {
  const root = f32(Math.sqrt(f32(1 - power(beta2, iteration + 1))));
  return f32(f32(learningRate * root) / f32(1 - power(beta1, iteration + 1)));
}
