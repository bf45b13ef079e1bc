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
  /** Keras writes a list of one. */
  readonly axis: number | readonly number[];
  readonly momentum: number;
  readonly epsilon: number;
  readonly gamma?: Weight;
  readonly beta?: Weight;
  readonly movingMean: Weight;
  readonly movingVariance: Weight;
}

/** What a batch is normalized to, and by. */
interface NormalizedBatch {
  /** As the rows. */
  readonly normalized: tfjs.Tensor;
  /** Of each channel, as the variance, which is that of the rows themselves. */
  readonly mean: tfjs.Tensor;
  readonly variance: tfjs.Tensor;
}

interface StockLayerNormalization extends tfjs.layers.Layer {
  readonly axis: readonly number[];
  readonly epsilon: number;
  readonly gamma: Weight | null;
  readonly beta: Weight | null;
}

/**
 * BatchNormalization as Keras computes it. tfjs-layers' does not train without scale or center, or over another axis than
 * the last, and goes on with the statistics of the batch where it is frozen.
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
        const [given = last] = [this.axis].flat() as readonly number[];
        const axis = given < 0 ? given + input.rank : given;
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
      // Keras takes a frozen layer's statistics as they are.
      if (kwargs.training !== true || !this.trainable) {
        const [mean, variance] = [this.movingMean.read(), this.movingVariance.read()];
        return tf.reshape(
          tf.batchNorm3d(
            rows,
            ...([mean, variance, offset, scale] as [
              tfjs.Tensor1D,
              tfjs.Tensor1D,
              tfjs.Tensor1D,
              tfjs.Tensor1D,
            ]),
            this.epsilon,
          ),
          input.shape,
        );
      }
      const { normalized, mean, variance } = normalizeByBatch(tf, rows, scale, offset, this.epsilon);
      this.follow(this.movingMean, mean);
      this.follow(this.movingVariance, variance);
      return tf.reshape(normalized, input.shape);
    }

    private follow(moving: Weight, value: tfjs.Tensor): void {
      const old = moving.read();
      moving.write(tf.sub(old, tf.mul(tf.sub(old, value), 1 - this.momentum)));
    }
  };
}

/**
 * Each channel less its mean, divided by its deviation, times scale, plus offset. With y for the normalized x, n rows and
 * r = 1 / sqrt(variance + epsilon), the gradients are dscale = sum(dy y), doffset = sum(dy) and
 * dx = r scale (dy - doffset / n - y dscale / n): in one piece, where the gradients of its parts lose digits to each other.
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
  // In two steps: long sums round more, and not every backend cuts them.
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

/** LayerNormalization, which in tfjs-layers does not train without scale or center. */
export function layerNormalizationLayer(tf: TF): LayerClass {
  return class LayerNormalization extends stockLayer<StockLayerNormalization>(tf, 'LayerNormalization') {
    static readonly className = 'LayerNormalization';

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const axes = [...this.axis];
        const along = x.shape.map((length, axis) => (axes.includes(axis) ? length : 1));
        const { mean, variance } = tf.moments(x, axes, true);
        let normalized = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, this.epsilon)));
        if (this.gamma !== null) normalized = tf.mul(normalized, tf.reshape(this.gamma.read(), along));
        if (this.beta !== null) normalized = tf.add(normalized, tf.reshape(this.beta.read(), along));
        return normalized;
      });
    }
  };
}
