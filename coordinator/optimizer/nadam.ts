import type { SettingsOf } from '../../shared/model/optimizer-settings.ts';
import type { CommonOptions } from './common-options.ts';
import { complement32, f32, power, type UpdateRule } from './update-rule.ts';

/** Options of Nadam. */
export interface NadamOptions extends CommonOptions {
  readonly name: 'nadam';
  /** Part of the mean gradient that each update keeps. @default 0.9 */
  readonly beta1?: number;
  /** Part of the mean square gradient that each update keeps. @default 0.999 */
  readonly beta2?: number;
  /** Added to the root of the mean square gradient. @default 1e-7 */
  readonly epsilon?: number;
}

/** Keras' defaults. */
export const nadamDefaults = { learningRate: 0.001, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };

const DECAY = 0.96;

/**
 * Adam with Nesterov's momentum (keras 3 optimizers/nadam.py), after Dozat, "Incorporating Nesterov momentum into Adam" (ICLR
 * 2016 workshop). t counts updates from 1:
 *
 *     u(t) = beta1 (1 - 0.96^t / 2);  p = u(1) u(2) ... u(t)
 *     m = m + (g - m) (1 - beta1)
 *     v = v + (g^2 - v) (1 - beta2)
 *     n = u(t + 1) m / (1 - p u(t + 1)) + (1 - u(t)) g / (1 - p)
 *     w = w - n learningRate / (sqrt(v / (1 - beta2^t)) + epsilon)
 */
export function nadam({ beta1, beta2, epsilon }: SettingsOf<'nadam'>): UpdateRule {
  const product = momentumProduct(beta1);
  return {
    state: { momentum: 0, velocity: 0 },
    update({ kernels, weights, gradientSum, samples, state, learningRate, iteration }) {
      const now = momentumAt(beta1, iteration);
      const next = momentumAt(beta1, iteration + 1);
      const u = product(iteration);
      kernels.run('nadam', { changed: [weights, ...state], read: [gradientSum] }, [
        samples,
        learningRate,
        complement32(beta1),
        complement32(beta2),
        epsilon,
        next,
        f32(1 - f32(u * next)),
        f32(1 - now),
        f32(1 - u),
        f32(1 - power(beta2, iteration + 1)),
      ]);
    },
  };
}

/** u of the update with this many updates before it, in float32. */
const momentumAt = (beta1: number, iteration: number): number =>
  f32(f32(beta1) * f32(1 - f32(0.5 * power(DECAY, iteration + 1))));

/** Product of u over the updates up to one, in float32. It follows from the iteration alone; the last product is only kept. */
function momentumProduct(beta1: number): (iteration: number) => number {
  let value = 1;
  let updates = 0;
  return (iteration) => {
    if (iteration + 1 < updates) {
      value = 1;
      updates = 0;
    }
    // Once it is 0, it stays 0.
    for (; updates <= iteration && value > 0; updates++) {
      const factor = f32(1 - f32(0.5 * power(DECAY, updates + 1)));
      value = f32(f32(value * f32(beta1)) * factor);
    }
    return value;
  };
}
