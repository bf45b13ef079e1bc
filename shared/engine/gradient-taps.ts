import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from './model.ts';

/**
 * @param index the weight's place in the model's list
 * @param gradient belongs to the backward pass: to be read before returning
 */
export type OnGradient = (index: number, gradient: tfjs.Tensor) => void;

/**
 * Hears of each weight's gradient at the moment when the backward pass has it, while those of the layers before are
 * still to be computed. Only of weights that a pass reads once: of others a single read has a part of the gradient.
 */
export class GradientHooks {
  #listener: { readonly onGradient: OnGradient; readonly reads: Map<number, number> } | null = null;

  /** Each read of a weight becomes an operation of its own, whose gradient is the weight's. */
  constructor(tf: TF, weights: readonly { read(): tfjs.Tensor }[]) {
    weights.forEach((weight, index) => {
      const read = weight.read.bind(weight);
      weight.read = () => {
        const value = read();
        if (this.#listener === null) return value;
        const { onGradient, reads } = this.#listener;
        reads.set(index, (reads.get(index) ?? 0) + 1);
        return tf.customGrad((input) => ({
          value: tf.clone(input as tfjs.Tensor),
          gradFunc: (gradient: tfjs.Tensor) => {
            if (reads.get(index) === 1) onGradient(index, gradient);
            return gradient;
          },
        }))(value);
      };
    });
  }

  /** Runs a forward and backward pass with a listener. */
  run<T>(onGradient: OnGradient | undefined, pass: () => T): T {
    this.#listener = onGradient === undefined ? null : { onGradient, reads: new Map() };
    try {
      return pass();
    } finally {
      this.#listener = null;
    }
  }
}
