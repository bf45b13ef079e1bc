import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import type { UpdateRule } from './update-rule.ts';

/** Options of stochastic gradient descent. */
export interface SgdOptions extends CommonOptions {
  readonly name: 'sgd';
  /** Part of the last update that is repeated. @default 0 */
  readonly momentum?: number;
  /** Whether the momentum looks ahead, after Nesterov. @default false */
  readonly nesterov?: boolean;
}

/** Keras' defaults. */
export const sgdDefaults = { learningRate: 0.01, momentum: 0, nesterov: false };

/**
 * Stochastic gradient descent (keras 3 optimizers/sgd.py), with momentum after Polyak and Nesterov's variant after Sutskever et
 * al., "On the importance of initialization and momentum in deep learning" (ICML 2013):
 *
 *     w = w - learningRate g                                    without momentum
 *     m = momentum m - learningRate g;  w = w + m               with momentum
 *     m = momentum m - learningRate g;  w = w + momentum m - learningRate g      with Nesterov's
 */
export function sgd({ momentum, nesterov }: SettingsOf<'sgd'>): UpdateRule {
  const hasMomentum = momentum !== 0;
  return {
    state: hasMomentum ? { momentum: 0 } : {},
    update({ kernels, weights, gradientSum, samples, state, learningRate }) {
      const vectors = { changed: [weights, ...state], read: [gradientSum] };
      if (hasMomentum)
        kernels.run('sgdMomentum', vectors, [samples, learningRate, momentum, Number(nesterov)]);
      else kernels.run('sgd', vectors, [samples, learningRate]);
    },
  };
}
