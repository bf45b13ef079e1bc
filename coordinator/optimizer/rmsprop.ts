import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import { complement, type UpdateRule } from './update-rule.ts';

/** Options of RMSprop. */
export interface RmspropOptions extends CommonOptions {
  readonly name: 'rmsprop';
  /** Part of the mean square gradient that each update keeps. @default 0.9 */
  readonly rho?: number;
  /** Part of the last update that is repeated. @default 0 */
  readonly momentum?: number;
  /** Added to the mean square gradient. @default 1e-7 */
  readonly epsilon?: number;
  /** Whether the gradient's variance takes the place of its mean square. @default false */
  readonly centered?: boolean;
}

/** Keras' defaults. */
export const rmspropDefaults = {
  learningRate: 0.001,
  rho: 0.9,
  momentum: 0,
  epsilon: 1e-7,
  centered: false,
};

/**
 * RMSprop (keras 3 optimizers/rmsprop.py), after Tieleman and Hinton's lecture 6.5 (2012), centered after Graves,
 * "Generating sequences with recurrent neural networks" (arXiv:1308.0850):
 *
 *     v = rho v + (1 - rho) g^2
 *     a = rho a + (1 - rho) g                                  if centered, else a = 0
 *     u = learningRate g / sqrt(v - a^2 + epsilon)
 *     w = w - u                                                without momentum
 *     m = momentum m + u;  w = w - m                           with momentum
 */
export function rmsprop({ rho, momentum, epsilon, centered }: SettingsOf<'rmsprop'>): UpdateRule {
  const hasMomentum = momentum > 0;
  return {
    state: {
      velocity: 0,
      ...(centered ? { averageGradient: 0 } : {}),
      ...(hasMomentum ? { momentum: 0 } : {}),
    },
    update({ kernels, weights, gradientSum, samples, state, learningRate }) {
      const vectors = { changed: [weights, ...state], read: [gradientSum] };
      const scalars = [samples, learningRate, rho, complement(rho), epsilon];
      if (centered && !hasMomentum) {
        // The kernel does not touch the momentum in its place.
        kernels.run('rmspropCentered', { ...vectors, read: [gradientSum, gradientSum] }, [...scalars, 0]);
      } else if (centered) kernels.run('rmspropCentered', vectors, [...scalars, momentum]);
      else if (hasMomentum) kernels.run('rmspropMomentum', vectors, [...scalars, momentum]);
      else kernels.run('rmsprop', vectors, scalars);
    },
  };
}
