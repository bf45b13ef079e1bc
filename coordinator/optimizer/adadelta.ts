import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import { complement, type UpdateRule } from './update-rule.ts';

/** Options of Adadelta. The defaults are those of Keras 1.2, scaled to the batch size. */
export interface AdadeltaOptions extends CommonOptions {
  readonly name: 'adadelta';
  /** Part of the averages that each update keeps. @default 0.95, scaled to the batch size */
  readonly rho?: number;
  /** Added to the averages, so that their roots are not 0. @default 1e-8 */
  readonly epsilon?: number;
}

/** Keras 1.2's defaults, for a batch of 128. Keras 3 has a learning rate of 0.001 and an epsilon of 1e-7. */
export const adadeltaDefaults = { learningRate: 1, rho: 0.95, epsilon: 1e-8 };

/**
 * Adadelta by Keras' rule (keras 1.2 optimizers.py; keras 3 optimizers/adadelta.py), after Zeiler, "ADADELTA: an
 * adaptive learning rate method" (arXiv:1212.5701), with a learning rate:
 *
 *     a = rho a + (1 - rho) g^2
 *     u = g sqrt(d + epsilon) / sqrt(a + epsilon)
 *     w = w - learningRate u
 *     d = rho d + (1 - rho) u^2
 *
 * u divides by the updated a. Every operation rounds to float32, which gives Keras' own bits.
 */
export function adadelta({ rho, epsilon }: SettingsOf<'adadelta'>): UpdateRule {
  const fresh = complement(rho);
  return {
    state: { meanSquareGradient: 0, meanSquareUpdate: 0 },
    update({ kernels, weights, gradientSum, samples, state, learningRate }) {
      const vectors = { changed: [weights, ...state], read: [gradientSum] };
      kernels.run('adadelta', vectors, [samples, learningRate, rho, fresh, epsilon]);
    },
  };
}
