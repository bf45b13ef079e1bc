import type * as tfjs from '@tensorflow/tfjs';
import { KEYED_DROPOUT } from '../../model/topology.ts';
import type { TF } from '../../util/tf.ts';
import type { Draw } from '../../kernels/masks/random-values.ts';
import { randomContext } from './random-source.ts';
import {
  numberOf,
  ownLayer,
  singleInput,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
} from './stock.ts';

/** Draw of the random numbers of one layer. */
type DrawNumbers = (draw: Draw, shape: number[]) => tfjs.Tensor;

/**
 * Draw of a layer's random numbers in training.
 * @returns null in inference, where the layer passes its input on
 */
export function drawerOf(tf: TF, layer: OwnLayer, { training }: CallArguments): DrawNumbers | null {
  const { masks } = randomContext(tf);
  if (masks === null || training === false) return null;
  return (draw, shape) => masks.draw(numberOf(layer, 'number', 0), draw, shape);
}

/** Shape of a mask: 1 for each axis along which it is the same. */
function maskShape({ settings }: OwnLayer, { shape }: tfjs.Tensor): number[] {
  const noiseShape = (settings.noiseShape ?? []) as (number | null)[];
  return shape.map((size, axis) => noiseShape[axis] ?? size);
}

/** Class of a layer that changes its input by random numbers in training. */
function noiseLayer(
  tf: TF,
  className: string,
  change: (x: tfjs.Tensor, draw: DrawNumbers, layer: OwnLayer) => tfjs.Tensor,
): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = className;

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const strength = numberOf(this, 'rate', numberOf(this, 'stddev', 0));
      const draw = drawerOf(tf, this, kwargs);
      if (draw === null || strength <= 0) return inputs;
      return tf.tidy(() => change(singleInput(inputs), draw, this));
    }
  };
}

/** Dropout with masks keyed by (seed, step, sample, layer). */
const keyedDropoutLayer = (tf: TF): LayerClass =>
  noiseLayer(tf, KEYED_DROPOUT, (x, draw, layer) => {
    const rate = numberOf(layer, 'rate', 0);
    const shape = maskShape(layer, x);
    const { masks } = randomContext(tf);
    const dropped = tf.util.arraysEqual(shape, x.shape)
      ? masks?.dropout?.(numberOf(layer, 'number', 0), rate, x)
      : undefined;
    return dropped ?? tf.mul(x, draw(rate, shape));
  });

/** GaussianNoise with keyed numbers. */
const gaussianNoiseLayer = (tf: TF): LayerClass =>
  noiseLayer(tf, 'GaussianNoise', (x, draw, layer) =>
    tf.add(x, tf.mul(draw('normal', x.shape), numberOf(layer, 'stddev', 0))),
  );

/** GaussianDropout with keyed numbers: x times numbers of mean 1 and deviation sqrt(rate / (1 - rate)). */
const gaussianDropoutLayer = (tf: TF): LayerClass =>
  noiseLayer(tf, 'GaussianDropout', (x, draw, layer) => {
    const rate = numberOf(layer, 'rate', 0);
    return tf.mul(x, tf.add(1, tf.mul(draw('normal', x.shape), Math.sqrt(rate / (1 - rate)))));
  });

/** Least value of SELU: -alpha x scale. Source: Klambauer et al., "Self-normalizing neural networks" (2017). */
const SELU_MINIMUM = -1.6732632423543772 * 1.0507009873554805;

/** AlphaDropout with keyed masks: dropped elements get the least value of SELU, and mean and variance are kept. */
const alphaDropoutLayer = (tf: TF): LayerClass =>
  noiseLayer(tf, 'AlphaDropout', (x, draw, layer) => {
    const configured = numberOf(layer, 'rate', 0);
    // The rate of the mask, a multiple of 1 / 256.
    const rate = Math.min(255, Math.round(256 * configured)) / 256;
    const kept = tf.mul(draw(configured, maskShape(layer, x)), 1 - rate);
    const scale = ((1 - rate) * (1 + rate * SELU_MINIMUM ** 2)) ** -0.5;
    const mixed = tf.add(tf.mul(x, kept), tf.mul(SELU_MINIMUM, tf.sub(1, kept)));
    return tf.add(tf.mul(mixed, scale), -scale * SELU_MINIMUM * rate);
  });

export const noiseLayers: readonly LayerFactory[] = [
  keyedDropoutLayer,
  gaussianNoiseLayer,
  gaussianDropoutLayer,
  alphaDropoutLayer,
];
