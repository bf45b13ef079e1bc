import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import type { UpdateRule } from './update-rule.ts';

/** Options of Adagrad. */
export interface AdagradOptions extends CommonOptions {
  readonly name: 'adagrad';
  /** Value that the sums of squares start from. @default 0.1 */
  readonly initialAccumulator?: number;
  /** Added to the sums of squares. @default 1e-7 */
  readonly epsilon?: number;
}

/** Keras' defaults. */
export const adagradDefaults = { learningRate: 0.001, initialAccumulator: 0.1, epsilon: 1e-7 };

/**
 * Adagrad (keras 3 optimizers/adagrad.py), after Duchi et al., "Adaptive subgradient methods for online learning and stochastic
 * optimization" (JMLR 12, 2011):
 *
 *     a = a + g^2
 *     w = w - learningRate g / sqrt(a + epsilon)
 */
export function adagrad({ initialAccumulator, epsilon }: SettingsOf<'adagrad'>): UpdateRule {
  return {
    state: { accumulator: initialAccumulator },
    update({ kernels, weights, gradientSum, samples, state, learningRate }) {
      const vectors = { changed: [weights, ...state], read: [gradientSum] };
      kernels.run('adagrad', vectors, [samples, learningRate, epsilon]);
    },
  };
}
