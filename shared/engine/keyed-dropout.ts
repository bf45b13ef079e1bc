import type * as tfjs from '@tensorflow/tfjs';
import { fillDropoutMask, type MaskKey } from '../model/dropout.ts';
import { sizeOf } from '../model/layout.ts';
import { KEYED_DROPOUT } from '../model/topology.ts';
import type { TF } from './model.ts';
import type { ScratchArrays } from './scratch-arrays.ts';

/** What the dropout layers of a model are computing just now. */
export interface DropoutContext {
  current: { readonly key: MaskKey; readonly sampleNumbers: Uint32Array } | null;
  /** Layers whose masks for `current` lie ready in the scratch arrays. */
  readonly ready: Set<number>;
  /** What has been learnt of the layers by running them: elements of one sample, and the rate. */
  readonly layers: Map<number, { readonly size: number; readonly rate: number }>;
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
      const size = elements / sampleNumbers.length;
      context.layers.set(this.#number, { size, rate: this.#rate });
      const mask = maskOf(context, this.#number, size * sampleNumbers.length);
      if (!context.ready.has(this.#number)) {
        fillDropoutMask(mask, key, sampleNumbers, this.#number, size, this.#rate);
      }
      return tf.tidy(() => tf.mul(input, tf.tensor(mask, input.shape)));
    }
  }
  tf.serialization.registerClass(KeyedDropout);
}

/** Fills the masks of all layers that have run before, for a shard that will be computed next. */
export function prepareMasks(context: DropoutContext, key: MaskKey, sampleNumbers: Uint32Array): void {
  context.ready.clear();
  for (const [number, { size, rate }] of context.layers) {
    const mask = maskOf(context, number, size * sampleNumbers.length);
    fillDropoutMask(mask, key, sampleNumbers, number, size, rate);
    context.ready.add(number);
  }
}

const maskOf = ({ scratch }: DropoutContext, number: number, elements: number): Float32Array =>
  scratch.take(`mask ${number}`, elements);
