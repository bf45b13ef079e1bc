import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { cropUnread } from './convolve.ts';
import {
  ownLayer,
  singleInput,
  singleShape,
  stockLayer,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
} from './stock.ts';

interface StockPooling extends tfjs.layers.Layer {
  readonly padding: string;
  readonly poolSize: readonly number[];
  readonly strides: readonly number[];
}

/** Pool of volumes whose windows with padding 'same' are those of Keras also where the stride exceeds them. */
function volumePoolingLayer(tf: TF, kind: 'Average' | 'Max'): LayerClass {
  const className = `${kind}Pooling3D`;
  return class extends stockLayer<StockPooling>(tf, className) {
    static readonly className = className;

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const { padding, poolSize, strides } = this;
      if (padding !== 'same') return super.call(inputs, kwargs);
      return tf.tidy(() => super.call(cropUnread(tf, singleInput(inputs), poolSize, strides), kwargs));
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
        const counts = this.#alongSteps(mask as tfjs.Tensor, x);
        return tf.div(tf.sum(tf.mul(x, counts), pooled, keep), tf.sum(counts, pooled, keep));
      });
    }

    /** Mask [samples, steps] with an axis for the channels. A mask belongs to the axis behind the samples, whichever that is. */
    #alongSteps(mask: tfjs.Tensor, { shape }: tfjs.Tensor): tfjs.Tensor {
      const [samples = 0, length = 0] = mask.shape;
      if (this.settings.dataFormat !== 'channelsFirst') return tf.reshape(mask, [samples, length, 1]);
      const [, channels = 0, steps = 0] = shape;
      if (length !== steps && length !== 1 && steps !== 1) {
        throw new Error(
          `Layer ${this.name} (${this.getClassName()}) has channels first, and a mask of ${channels} channels instead of its ` +
            `${steps} steps. Use data_format channels_last, or end the mask before.`,
        );
      }
      return tf.reshape(mask, [samples, 1, length]);
    }
  };
}

const KINDS = ['Average', 'Max'] as const;

export const poolingLayers: readonly LayerFactory[] = KINDS.flatMap((kind): LayerFactory[] => [
  (tf) => volumePoolingLayer(tf, kind),
  ...([1, 2, 3] as const).map(
    (axes): LayerFactory =>
      (tf) =>
        globalPoolingLayer(tf, kind, axes),
  ),
]);
