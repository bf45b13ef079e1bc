import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { withoutGradient } from './axes.ts';
import {
  numberOf,
  ownLayer,
  singleInput,
  singleShape,
  type Config,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
} from './stock.ts';

/** How categories become values: as they are, each one-hot, or together, as 1 for those that occur or as their numbers. */
type OutputMode = 'int' | 'oneHot' | 'multiHot' | 'count';

const modeOf = ({ outputMode }: Config, standard: OutputMode): OutputMode =>
  typeof outputMode === 'string' ? (outputMode as OutputMode) : standard;

/** @throws Error naming the layer if Keras' encoding has another shape than it says */
function checkEncoded({ name }: OwnLayer, shape: tfjs.Shape, mode: OutputMode): void {
  if (shape.length === 2 || mode === 'int' || mode === 'oneHot') return;
  throw new Error(
    `Layer ${name} is called with inputs of several axes, of which Keras encodes the first. This is not supported. Flatten its input.`,
  );
}

/** Shape of encoded categories; a last axis of one category becomes that of the encoding. */
function encodedShape<T>(shape: readonly T[], depth: T, mode: OutputMode): T[] {
  if (mode === 'int') return [...shape];
  if (mode !== 'oneHot' || Number(shape.at(-1)) === 1) return [...shape.slice(0, -1), depth];
  return [...shape, depth];
}

/** Encoding of categories from 0. @param x [samples, ..., categories of a sample] */
function encode(tf: TF, x: tfjs.Tensor, depth: number, mode: OutputMode): tfjs.Tensor {
  if (mode === 'int') return x;
  const categories = tf.tensor1d(Float32Array.from({ length: depth }, (_, i) => i));
  const hot = tf.cast(tf.equal(tf.reshape(x, [...x.shape, 1]), categories), 'float32');
  const shape = encodedShape(x.shape, depth, mode);
  if (mode === 'oneHot') return tf.reshape(hot, shape);
  return mode === 'count' ? tf.sum(hot, x.rank - 1) : tf.max(hot, x.rank - 1);
}

/** CategoryEncoding, which tfjs-layers has with other shapes. */
function categoryEncodingLayer(tf: TF): LayerClass {
  return class CategoryEncoding extends ownLayer(tf) {
    static readonly className = 'CategoryEncoding';

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const depth = numberOf(this, 'numTokens', 1);
      checkEncoded(this, singleShape(inputShape), modeOf(this.settings, 'multiHot'));
      return encodedShape(singleShape(inputShape), depth, modeOf(this.settings, 'multiHot'));
    }

    override call(inputs: Inputs): tfjs.Tensor {
      const depth = numberOf(this, 'numTokens', 1);
      return tf.tidy(() =>
        withoutGradient(tf, [singleInput(inputs)], (x) =>
          encode(tf, x, depth, modeOf(this.settings, 'multiHot')),
        ),
      );
    }
  };
}

/** Discretization: the number of the boundaries that are not above a value. */
function discretizationLayer(tf: TF): LayerClass {
  return class Discretization extends ownLayer(tf) {
    static readonly className = 'Discretization';

    get #boundaries(): number[] {
      return (this.settings.binBoundaries ?? []) as number[];
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      checkEncoded(this, singleShape(inputShape), modeOf(this.settings, 'int'));
      return encodedShape(singleShape(inputShape), this.#boundaries.length + 1, modeOf(this.settings, 'int'));
    }

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() =>
        withoutGradient(tf, [singleInput(inputs)], (x) => {
          const boundaries = tf.tensor1d(this.#boundaries);
          const reached = tf.greaterEqual(tf.reshape(x, [...x.shape, 1]), boundaries);
          const bins = tf.sum(tf.cast(reached, 'float32'), x.rank);
          return encode(tf, bins, this.#boundaries.length + 1, modeOf(this.settings, 'int'));
        }),
      );
    }
  };
}

export const categoryLayers: readonly LayerFactory[] = [categoryEncodingLayer, discretizationLayer];
