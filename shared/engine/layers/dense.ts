import type * as tfjs from '@tensorflow/tfjs';
import { biasedProduct, fusesBias } from '../../kernels/fused-ops.ts';
import type { TF } from '../../util/tf.ts';
import { isRelu, type Activation } from './activations.ts';
import {
  singleInput,
  stockLayer,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type Weight,
} from './stock.ts';

interface StockDense extends tfjs.layers.Layer {
  readonly kernel: Weight;
  readonly bias: Weight | null;
  readonly activation: Activation | null;
}

/** Dense that computes product, bias and ReLU as one op where the backend has it. */
const denseLayer = (tf: TF): LayerClass =>
  class Dense extends stockLayer<StockDense>(tf, 'Dense') {
    static readonly className = 'Dense';

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const { bias, activation } = this;
      if (bias === null || !fusesBias(tf)) return super.call(inputs, kwargs);
      return tf.tidy(() => {
        const relu = isRelu(activation);
        const output = biasedProduct(tf, singleInput(inputs), this.kernel.read(), bias.read(), relu);
        return activation === null || relu ? output : activation.apply(output);
      });
    }
  };

export const denseLayers: readonly LayerFactory[] = [denseLayer];
