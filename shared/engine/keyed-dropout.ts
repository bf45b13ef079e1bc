import type * as tfjs from '@tensorflow/tfjs';
import { KEYED_DROPOUT } from '../model/topology.ts';
import type { TF } from '../util/tf.ts';

/**
 * Where a model's dropout layers take their masks from: the mask of a layer, by its number and rate, in the shape of
 * its activation.
 */
export type MaskSource = (layer: number, rate: number, shape: number[]) => tfjs.Tensor;

/** What the dropout layers of a model are computing just now; null: they do nothing. */
export interface DropoutContext {
  masks: MaskSource | null;
}

interface KeyedDropoutConfig {
  readonly name?: string;
  readonly rate: number;
  readonly number: number;
  /** Where 1, a mask is the same along the axis; tfjs-layers hands keys over in its own form. */
  readonly noiseShape?: readonly (number | null)[] | null;
}

/**
 * Registers the layer that stands for Dropout in a worker: while training it multiplies by a mask keyed by
 * (seed, step, sample, layer), otherwise it does nothing.
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
