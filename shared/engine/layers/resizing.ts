import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { sizeOf } from '../../model/layout.ts';
import {
  numberOf,
  ownLayer,
  singleInput,
  singleShape,
  type CallArguments,
  type Config,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
  stockLayer,
} from './stock.ts';

type Pair = readonly [number, number];

/** Numbers at the start and at the end of each axis: n, [n, m, ...] or [[n, m], ...]. */
function pairsOf(value: unknown, axes: number): Pair[] {
  const values = Array.isArray(value) ? (value as unknown[]) : Array.from({ length: axes }, () => value);
  // Of one axis, [n, m] are its start and its end.
  if (axes === 1) {
    const [first, last = first] = values.flat() as number[];
    return [[Number(first), Number(last)]];
  }
  return values.map((one) => {
    const [first, last = first] = [one].flat() as number[];
    return [Number(first), Number(last)];
  });
}

/** Number of the first of the axes that a layer changes. */
const firstAxis = ({ settings }: OwnLayer): number => (settings.dataFormat === 'channelsFirst' ? 2 : 1);

/** View of a tensor as [before, axis, behind], which every backend pads, slices and repeats. */
function alongAxis(
  tf: TF,
  x: tfjs.Tensor,
  axis: number,
  change: (rows: tfjs.Tensor3D) => tfjs.Tensor,
): tfjs.Tensor {
  const before = sizeOf(x.shape.slice(0, axis));
  const behind = sizeOf(x.shape.slice(axis + 1));
  const changed = change(tf.reshape(x, [before, x.shape[axis] ?? 0, behind]));
  return tf.reshape(changed, x.shape.with(axis, changed.shape[1] ?? 0));
}

/** Class of a layer that changes the lengths of some axes, one after the other. */
function axesLayer(
  tf: TF,
  className: string,
  axes: number,
  lengthOf: (layer: OwnLayer, axis: number, length: number) => number,
  change: (layer: OwnLayer, axis: number, rows: tfjs.Tensor3D) => tfjs.Tensor,
): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = className;

    constructor(config: Record<string, unknown>) {
      super(config);
      this.supportsMasking = false;
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = [...singleShape(inputShape)];
      for (let i = 0; i < axes; i++) {
        const at = firstAxis(this) + i;
        const length = shape[at] ?? null;
        shape[at] = length === null ? null : lengthOf(this, i, length);
      }
      return shape;
    }

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() => {
        let x = singleInput(inputs);
        for (let i = 0; i < axes; i++) {
          const length = x.shape[firstAxis(this) + i] ?? 0;
          if (lengthOf(this, i, length) !== length)
            x = alongAxis(tf, x, firstAxis(this) + i, (rows) => change(this, i, rows));
        }
        return x === singleInput(inputs) ? tf.clone(x) : x;
      });
    }
  };
}

/** ZeroPadding1D or ZeroPadding3D, which tfjs-layers lacks. */
function paddingLayer(tf: TF, axes: 1 | 3): LayerClass {
  const pairOf = ({ settings }: OwnLayer, axis: number): Pair =>
    pairsOf(settings.padding ?? 1, axes)[axis] ?? [0, 0];
  return axesLayer(
    tf,
    `ZeroPadding${axes}D`,
    axes,
    (layer, axis, length) => length + pairOf(layer, axis)[0] + pairOf(layer, axis)[1],
    (layer, axis, rows) => tf.pad(rows, [[0, 0], [...pairOf(layer, axis)], [0, 0]]),
  );
}

/** Cropping1D or Cropping3D, which tfjs-layers lacks. */
function croppingLayer(tf: TF, axes: 1 | 3): LayerClass {
  const pairOf = ({ settings }: OwnLayer, axis: number): Pair =>
    pairsOf(settings.cropping ?? 1, axes)[axis] ?? [0, 0];
  const lengthOf = (layer: OwnLayer, axis: number, length: number): number =>
    length - pairOf(layer, axis)[0] - pairOf(layer, axis)[1];
  return axesLayer(tf, `Cropping${axes}D`, axes, lengthOf, (layer, axis, rows) =>
    tf.slice(
      rows,
      [0, pairOf(layer, axis)[0], 0],
      [rows.shape[0], lengthOf(layer, axis, rows.shape[1]), rows.shape[2]],
    ),
  );
}

/** UpSampling1D or UpSampling3D, which tfjs-layers lacks: each element of an axis is repeated. */
function upSamplingLayer(tf: TF, axes: 1 | 3): LayerClass {
  const factorOf = ({ settings }: OwnLayer, axis: number): number => {
    const sizes = [settings.size ?? 2].flat() as number[];
    return sizes[axis] ?? sizes[0] ?? 2;
  };
  return axesLayer(
    tf,
    `UpSampling${axes}D`,
    axes,
    (layer, axis, length) => length * factorOf(layer, axis),
    (layer, axis, rows) => {
      const [before, length, behind] = rows.shape;
      const factor = factorOf(layer, axis);
      // The gradient of a product with ones is a sum.
      const repeated = tf.mul(tf.reshape(rows, [before, length, 1, behind]), tf.ones([1, 1, factor, 1]));
      return tf.reshape(repeated, [before, length * factor, behind]);
    },
  );
}

const zeroPadding1dLayer = (tf: TF): LayerClass => paddingLayer(tf, 1);
const zeroPadding3dLayer = (tf: TF): LayerClass => paddingLayer(tf, 3);
const cropping1dLayer = (tf: TF): LayerClass => croppingLayer(tf, 1);
const cropping3dLayer = (tf: TF): LayerClass => croppingLayer(tf, 3);
const upSampling1dLayer = (tf: TF): LayerClass => upSamplingLayer(tf, 1);
const upSampling3dLayer = (tf: TF): LayerClass => upSamplingLayer(tf, 3);

/** Way to compute the values between pixels. */
interface Interpolation {
  /** Distance from a pixel from which its weight is 0. */
  readonly radius: number;
  readonly weight: (distance: number) => number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

const lanczos = (radius: number): Interpolation => ({
  radius,
  weight: (distance) => sinc(distance) * sinc(distance / radius),
});

const linear: Interpolation = { radius: 1, weight: (distance) => 1 - Math.abs(distance) };

/** Interpolations of tf.image.resize besides 'nearest', without antialiasing. */
const INTERPOLATIONS: Readonly<Record<string, Interpolation>> = {
  bilinear: linear,
  // Keys, "Cubic convolution interpolation for digital image processing" (1981), with a = -1/2.
  bicubic: {
    radius: 2,
    weight: (distance) => {
      const x = Math.abs(distance);
      return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
    },
  },
  lanczos3: lanczos(3),
  lanczos5: lanczos(5),
};

/** Steps into which TensorFlow rounds the distance of a bicubic interpolation. */
const BICUBIC_STEPS = 1024;

/** Matrix [length, length * factor] of interpolation; see resizeMatrix(). */
export const interpolationMatrix = (length: number, factor: number, name = 'bilinear'): Float32Array =>
  resizeMatrix(length, length * factor, name);

/**
 * Matrix [length, outputLength] of interpolation between pixel centers, as in tf.image.resize of TensorFlow 2: row vectors of
 * `length` values times this matrix have `outputLength` values. Weights beyond the edges belong to the pixel at the edge if
 * the interpolation is linear; otherwise the weights inside are scaled to a sum of 1.
 */
export function resizeMatrix(length: number, outputLength: number, name: string): Float32Array {
  const { radius, weight } = INTERPOLATIONS[name] ?? linear;
  const factor = outputLength / length;
  const weights = new Float32Array(length * outputLength);
  for (let to = 0; to < outputLength; to++) {
    const exact = (to + 0.5) / factor - 0.5;
    if (name === 'nearest') {
      weights[Math.min(length - 1, Math.floor(exact + 0.5)) * outputLength + to] = 1;
      continue;
    }
    const floor = Math.floor(exact);
    const fraction = exact - floor;
    const at = floor + (name === 'bicubic' ? Math.round(fraction * BICUBIC_STEPS) / BICUBIC_STEPS : fraction);
    const taps: [from: number, value: number][] = [];
    for (let from = floor - radius + 1; from <= floor + radius; from++) {
      if (name === 'bilinear') taps.push([Math.min(length - 1, Math.max(0, from)), weight(at - from)]);
      else if (from >= 0 && from < length) taps.push([from, weight(at - from)]);
    }
    const sum = taps.reduce((total, [, value]) => total + value, 0);
    for (const [from, value] of taps) {
      const index = from * outputLength + to;
      weights[index] = (weights[index] ?? 0) + value / sum;
    }
  }
  return weights;
}

interface StockUpSampling extends tfjs.layers.Layer {
  interpolation: string;
  readonly size: readonly [number, number];
  readonly dataFormat: string;
}

/**
 * UpSampling2D that interpolates as Keras does; tfjs-layers interpolates between corners, and only bilinearly. Two products with
 * small matrices compute it, so that the gradient is correct on every backend.
 */
function upSampling2dLayer(tf: TF): LayerClass {
  /** Replaces the last axis [.., length] by [.., length * factor]. */
  const stretch = (x: tfjs.Tensor, factor: number, name: string): tfjs.Tensor => {
    const length = x.shape.at(-1) ?? 0;
    const weights = tf.tensor2d(interpolationMatrix(length, factor, name), [length, length * factor]);
    return tf.reshape(tf.matMul(tf.reshape(x, [-1, length]), weights), [
      ...x.shape.slice(0, -1),
      length * factor,
    ]);
  };

  return class UpSampling2D extends stockLayer<StockUpSampling>(tf, 'UpSampling2D') {
    static readonly className = 'UpSampling2D';

    constructor(config: Record<string, unknown>) {
      const { size = 2 } = config;
      // tfjs-layers rejects other interpolations, and takes no size that is one number.
      super({ ...config, size: typeof size === 'number' ? [size, size] : size, interpolation: 'nearest' });
      this.interpolation = typeof config.interpolation === 'string' ? config.interpolation : 'nearest';
    }

    override call(inputs: Inputs, kwargs: CallArguments): Inputs {
      const { interpolation } = this;
      if (interpolation === 'nearest') return super.call(inputs, kwargs);
      const [vertical, horizontal] = this.size;
      return tf.tidy(() => {
        const input = singleInput(inputs);
        if (this.dataFormat === 'channelsFirst') {
          // [n, c, h, w] -> [n, c, W, h] -> [n, c, H, W]
          const wide = tf.transpose(stretch(input, horizontal, interpolation), [0, 1, 3, 2]);
          return tf.transpose(stretch(wide, vertical, interpolation), [0, 1, 3, 2]);
        }
        // [n, h, w, c] -> [n, w, c, H] -> [n, H, c, W] -> [n, H, W, c]
        const high = stretch(tf.transpose(input, [0, 2, 3, 1]), vertical, interpolation);
        const wide = stretch(tf.transpose(high, [0, 3, 2, 1]), horizontal, interpolation);
        return tf.transpose(wide, [0, 1, 3, 2]);
      });
    }
  };
}

/** Sides of a layer's images: the first axis, and the lengths of both. */
const sidesOf = (layer: OwnLayer): [number, number][] => [
  [firstAxis(layer), numberOf(layer, 'height', 1)],
  [firstAxis(layer) + 1, numberOf(layer, 'width', 1)],
];

/** Layer that changes both sides of images to the settings `height` and `width`. */
function sizedLayer(
  tf: TF,
  className: string,
  change: (layer: OwnLayer, rows: tfjs.Tensor3D, length: number) => tfjs.Tensor,
): LayerClass {
  return class extends ownLayer(tf) {
    static readonly className = className;

    constructor(config: Config) {
      super(config);
      this.supportsMasking = false;
    }

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = [...singleShape(inputShape)];
      for (const [axis, length] of sidesOf(this)) shape[axis] = length;
      return shape;
    }

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() =>
        sidesOf(this).reduce<tfjs.Tensor>(
          (x, [axis, length]) => alongAxis(tf, x, axis, (rows) => change(this, rows, length)),
          singleInput(inputs),
        ),
      );
    }
  };
}

/** Resizing, with the interpolations of Keras. */
const resizingLayer = (tf: TF): LayerClass =>
  sizedLayer(tf, 'Resizing', ({ settings }, rows, length) => {
    const [before, from, behind] = rows.shape;
    const name = typeof settings.interpolation === 'string' ? settings.interpolation : 'bilinear';
    const weights = tf.tensor2d(resizeMatrix(from, length, name), [from, length]);
    const columns = tf.reshape<tfjs.Rank.R2>(tf.transpose(rows, [0, 2, 1]), [before * behind, from]);
    return tf.transpose(tf.reshape(tf.matMul(columns, weights), [before, behind, length]), [0, 2, 1]);
  });

/** CenterCrop of images that are at least as large. */
const centerCropLayer = (tf: TF): LayerClass =>
  sizedLayer(tf, 'CenterCrop', ({ name }, rows, length) => {
    const [before, from, behind] = rows.shape;
    if (from < length)
      throw new Error(
        `Layer ${name} (CenterCrop) gets images that are smaller than its crop, which is not supported. Use Resizing.`,
      );
    return tf.slice(rows, [0, Math.floor((from - length) / 2), 0], [before, length, behind]);
  });

export const resizingLayers: readonly LayerFactory[] = [
  resizingLayer,
  centerCropLayer,
  zeroPadding1dLayer,
  zeroPadding3dLayer,
  cropping1dLayer,
  cropping3dLayer,
  upSampling1dLayer,
  upSampling3dLayer,
  upSampling2dLayer,
];
