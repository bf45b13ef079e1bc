import type * as tfjs from '@tensorflow/tfjs';
import { sizeOf } from '../../model/layout.ts';
import type { TF } from '../../util/tf.ts';
import {
  fromFirst,
  numberOf,
  ownLayer,
  singleInput,
  singleShape,
  stockLayer,
  type CallArguments,
  type Config,
  type Inputs,
  type LayerClass,
  type LayerFactory,
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
function batchNormalizationLayer(tf: TF): LayerClass {
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
function layerNormalizationLayer(tf: TF): LayerClass {
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

/** GroupNormalization, which tfjs-layers lacks: groups of channels are normalized for each sample. Source: Wu and He, 2018. */
function groupNormalizationLayer(tf: TF): LayerClass {
  return class GroupNormalization extends ownLayer(tf) {
    static readonly className = 'GroupNormalization';
    #gamma: Weight | null = null;
    #beta: Weight | null = null;

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      const shape = singleShape(inputShape);
      const channels = Number(shape[fromFirst(numberOf(this, 'axis', -1), shape.length)]);
      const groups = this.#groups(channels);
      if (channels % groups !== 0) {
        throw new Error(
          `Layer ${this.name} (GroupNormalization) has ${groups} groups for ${channels} channels. Use a divisor of the channels.`,
        );
      }
      if (this.settings.scale !== false) this.#gamma = this.addTensor('gamma', [channels], 'gamma');
      if (this.settings.center !== false) this.#beta = this.addTensor('beta', [channels], 'beta');
      super.build(inputShape);
    }

    #groups(channels: number): number {
      const groups = numberOf(this, 'groups', 32);
      return groups === -1 ? channels : groups;
    }

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const axis = fromFirst(numberOf(this, 'axis', -1), x.rank);
        const channels = x.shape[axis] ?? 0;
        const groups = this.#groups(channels);
        const size = channels / groups;
        const before = sizeOf(x.shape.slice(1, axis));
        const after = sizeOf(x.shape.slice(axis + 1));
        const grouped = tf.reshape(x, [-1, before, groups, size * after]);
        const { mean, variance } = tf.moments(grouped, [1, 3], true);
        const r = tf.rsqrt(tf.add(variance, numberOf(this, 'epsilon', 1e-3)));
        const normalized = tf.reshape(tf.mul(tf.sub(grouped, mean), r), [-1, before, channels, after]);
        const perChannel = (weight: Weight): tfjs.Tensor => tf.reshape(weight.read(), [1, 1, channels, 1]);
        const scaled = this.#gamma === null ? normalized : tf.mul(normalized, perChannel(this.#gamma));
        return tf.reshape(this.#beta === null ? scaled : tf.add(scaled, perChannel(this.#beta)), x.shape);
      });
    }
  };
}

/** RMSNormalization, which tfjs-layers lacks: x / sqrt(mean(x^2) + epsilon) x scale. Source: Zhang and Sennrich, 2019. */
function rmsNormalizationLayer(tf: TF): LayerClass {
  return class RMSNormalization extends ownLayer(tf) {
    static readonly className = 'RMSNormalization';
    #scale: Weight | null = null;

    override build(inputShape: tfjs.Shape | tfjs.Shape[]): void {
      const shape = singleShape(inputShape);
      this.#scale = this.addTensor('scale', [Number(shape.at(-1))], 'scale');
      super.build(inputShape);
    }

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const mean = tf.mean(tf.square(x), -1, true);
        const normalized = tf.mul(x, tf.rsqrt(tf.add(mean, numberOf(this, 'epsilon', 1e-6))));
        return this.#scale === null ? normalized : tf.mul(normalized, this.#scale.read());
      });
    }
  };
}

/** UnitNormalization, which tfjs-layers lacks: x divided by its norm. */
function unitNormalizationLayer(tf: TF): LayerClass {
  return class UnitNormalization extends ownLayer(tf) {
    static readonly className = 'UnitNormalization';

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const axes = ([this.settings.axis ?? -1].flat() as number[]).map((axis) => fromFirst(axis, x.rank));
        const squares = tf.sum(tf.square(x), axes, true);
        return tf.mul(x, tf.rsqrt(tf.maximum(squares, SMALLEST_SQUARE)));
      });
    }
  };
}

/** Bound of the squared norm of a vector that is normalized, so that a vector of zeros stays one. */
const SMALLEST_SQUARE = 1e-24;

/** Bound of the deviation of a Normalization, as in Keras. */
const SMALLEST_DEVIATION = 1e-7;

/** Normalization by a mean and a variance in the configuration, which tfjs-layers lacks. */
function inputNormalizationLayer(tf: TF): LayerClass {
  return class Normalization extends ownLayer(tf) {
    static readonly className = 'Normalization';

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => {
        const x = singleInput(inputs);
        const axes = ([this.settings.axis ?? []].flat() as number[]).map((axis) => fromFirst(axis, x.rank));
        const shape = x.shape.map((length, i) => (axes.includes(i) ? length : 1));
        const statistic = (key: string, change: (value: number) => number): tfjs.Tensor => {
          const values = ([this.settings[key]].flat(9) as number[]).map(change);
          return values.length === 1
            ? tf.scalar(values[0] as number)
            : tf.tensor(Float32Array.from(values), shape);
        };
        const mean = statistic('mean', (value) => value);
        const deviation = statistic('variance', (value) => Math.max(Math.sqrt(value), SMALLEST_DEVIATION));
        if (this.settings.invert === true) return tf.add(mean, tf.mul(x, deviation));
        return tf.div(tf.sub(x, mean), deviation);
      });
    }
  };
}

export const normalizationLayers: readonly LayerFactory[] = [
  batchNormalizationLayer,
  layerNormalizationLayer,
  groupNormalizationLayer,
  rmsNormalizationLayer,
  unitNormalizationLayer,
  inputNormalizationLayer,
];
