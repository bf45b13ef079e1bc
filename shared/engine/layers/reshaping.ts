import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import {
  ownLayer,
  singleInput,
  singleShape,
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

/** Global pool that also keeps axes of length 1 and pools volumes; tfjs-layers lacks both. */
function globalPoolingLayer(tf: TF, kind: 'Average' | 'Max', axes: 1 | 2 | 3): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = `Global${kind}Pooling${axes}D`;

    #isPooled(axis: number): boolean {
      const first = this.settings.dataFormat === 'channelsFirst' ? 2 : 1;
      return axis >= first && axis < first + axes;
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = singleShape(inputShape);
      return this.settings.keepdims === true
        ? shape.map((length, axis) => (this.#isPooled(axis) ? 1 : length))
        : shape.filter((_, axis) => !this.#isPooled(axis));
    }

    override call(inputs: Inputs, { mask }: CallArguments): tfjs.Tensor {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const pooled = x.shape.map((_, axis) => axis).filter((axis) => this.#isPooled(axis));
        const keep = this.settings.keepdims === true;
        if (kind === 'Max') return tf.max(x, pooled, keep);
        if (axes > 1 || mask === undefined || mask === null) return tf.mean(x, pooled, keep);
        // The mean of the steps that count, as in Keras.
        const [samples = 0, steps = 0] = (mask as tfjs.Tensor).shape;
        const counts = tf.reshape(mask as tfjs.Tensor, [samples, steps, 1]);
        return tf.div(tf.sum(tf.mul(x, counts), 1, keep), tf.sum(counts, 1, keep));
      });
    }
  };
}

const globalAveragePooling1dLayer = (tf: TF): LayerClass => globalPoolingLayer(tf, 'Average', 1);
const globalAveragePooling2dLayer = (tf: TF): LayerClass => globalPoolingLayer(tf, 'Average', 2);
const globalAveragePooling3dLayer = (tf: TF): LayerClass => globalPoolingLayer(tf, 'Average', 3);
const globalMaxPooling1dLayer = (tf: TF): LayerClass => globalPoolingLayer(tf, 'Max', 1);
const globalMaxPooling2dLayer = (tf: TF): LayerClass => globalPoolingLayer(tf, 'Max', 2);
const globalMaxPooling3dLayer = (tf: TF): LayerClass => globalPoolingLayer(tf, 'Max', 3);

export const reshapingLayers: readonly LayerFactory[] = [
  flattenLayer,
  timeDistributedLayer,
  reshapeLayer,
  globalAveragePooling1dLayer,
  globalAveragePooling2dLayer,
  globalAveragePooling3dLayer,
  globalMaxPooling1dLayer,
  globalMaxPooling2dLayer,
  globalMaxPooling3dLayer,
];
