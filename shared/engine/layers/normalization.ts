import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import {
  singleInput,
  stockLayer,
  type CallArguments,
  type Config,
  type Inputs,
  type LayerClass,
  type Weight,
} from './stock.ts';

interface StockBatchNormalization extends tfjs.layers.Layer {
  /** An axis or a list of one axis, as Keras writes it. */
  readonly axis: number | readonly number[];
  readonly momentum: number;
  readonly epsilon: number;
  readonly gamma?: Weight;
  readonly beta?: Weight;
  readonly movingMean: Weight;
  readonly movingVariance: Weight;
}

/** Normalized batch with its statistics. */
interface NormalizedBatch {
  /** Values in the shape of the input. */
  readonly normalized: tfjs.Tensor;
  /** Mean of each channel. */
  readonly mean: tfjs.Tensor;
  /** Variance of each channel, without Bessel's correction. */
  readonly variance: tfjs.Tensor;
}

interface StockLayerNormalization extends tfjs.layers.Layer {
  readonly axis: readonly number[];
  readonly epsilon: number;
  readonly gamma: Weight | null;
  readonly beta: Weight | null;
}

/**
 * BatchNormalization as Keras computes it. The layer of tfjs-layers does not train without scale or center or over another axis
 * than the last, and uses the statistics of the batch when it is frozen.
 */
export function batchNormalizationLayer(tf: TF): LayerClass {
  return class BatchNormalization extends stockLayer<StockBatchNormalization>(tf, 'BatchNormalization') {
    static readonly className = 'BatchNormalization';

    constructor(config: Config) {
      super(config);
      if ([this.axis].flat().length > 1) {
        throw new Error(`Layer ${this.name} (BatchNormalization) has several axes; only one is supported.`);
      }
    }

    override call(inputs: Inputs, kwargs: CallArguments): tfjs.Tensor {
      return tf.tidy(() => {
        const input = singleInput(inputs);
        const last = input.rank - 1;
        const [configured = last] = [this.axis].flat() as readonly number[];
        const axis = configured < 0 ? configured + input.rank : configured;
        if (axis === last) return this.normalize(input, kwargs);
        // The exchange of two axes is its own inverse.
        const exchanged = input.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
        return tf.transpose(this.normalize(tf.transpose(input, exchanged), kwargs), exchanged);
      });
    }

    /** @param input [..., channels] */
    private normalize(input: tfjs.Tensor, kwargs: CallArguments): tfjs.Tensor {
      const channels = input.shape.at(-1) ?? 0;
      const rows = tf.reshape<tfjs.Rank.R3>(input, [input.shape[0], -1, channels]);
      const offset = this.beta?.read() ?? tf.zeros([channels]);
      const scale = this.gamma?.read() ?? tf.ones([channels]);
      // Keras does not update the statistics of a frozen layer.
      if (kwargs.training !== true || !this.trainable) {
        const normalized = tf.batchNorm3d(
          rows,
          this.movingMean.read() as tfjs.Tensor1D,
          this.movingVariance.read() as tfjs.Tensor1D,
          offset as tfjs.Tensor1D,
          scale as tfjs.Tensor1D,
          this.epsilon,
        );
        return tf.reshape(normalized, input.shape);
      }
      const { normalized, mean, variance } = normalizeByBatch(tf, rows, scale, offset, this.epsilon);
      this.updateMoving(this.movingMean, mean);
      this.updateMoving(this.movingVariance, variance);
      return tf.reshape(normalized, input.shape);
    }

    private updateMoving(moving: Weight, value: tfjs.Tensor): void {
      const old = moving.read();
      moving.write(tf.sub(old, tf.mul(tf.sub(old, value), 1 - this.momentum)));
    }
  };
}

/**
 * Normalizes each channel by the batch: (x - mean) / deviation x scale + offset. With y for the normalized x, n rows and
 * r = 1 / sqrt(variance + epsilon), the gradients are dscale = sum(dy y), doffset = sum(dy) and
 * dx = r scale (dy - doffset / n - y dscale / n). The gradients of the single ops would cancel each other and lose precision.
 * @param rows [samples, rows of a sample, channels]
 */
function normalizeByBatch(
  tf: TF,
  rows: tfjs.Tensor3D,
  scale: tfjs.Tensor,
  offset: tfjs.Tensor,
  epsilon: number,
): NormalizedBatch {
  const count = rows.shape[0] * rows.shape[1];
  // In two steps, because long sums round more and not every backend splits them.
  const sum = (values: tfjs.Tensor): tfjs.Tensor => tf.sum(tf.sum(values, 1), 0);
  const mean = tf.div(sum(rows), count);
  const variance = tf.div(sum(tf.square(tf.sub(rows, mean))), count);
  const r = tf.rsqrt(tf.add(variance, epsilon));
  const normalize = tf.customGrad((...inputs) => {
    const [x, gamma, beta, save] = inputs as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor, tfjs.GradSaveFunc];
    const y = tf.mul(tf.sub(x, mean), r);
    save([y, gamma, r]);
    return {
      value: tf.add(tf.mul(y, gamma), beta),
      gradFunc: (dy: tfjs.Tensor, saved: tfjs.Tensor[]) => {
        const [normal, gain, slope] = saved as [tfjs.Tensor, tfjs.Tensor, tfjs.Tensor];
        const dOffset = sum(dy);
        const dScale = sum(tf.mul(dy, normal));
        const spread = tf.add(tf.mul(normal, tf.div(dScale, count)), tf.div(dOffset, count));
        return [tf.mul(tf.sub(dy, spread), tf.mul(slope, gain)), dScale, dOffset];
      },
    };
  });
  return { normalized: normalize(rows, scale, offset), mean, variance };
}

/** LayerNormalization that also trains without scale or center, unlike the layer of tfjs-layers. */
export function layerNormalizationLayer(tf: TF): LayerClass {
  return class LayerNormalization extends stockLayer<StockLayerNormalization>(tf, 'LayerNormalization') {
    static readonly className = 'LayerNormalization';

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const axes = [...this.axis];
        const parameterShape = x.shape.map((length, axis) => (axes.includes(axis) ? length : 1));
        const { mean, variance } = tf.moments(x, axes, true);
        let normalized = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, this.epsilon)));
        if (this.gamma !== null)
          normalized = tf.mul(normalized, tf.reshape(this.gamma.read(), parameterShape));
        if (this.beta !== null) normalized = tf.add(normalized, tf.reshape(this.beta.read(), parameterShape));
        return normalized;
      });
    }
  };
}
