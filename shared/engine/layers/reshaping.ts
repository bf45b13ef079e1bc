import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import {
  singleInput,
  stockLayer,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type Config,
} from './stock.ts';

/** Flatten that also accepts flat inputs, [samples, values], as Keras does. */
function flattenLayer(tf: TF): LayerClass {
  return class Flatten extends stockLayer<tfjs.layers.Layer>(tf, 'Flatten') {
    static readonly className = 'Flatten';

    constructor(config: Config) {
      super(config);
      this.inputSpec = [{ minNDim: 2 }];
    }
  };
}

/**
 * TimeDistributed as Keras computes it: one call with the time steps of all samples as the batch. tfjs-layers calls the inner
 * layer for each step, where batch normalization normalizes each step alone and dropout uses one mask for all steps.
 */
function timeDistributedLayer(tf: TF): LayerClass {
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

interface StockReshape extends tfjs.layers.Layer {
  readonly targetShape: tfjs.Shape;
  /** @throws Error if the sizes do not match, or more than one is unknown */
  fixUnknownDimension(inputShape: tfjs.Shape, outputShape: tfjs.Shape): tfjs.Shape;
}

/** Reshape that computes its unknown size (-1). tfjs-layers leaves it null, but most following layers need the number. */
function reshapeLayer(tf: TF): LayerClass {
  return class Reshape extends stockLayer<StockReshape>(tf, 'Reshape') {
    static readonly className = 'Reshape';

    override computeOutputShape(inputShape: tfjs.Shape): tfjs.Shape {
      const [batch = null, ...sample] = inputShape;
      if (sample.includes(null)) return [batch, ...this.targetShape];
      return [batch, ...this.fixUnknownDimension(sample, this.targetShape)];
    }
  };
}

export const reshapingLayers: readonly LayerFactory[] = [flattenLayer, timeDistributedLayer, reshapeLayer];
