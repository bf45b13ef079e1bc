import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { drawerOf } from './noise.ts';
import {
  ownLayer,
  singleInput,
  singleShape,
  type CallArguments,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
} from './stock.ts';

/** Range of a random factor. */
type Range = readonly [number, number];

/** Change of images by random numbers. */
interface Augmentation {
  /** Uniform numbers that one sample needs. */
  readonly numbers: number;
  /**
   * @param x [samples, height, width, channels]
   * @param u the numbers, each [samples, 1]
   */
  readonly change: (x: tfjs.Tensor4D, u: tfjs.Tensor[], layer: OwnLayer) => tfjs.Tensor;
}

/** Class of a layer that changes images by uniform numbers of each sample in training. */
function augmentationLayer(tf: TF, className: string, { numbers, change }: Augmentation): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = className;

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const draw = drawerOf(tf, this, kwargs);
      if (draw === null) return inputs;
      return tf.tidy(() => {
        const input = singleInput(inputs);
        const channelsFirst = this.settings.dataFormat === 'channelsFirst';
        const x = (channelsFirst ? tf.transpose(input, [0, 2, 3, 1]) : input) as tfjs.Tensor4D;
        const values = draw('uniform', [x.shape[0], numbers]);
        const u = numbers === 1 ? [values] : tf.split(values, numbers, 1);
        const output = change(x, u, this);
        return channelsFirst ? tf.transpose(output, [0, 3, 1, 2]) : output;
      });
    }
  };
}

/** Range of a setting: a number f stands for -f to f. */
function rangeOf({ settings }: OwnLayer, key: string): Range {
  const value = settings[key];
  if (!Array.isArray(value)) return [-Math.abs(Number(value ?? 0)), Math.abs(Number(value ?? 0))];
  const [low = 0, high = 0] = (value as number[]).toSorted((a, b) => a - b);
  return [low, high];
}

/** Uniform numbers in a range. @param u in [0, 1) */
const within = (tf: TF, u: tfjs.Tensor, [low, high]: Range): tfjs.Tensor =>
  tf.add(tf.mul(u, high - low), low);

/**
 * Moves pixels: the pixel (x, y) of the result is that at (a0 x + a1 y + a2, b0 x + b1 y + b2) of the image.
 * @param rows a0, a1, a2, b0, b1, b2, each [samples, 1] or a number
 */
function moveAffine(
  tf: TF,
  images: tfjs.Tensor4D,
  rows: readonly (tfjs.Tensor | number)[],
  { settings }: OwnLayer,
): tfjs.Tensor {
  const [samples] = images.shape;
  const columns = [...rows, 0, 0].map((value) =>
    typeof value === 'number' ? tf.fill([samples, 1], value) : value,
  );
  return tf.image.transform(
    images,
    tf.concat(columns as tfjs.Tensor2D[], 1),
    (settings.interpolation ?? 'bilinear') as 'nearest' | 'bilinear',
    (settings.fillMode ?? 'reflect') as 'constant' | 'reflect' | 'wrap' | 'nearest',
    Number(settings.fillValue ?? 0),
  );
}

/** Divisors of the terms of the series of sine and cosine, each with the one before. */
const SINE_DIVISORS = [6, 20, 42, 72];
const COSINE_DIVISORS = [2, 12, 30, 56, 90];

/**
 * Cosine and sine of angles, which a GPU may compute with errors of 5e-4 (WGSL, "Accuracy of Built-in Functions").
 * @param turns the angles, 1 for a whole turn
 */
function cosineAndSine(tf: TF, turns: tfjs.Tensor): [tfjs.Tensor, tfjs.Tensor] {
  // A quarter of the angle is at most pi / 4, where few terms suffice. It is doubled twice.
  const quarter = tf.mul(tf.sub(turns, tf.floor(tf.add(turns, 0.5))), Math.PI / 2);
  const square = tf.square(quarter);
  const series = (divisors: readonly number[]): tfjs.Tensor =>
    divisors.reduceRight<tfjs.Tensor>(
      (sum, divisor) => tf.sub(1, tf.mul(tf.div(square, divisor), sum)),
      tf.onesLike(square),
    );
  const double = ([cos, sin]: [tfjs.Tensor, tfjs.Tensor]): [tfjs.Tensor, tfjs.Tensor] => [
    tf.sub(1, tf.mul(tf.square(sin), 2)),
    tf.mul(tf.mul(sin, cos), 2),
  ];
  return double(double([series(COSINE_DIVISORS), tf.mul(quarter, series(SINE_DIVISORS))]));
}

/** RandomRotation by an angle in the range of `factor` turns, about the center. */
const randomRotationLayer = (tf: TF): LayerClass =>
  augmentationLayer(tf, 'RandomRotation', {
    numbers: 1,
    change: (x, [u], layer) => {
      const [cos, sin] = cosineAndSine(tf, within(tf, u as tfjs.Tensor, rangeOf(layer, 'factor')));
      const [centerY, centerX] = [(x.shape[1] - 1) / 2, (x.shape[2] - 1) / 2];
      // The center stays where it is.
      const a2 = tf.sub(centerX, tf.sub(tf.mul(cos, centerX), tf.mul(sin, centerY)));
      const b2 = tf.sub(centerY, tf.add(tf.mul(sin, centerX), tf.mul(cos, centerY)));
      return moveAffine(tf, x, [cos, tf.neg(sin), a2, sin, cos, b2], layer);
    },
  });

/** RandomTranslation by parts of height and width. */
const randomTranslationLayer = (tf: TF): LayerClass =>
  augmentationLayer(tf, 'RandomTranslation', {
    numbers: 2,
    change: (x, [u, v], layer) => {
      const down = tf.mul(within(tf, u as tfjs.Tensor, rangeOf(layer, 'heightFactor')), x.shape[1]);
      const right = tf.mul(within(tf, v as tfjs.Tensor, rangeOf(layer, 'widthFactor')), x.shape[2]);
      return moveAffine(tf, x, [1, 0, tf.neg(right), 0, 1, tf.neg(down)], layer);
    },
  });

/** RandomZoom by factors of height and width; without a range of the width both are the same. */
const randomZoomLayer = (tf: TF): LayerClass =>
  augmentationLayer(tf, 'RandomZoom', {
    numbers: 2,
    change: (x, [u, v], layer) => {
      const zoomOf = (value: tfjs.Tensor | undefined, key: string): tfjs.Tensor =>
        tf.add(1, within(tf, value as tfjs.Tensor, rangeOf(layer, key)));
      const high = zoomOf(u, 'heightFactor');
      const wide = (layer.settings.widthFactor ?? null) === null ? high : zoomOf(v, 'widthFactor');
      const a2 = tf.mul(tf.sub(1, wide), (x.shape[2] - 1) / 2);
      const b2 = tf.mul(tf.sub(1, high), (x.shape[1] - 1) / 2);
      return moveAffine(tf, x, [wide, 0, a2, 0, high, b2], layer);
    },
  });

/** RandomFlip of a half of the samples, along the axes of `mode` together, as Keras 3 does. */
const randomFlipLayer = (tf: TF): LayerClass =>
  augmentationLayer(tf, 'RandomFlip', {
    numbers: 1,
    change: (x, [u], { settings }) => {
      const axes = settings.mode === 'vertical' ? [1] : settings.mode === 'horizontal' ? [2] : [1, 2];
      // 1 for u > 0.5, which stays.
      const stays = tf.reshape(tf.step(tf.sub(u as tfjs.Tensor, 0.5)), [-1, 1, 1, 1]);
      return tf.add(tf.mul(x, stays), tf.mul(tf.reverse(x, axes), tf.sub(1, stays)));
    },
  });

/** Limits of pixel values. */
const valueRange = ({ settings }: OwnLayer): Range => {
  const [low = 0, high = 255] = (settings.valueRange ?? []) as number[];
  return [low, high];
};

/** RandomContrast: distances from each channel's mean times a factor in 1 - lower to 1 + upper. */
const randomContrastLayer = (tf: TF): LayerClass =>
  augmentationLayer(tf, 'RandomContrast', {
    numbers: 1,
    change: (x, [u], layer) => {
      const { factor } = layer.settings;
      const [lower = 0, upper = lower] = [factor].flat() as number[];
      const strength = tf.reshape(within(tf, u as tfjs.Tensor, [1 - lower, 1 + upper]), [-1, 1, 1, 1]);
      const mean = tf.mean(x, [1, 2], true);
      return tf.clipByValue(tf.add(tf.mul(tf.sub(x, mean), strength), mean), ...valueRange(layer));
    },
  });

/** RandomBrightness: a number in the range of `factor`, times that of the values, is added to all pixels of a sample. */
const randomBrightnessLayer = (tf: TF): LayerClass =>
  augmentationLayer(tf, 'RandomBrightness', {
    numbers: 1,
    change: (x, [u], layer) => {
      const [low, high] = valueRange(layer);
      const added = tf.mul(within(tf, u as tfjs.Tensor, rangeOf(layer, 'factor')), high - low);
      return tf.clipByValue(tf.add(x, tf.reshape(added, [-1, 1, 1, 1])), low, high);
    },
  });

/** Part of each sample's axis that begins at its own position. @param from [samples, 1], whole numbers */
function cropAxis(tf: TF, x: tfjs.Tensor4D, axis: 1 | 2, from: tfjs.Tensor, length: number): tfjs.Tensor {
  const [samples] = x.shape;
  const whole = x.shape[axis];
  const order = axis === 1 ? [0, 1, 2, 3] : [0, 2, 1, 3];
  const rows = tf.transpose(x, order);
  const positions = tf.tensor(
    Float32Array.from({ length: whole }, (_, i) => i),
    [1, 1, whole],
  );
  const offsets = tf.tensor(
    Float32Array.from({ length }, (_, i) => i),
    [1, length, 1],
  );
  // 1 where a row of the crop is a row of the image.
  const chosen = tf.cast(tf.equal(tf.add(tf.reshape(from, [samples, 1, 1]), offsets), positions), 'float32');
  const cropped = tf.matMul(chosen, tf.reshape(rows, [samples, whole, -1]));
  return tf.transpose(tf.reshape(cropped, [samples, length, ...rows.shape.slice(2)]), order);
}

/** RandomCrop of each sample; as in Keras, inference has no crop. */
function randomCropLayer(tf: TF): LayerClass {
  const Layer = augmentationLayer(tf, 'RandomCrop', {
    numbers: 2,
    change: (x, [u, v], { settings }) => {
      const [height, width] = [Number(settings.height), Number(settings.width)];
      const start = (value: tfjs.Tensor | undefined, room: number): tfjs.Tensor =>
        tf.floor(tf.mul(value as tfjs.Tensor, room + 1));
      const rows = cropAxis(tf, x, 1, start(u, x.shape[1] - height), height) as tfjs.Tensor4D;
      return cropAxis(tf, rows, 2, start(v, x.shape[2] - width), width);
    },
  }) as unknown as new (config: never) => OwnLayer;
  return class RandomCrop extends Layer {
    static readonly className = 'RandomCrop';

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = [...singleShape(inputShape)];
      const first = this.settings.dataFormat === 'channelsFirst' ? 2 : 1;
      const sides = [Number(this.settings.height), Number(this.settings.width)];
      for (const [i, side] of sides.entries()) {
        const length = shape[first + i] ?? null;
        if (length !== null && length <= side) {
          throw new Error(
            `Layer ${this.name} (RandomCrop) gets images that are not larger than its crop, which is not supported. Use Resizing.`,
          );
        }
        shape[first + i] = side;
      }
      return shape;
    }
  };
}

export const augmentationLayers: readonly LayerFactory[] = [
  randomCropLayer,
  randomRotationLayer,
  randomTranslationLayer,
  randomZoomLayer,
  randomFlipLayer,
  randomContrastLayer,
  randomBrightnessLayer,
];
