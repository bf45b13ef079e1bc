import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { fromFirst } from './stock.ts';

// Operations along any axes, composed of those that all backends have with their gradients.

/** Moves axes behind the others. */
function moveLast(tf: TF, x: tfjs.Tensor, axes: readonly number[]): { moved: tfjs.Tensor; order: number[] } {
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...rest, ...axes];
  return { moved: order.every((axis, i) => axis === i) ? x : tf.transpose(x, order), order };
}

/** Axes counted from the first. */
export const axesOf = (axes: number | readonly number[], rank: number): number[] =>
  [axes].flat().map((axis) => fromFirst(axis, rank));

/** Applies a function of the last axis to some axes, as if they were one. */
function alongLast(
  tf: TF,
  x: tfjs.Tensor,
  axes: number | readonly number[],
  compute: (rows: tfjs.Tensor) => tfjs.Tensor,
): tfjs.Tensor {
  const list = axesOf(axes, x.rank);
  const [only] = list;
  if (list.length === 1 && only === x.rank - 1) return compute(x);
  const { moved, order } = moveLast(tf, x, list);
  const rows = tf.reshape(moved, [...moved.shape.slice(0, x.rank - list.length), -1]);
  const back = order.map((_, axis) => order.indexOf(axis));
  return tf.transpose(tf.reshape(compute(rows), moved.shape), back);
}

/** Softmax over some axes together. */
export const softmaxAlong = (tf: TF, x: tfjs.Tensor, axes: number | readonly number[]): tfjs.Tensor =>
  alongLast(tf, x, axes, (rows) => tf.softmax(rows));

/** Logarithm of the softmax over some axes together. */
export const logSoftmaxAlong = (tf: TF, x: tfjs.Tensor, axes: number | readonly number[]): tfjs.Tensor =>
  alongLast(tf, x, axes, (rows) => tf.logSoftmax(rows));

/** Sums of the first elements along an axis; of any but the last one, tfjs has a wrong gradient. */
export const cumsumAlong = (tf: TF, x: tfjs.Tensor, axis: number): tfjs.Tensor =>
  alongLast(tf, x, axis, (rows) => tf.cumsum(rows, rows.rank - 1));

/** Gated linear unit: the first half along an axis times the sigmoid of the second. */
export function gluAlong(tf: TF, x: tfjs.Tensor, axis: number): tfjs.Tensor {
  const [left, right] = tf.split(x, 2, fromFirst(axis, x.rank));
  return tf.mul(left as tfjs.Tensor, tf.sigmoid(right as tfjs.Tensor));
}

/** Maximum over some axes. Equal elements share its gradient, as in TensorFlow. */
export function maxAlong(tf: TF, x: tfjs.Tensor, axes: readonly number[], keepDims: boolean): tfjs.Tensor {
  const kept = x.shape.map((length, axis) => (axes.includes(axis) ? 1 : length));
  const max = tf.customGrad((input, save) => {
    const values = input as tfjs.Tensor;
    const value = tf.max(values, [...axes], true);
    (save as tfjs.GradSaveFunc)([values, value]);
    return {
      value,
      gradFunc: (dy, [from, largest]) => {
        const isLargest = tf.cast(tf.equal(from as tfjs.Tensor, largest as tfjs.Tensor), 'float32');
        return tf.mul(tf.div(isLargest, tf.sum(isLargest, [...axes], true)), tf.reshape(dy, kept));
      },
    };
  })(x);
  return keepDims
    ? max
    : tf.reshape(
        max,
        x.shape.filter((_, axis) => !axes.includes(axis)),
      );
}

/** Value of a function without a gradient; the gradient is 0. */
export function withoutGradient(
  tf: TF,
  inputs: readonly tfjs.Tensor[],
  compute: (...inputs: tfjs.Tensor[]) => tfjs.Tensor,
): tfjs.Tensor {
  const shapes = inputs.map(({ shape }) => shape);
  return tf.customGrad((...args) => ({
    // The last argument saves tensors for the gradient.
    value: compute(...(args.slice(0, -1) as tfjs.Tensor[])),
    gradFunc: () => shapes.map((shape) => tf.zeros(shape)),
  }))(...inputs);
}

/** Magnitude, with the gradient 0 at 0, where that of tfjs is -1. */
export const magnitude = (tf: TF, x: tfjs.Tensor): tfjs.Tensor => tf.add(tf.relu(x), tf.relu(tf.neg(x)));
