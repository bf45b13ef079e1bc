import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import {
  singleInput,
  stockLayer,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type Config,
} from './stock.ts';

interface StockUpSampling extends tfjs.layers.Layer {
  readonly interpolation: string;
  readonly size: readonly [number, number];
  readonly dataFormat: string;
}

/**
 * Matrix [length, length * factor] of linear interpolation between pixel centers, as in tf.image.resize of TensorFlow 2: row
 * vectors of `length` values times this matrix have `length * factor` values.
 */
export function interpolationMatrix(length: number, factor: number): Float32Array {
  const outputLength = length * factor;
  const weights = new Float32Array(length * outputLength);
  for (let to = 0; to < outputLength; to++) {
    const at = (to + 0.5) / factor - 0.5;
    const before = Math.floor(at);
    const fraction = at - before;
    const add = (from: number, value: number): void => {
      const inside = Math.min(length - 1, Math.max(0, from));
      const index = inside * outputLength + to;
      weights[index] = (weights[index] ?? 0) + value;
    };
    add(before, 1 - fraction);
    add(before + 1, fraction);
  }
  return weights;
}

/**
 * UpSampling2D that interpolates bilinearly as Keras does, unlike tfjs-layers. Two products with small matrices compute it, so
 * that the gradient is correct on every backend.
 */
export function upSampling2dLayer(tf: TF): LayerClass {
  /** Replaces the last axis [.., length] by [.., length * factor]. */
  const stretch = (x: tfjs.Tensor, factor: number): tfjs.Tensor => {
    const length = x.shape.at(-1) ?? 0;
    const weights = tf.tensor2d(interpolationMatrix(length, factor), [length, length * factor]);
    return tf.reshape(tf.matMul(tf.reshape(x, [-1, length]), weights), [
      ...x.shape.slice(0, -1),
      length * factor,
    ]);
  };

  return class UpSampling2D extends stockLayer<StockUpSampling>(tf, 'UpSampling2D') {
    static readonly className = 'UpSampling2D';

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      if (this.interpolation !== 'bilinear') return super.call(inputs, kwargs);
      const [vertical, horizontal] = this.size;
      return tf.tidy(() => {
        const input = singleInput(inputs);
        if (this.dataFormat === 'channelsFirst') {
          // [n, c, h, w] -> [n, c, W, h] -> [n, c, H, W]
          const wide = tf.transpose(stretch(input, horizontal), [0, 1, 3, 2]);
          return tf.transpose(stretch(wide, vertical), [0, 1, 3, 2]);
        }
        // [n, h, w, c] -> [n, w, c, H] -> [n, H, c, W] -> [n, H, W, c]
        const high = stretch(tf.transpose(input, [0, 2, 3, 1]), vertical);
        return tf.transpose(stretch(tf.transpose(high, [0, 3, 2, 1]), horizontal), [0, 1, 3, 2]);
      });
    }
  };
}

/** Flatten that also accepts flat inputs, [samples, values], as Keras does. */
export function flattenLayer(tf: TF): LayerClass {
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

interface StockReshape extends tfjs.layers.Layer {
  readonly targetShape: tfjs.Shape;
  /** @throws Error if the sizes do not match, or more than one is unknown */
  fixUnknownDimension(inputShape: tfjs.Shape, outputShape: tfjs.Shape): tfjs.Shape;
}

/** Reshape that computes its unknown size (-1). tfjs-layers leaves it null, but most following layers need the number. */
export function reshapeLayer(tf: TF): LayerClass {
  return class Reshape extends stockLayer<StockReshape>(tf, 'Reshape') {
    static readonly className = 'Reshape';

    override computeOutputShape(inputShape: tfjs.Shape): tfjs.Shape {
      const [batch = null, ...sample] = inputShape;
      if (sample.includes(null)) return [batch, ...this.targetShape];
      return [batch, ...this.fixUnknownDimension(sample, this.targetShape)];
    }
  };
}
