import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../model.ts';
import { singleInput, stockLayer, type CallArguments, type Inputs, type LayerClass } from './stock.ts';

/**
 * TimeDistributed as Keras computes it: one call with the time steps of all samples as its batch. tfjs-layers calls the inner
 * layer for each step, so that batch normalization would normalize each by itself, and dropout take one mask for all.
 */
export function timeDistributedLayer(tf: TF): LayerClass {
  return class TimeDistributed extends stockLayer<tfjs.layers.Layer & { readonly layer: tfjs.layers.Layer }>(
    tf,
    'TimeDistributed',
  ) {
    static readonly className = 'TimeDistributed';

    override call(inputs: Inputs, kwargs: CallArguments): tfjs.Tensor {
      return tf.tidy(() => {
        const input = singleInput(inputs);
        const [samples = 0, steps = 0, ...rest] = input.shape;
        const output = singleInput(this.layer.call(tf.reshape(input, [samples * steps, ...rest]), kwargs));
        return tf.reshape(output, [samples, steps, ...output.shape.slice(1)]);
      });
    }
  };
}
