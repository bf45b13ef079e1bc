import type * as tfjs from '@tensorflow/tfjs';
import { fillDropoutMask, type MaskKey } from '../model/dropout.ts';
import { sizeOf } from '../model/layout.ts';
import { KEYED_DROPOUT } from '../model/topology.ts';
import type { TF } from './model.ts';
import type { ScratchArrays } from './scratch-arrays.ts';

/** What the dropout layers of a model are computing just now. */
export interface DropoutContext {
  current: { readonly key: MaskKey; readonly sampleNumbers: Uint32Array } | null;
  readonly scratch: ScratchArrays;
}

interface KeyedDropoutConfig {
  readonly name?: string;
  readonly rate: number;
  readonly number: number;
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

    constructor(config: KeyedDropoutConfig) {
      super(config);
      this.#rate = config.rate;
      this.#number = config.number;
      this.supportsMasking = true;
    }

    override call(inputs: tfjs.Tensor | tfjs.Tensor[]): tfjs.Tensor | tfjs.Tensor[] {
      const input = Array.isArray(inputs) ? inputs[0] : inputs;
      const { current } = context;
      if (input === undefined || current === null || this.#rate <= 0) return inputs;
      const { key, sampleNumbers } = current;
      const elements = sizeOf(input.shape);
      const mask = context.scratch.take(`mask ${this.#number}`, elements);
      const size = elements / sampleNumbers.length;
      fillDropoutMask(mask, key, sampleNumbers, this.#number, size, this.#rate);
      return tf.tidy(() => tf.mul(input, tf.tensor(mask, input.shape)));
    }
  }
  tf.serialization.registerClass(KeyedDropout);
}
