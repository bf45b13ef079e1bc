import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { sizeOf } from '../../model/layout.ts';

// Convolutions of one to three axes, composed of ops that have a gradient on every backend. Inputs are [samples, ...axes,
// channels].

export type Padding = 'valid' | 'same';

/** Settings of a convolution, with one number for each axis. */
export interface Convolution {
  readonly strides: readonly number[];
  readonly padding: Padding;
  readonly dilations: readonly number[];
}

const isOne = (value: number): boolean => value === 1;

/** Inserts zeros between the elements of an axis: a length n becomes (n - 1) x factor + 1. */
function spread(tf: TF, x: tfjs.Tensor, axis: number, factor: number): tfjs.Tensor {
  if (factor === 1) return x;
  const length = x.shape[axis] ?? 0;
  const before = sizeOf(x.shape.slice(0, axis));
  const behind = sizeOf(x.shape.slice(axis + 1));
  const padded = tf.pad(tf.reshape(x, [before * length, 1, behind]), [
    [0, 0],
    [0, factor - 1],
    [0, 0],
  ]);
  const whole = tf.reshape<tfjs.Rank.R3>(padded, [before, length * factor, behind]);
  const spreadLength = (length - 1) * factor + 1;
  return tf.reshape(
    tf.slice(whole, [0, 0, 0], [before, spreadLength, behind]),
    x.shape.with(axis, spreadLength),
  );
}

/** Filter with zeros between its taps. @param kernel [...axes, inputs, outputs] */
const dilate = (tf: TF, kernel: tfjs.Tensor, dilations: readonly number[]): tfjs.Tensor =>
  dilations.reduce((spreadOut, factor, axis) => spread(tf, spreadOut, axis, factor), kernel);

/** Pads one axis with zeros. */
function padAxis(tf: TF, x: tfjs.Tensor, axis: number, before: number, after: number): tfjs.Tensor {
  if (before === 0 && after === 0) return x;
  const outer = sizeOf(x.shape.slice(0, axis));
  const inner = sizeOf(x.shape.slice(axis + 1));
  const length = x.shape[axis] ?? 0;
  const rows = tf.reshape(x, [outer, length, inner]);
  const padded = tf.pad(rows, [
    [0, 0],
    [before, after],
    [0, 0],
  ]);
  return tf.reshape(padded, x.shape.with(axis, length + before + after));
}

/**
 * Volumes [samples, depth, height, width, channels] without the elements at the ends of axes that windows with padding 'same' do
 * not read, because the stride exceeds them. tfjs would shift the windows of such an axis, as if its padding were negative.
 * @param sizes of a window, with its dilation
 * @example cropUnread(tf, x, [1, 1, 1], [2, 1, 1]) // a depth of 4 becomes 3, of which the windows read the first and the last
 */
export function cropUnread(
  tf: TF,
  x: tfjs.Tensor,
  sizes: readonly number[],
  strides: readonly number[],
): tfjs.Tensor {
  return strides.reduce((cropped, stride, i) => {
    const length = x.shape[i + 1] ?? 0;
    const read = (Math.ceil(length / stride) - 1) * stride + (sizes[i] ?? 1);
    return read < length ? cropAxis(tf, cropped, i + 1, read) : cropped;
  }, x);
}

/** The first elements of one axis. */
function cropAxis(tf: TF, x: tfjs.Tensor, axis: number, length: number): tfjs.Tensor {
  const outer = sizeOf(x.shape.slice(0, axis));
  const inner = sizeOf(x.shape.slice(axis + 1));
  const rows = tf.reshape<tfjs.Rank.R3>(x, [outer, x.shape[axis] ?? 0, inner]);
  return tf.reshape(tf.slice(rows, [0, 0, 0], [outer, length, inner]), x.shape.with(axis, length));
}

/** Kernel of one row. @param kernel [steps, inputs, outputs] */
const kernelOfOneRow = (tf: TF, kernel: tfjs.Tensor): tfjs.Tensor =>
  tf.reshape<tfjs.Rank>(kernel, [1, ...kernel.shape]);

/** Images of one row each. @param x [samples, steps, channels] */
const imagesOfOneRow = (tf: TF, x: tfjs.Tensor): tfjs.Tensor =>
  tf.reshape<tfjs.Rank>(x, [x.shape[0], 1, ...x.shape.slice(1)]);

/** Shape of rows of images of one row each. */
const withoutRows = ({ shape }: tfjs.Tensor): number[] => shape.filter((_, axis) => axis !== 1);

/** Convolution of one group of channels. @param kernel [...axes, inputs, outputs] */
function convolveGroup(tf: TF, x: tfjs.Tensor, kernel: tfjs.Tensor, how: Convolution): tfjs.Tensor {
  const { strides, padding, dilations } = how;
  const axes = strides.length;
  if (axes === 3) {
    const taps = dilate(tf, kernel, dilations);
    const volume = padding === 'same' ? cropUnread(tf, x, taps.shape, strides) : x;
    return tf.conv3d(
      volume as tfjs.Tensor5D,
      taps as tfjs.Tensor5D,
      strides as [number, number, number],
      padding,
    );
  }
  const flat = axes === 1;
  const image = flat ? imagesOfOneRow(tf, x) : x;
  const output: tfjs.Tensor = tf.conv2d(
    image as tfjs.Tensor4D,
    (flat ? kernelOfOneRow(tf, kernel) : kernel) as tfjs.Tensor4D,
    (flat ? [1, ...strides] : strides) as [number, number],
    padding,
    'NHWC',
    (flat ? [1, ...dilations] : dilations) as [number, number],
  );
  return flat ? tf.reshape<tfjs.Rank>(output, withoutRows(output)) : output;
}

/**
 * Convolution whose filters see one of several groups of channels.
 * @param kernel [...axes, inputs / groups, outputs]
 */
export function convolve(
  tf: TF,
  x: tfjs.Tensor,
  kernel: tfjs.Tensor,
  how: Convolution,
  groups: number,
): tfjs.Tensor {
  if (groups === 1) return convolveGroup(tf, x, kernel, how);
  const inputs = splitLast(tf, x, groups);
  const kernels = splitLast(tf, kernel, groups);
  const outputs: tfjs.Tensor[] = inputs.map((part, i) =>
    convolveGroup(tf, part, kernels[i] as tfjs.Tensor, how),
  );
  const shape = outputs[0]?.shape ?? [];
  const rows = outputs.map((part) => tf.reshape<tfjs.Rank.R2>(part, [-1, part.shape.at(-1) ?? 0]));
  return tf.reshape(tf.concat(rows, 1), shape.with(-1, (shape.at(-1) ?? 0) * groups));
}

/** Splits the last axis into equal parts. */
function splitLast(tf: TF, x: tfjs.Tensor, parts: number): tfjs.Tensor[] {
  const size = (x.shape.at(-1) ?? 0) / parts;
  const rows = tf.split(tf.reshape<tfjs.Rank.R2>(x, [-1, size * parts]), parts, 1);
  return rows.map((part) => tf.reshape(part, x.shape.with(-1, size)));
}

/**
 * Depthwise convolution of one or two axes.
 * @param kernel [...axes, channels, multiplier]
 */
export function convolveDepthwise(
  tf: TF,
  x: tfjs.Tensor,
  kernel: tfjs.Tensor,
  { strides, padding, dilations }: Convolution,
): tfjs.Tensor {
  const flat = strides.length === 1;
  const taps = dilations.every(isOne) ? kernel : dilate(tf, kernel, dilations);
  // Kernels of some backends need equal strides; with one row the other stride has no effect.
  const stride: [number, number] = flat ? [strides[0] ?? 1, strides[0] ?? 1] : (strides as [number, number]);
  const output: tfjs.Tensor = tf.depthwiseConv2d(
    (flat ? imagesOfOneRow(tf, x) : x) as tfjs.Tensor4D,
    (flat ? kernelOfOneRow(tf, taps) : taps) as tfjs.Tensor4D,
    stride,
    padding,
  );
  return flat ? tf.reshape<tfjs.Rank>(output, withoutRows(output)) : output;
}

/** Length of an axis after a transposed convolution, as in Keras. */
export function transposedLength(
  length: number,
  size: number,
  stride: number,
  padding: Padding,
  outputPadding: number | null,
): number {
  if (padding === 'valid')
    return (length - 1) * stride + size + (outputPadding ?? Math.max(stride - size, 0));
  return outputPadding === null ? length * stride : (length - 1) * stride + (size % 2) + outputPadding;
}

/**
 * Transposed convolution: a convolution of the input with zeros between its elements by the reversed kernel.
 * @param kernel [...axes, outputs, inputs]
 */
export function convolveTransposed(
  tf: TF,
  x: tfjs.Tensor,
  kernel: tfjs.Tensor,
  { strides, padding }: Convolution,
  outputLengths: readonly number[],
): tfjs.Tensor {
  let padded = x;
  strides.forEach((stride, i) => {
    const size = kernel.shape[i] ?? 0;
    const length = x.shape[i + 1] ?? 0;
    const outputLength = outputLengths[i] ?? 0;
    // Zeros that the forward convolution, from outputs to inputs, adds before the first output.
    const missing = padding === 'same' ? Math.max((length - 1) * stride + size - outputLength, 0) : 0;
    const before = Math.floor(missing / 2);
    const after = outputLength - 1 + before - (length - 1) * stride;
    padded = padAxis(tf, spread(tf, padded, i + 1, stride), i + 1, size - 1 - before, after);
  });
  const [outputs = 0, inputs = 0] = kernel.shape.slice(-2);
  const sizes = kernel.shape.slice(0, -2);
  const taps = tf.reverse(tf.reshape<tfjs.Rank.R3>(kernel, [-1, outputs, inputs]), 0);
  const reversed = tf.reshape(tf.transpose(taps, [0, 2, 1]), [...sizes, inputs, outputs]);
  const ones = strides.map(() => 1);
  return convolve(tf, padded, reversed, { strides: ones, padding: 'valid', dilations: ones }, 1);
}
