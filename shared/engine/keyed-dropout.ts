import type * as tfjs from '@tensorflow/tfjs';
import { KEYED_DROPOUT } from '../model/topology.ts';
import type { TF } from '../util/tf.ts';

/**
 * Source of a model's dropout masks: returns the mask of a layer by its number and rate, in the shape of its activation.
 */
export type MaskSource = (layer: number, rate: number, shape: number[]) => tfjs.Tensor;

/** State of a model's dropout layers. Without masks they pass their inputs on. */
export interface DropoutContext {
  masks: MaskSource | null;
}

interface KeyedDropoutConfig {
  readonly name?: string;
  readonly rate: number;
  readonly number: number;
  /** Shape with 1 for each axis along which the mask is the same. tfjs-layers passes keys in camelCase. */
  readonly noiseShape?: readonly (number | null)[] | null;
}

/**
 * Registers the layer that replaces Dropout on workers: in training it multiplies by a mask keyed by
 * (seed, step, sample, layer), otherwise it passes its input on.
 */
export function registerKeyedDropout(tf: TF, context: DropoutContext): void {
  class KeyedDropout extends tf.layers.Layer {
    static readonly className = KEYED_DROPOUT;
    readonly #rate: number;
    readonly #number: number;
    readonly #noiseShape: readonly (number | null)[];

    constructor(config: KeyedDropoutConfig) {
      super(config);
      this.#rate = config.rate;
      this.#number = config.number;
      this.#noiseShape = config.noiseShape ?? [];
      this.supportsMasking = true;
    }

    override call(
      inputs: tfjs.Tensor | tfjs.Tensor[],
      kwargs: Record<string, unknown>,
    ): tfjs.Tensor | tfjs.Tensor[] {
      const input = Array.isArray(inputs) ? inputs[0] : inputs;
      const { masks } = context;
      if (input === undefined || masks === null || this.#rate <= 0 || kwargs.training === false)
        return inputs;
      const shape = input.shape.map((size, axis) => this.#noiseShape[axis] ?? size);
      return tf.tidy(() => tf.mul(input, masks(this.#number, this.#rate, shape)));
    }
  }
  tf.serialization.registerClass(KeyedDropout);
}
