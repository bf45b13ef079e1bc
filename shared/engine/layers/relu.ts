import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import {
  singleInput,
  stockLayer,
  type Config,
  type Inputs,
  type LayerClass,
  type LayerFactory,
} from './stock.ts';

interface ReluConfig {
  readonly maxValue?: number | null;
  readonly negativeSlope?: number | null;
  readonly threshold?: number | null;
}

/**
 * x where it is above the threshold, else 0, without Greater, which has no gradient.
 * @param x of any shape
 */
function reluAbove(tf: TF, x: tfjs.Tensor, threshold: number): tfjs.Tensor {
  return threshold === 0 ? tf.relu(x) : tf.mul(x, tf.step(tf.sub(x, threshold)));
}

/**
 * ReLU as Keras computes it, with max_value, negative_slope and threshold; tfjs-layers ignores the last two:
 * f(x) = max_value for x >= max_value, x for threshold <= x < max_value, negative_slope (x - threshold) otherwise.
 */
function reluLayer(tf: TF): LayerClass {
  class ReLU extends tf.layers.Layer {
    static readonly className = 'ReLU';
    readonly #maxValue: number | null;
    readonly #negativeSlope: number;
    readonly #threshold: number;

    constructor(config: ReluConfig) {
      super(config as Config);
      this.supportsMasking = true;
      this.#maxValue = config.maxValue ?? null;
      this.#negativeSlope = config.negativeSlope ?? 0;
      this.#threshold = config.threshold ?? 0;
    }

    override call(inputs: Inputs): tfjs.Tensor {
      const x = singleInput(inputs);
      const threshold = this.#threshold;
      return tf.tidy(() => {
        const positive = reluAbove(tf, x, threshold);
        const bounded = this.#maxValue === null ? positive : tf.clipByValue(positive, 0, this.#maxValue);
        if (this.#negativeSlope === 0) return bounded;
        const below = tf.relu(threshold === 0 ? tf.neg(x) : tf.sub(threshold, x));
        return tf.sub(bounded, tf.mul(below, this.#negativeSlope));
      });
    }

    override computeOutputShape(inputShape: tfjs.Shape): tfjs.Shape {
      return inputShape;
    }

    override getConfig(): tfjs.serialization.ConfigDict {
      return {
        ...super.getConfig(),
        maxValue: this.#maxValue,
        negativeSlope: this.#negativeSlope,
        threshold: this.#threshold,
      };
    }
  }
  return ReLU;
}

/** ThresholdedReLU with a gradient, which the layer of tfjs-layers lacks. */
function thresholdedReluLayer(tf: TF): LayerClass {
  return class ThresholdedReLU extends stockLayer<tfjs.layers.Layer & { readonly theta: number }>(
    tf,
    'ThresholdedReLU',
  ) {
    static readonly className = 'ThresholdedReLU';

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => reluAbove(tf, singleInput(inputs), this.theta));
    }
  };
}

export const reluLayers: readonly LayerFactory[] = [reluLayer, thresholdedReluLayer];
