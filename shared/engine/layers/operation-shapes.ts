import type * as tfjs from '@tensorflow/tfjs';
import { rangeOf, type Index } from '../../model/operations.ts';
import type { TF } from '../../util/tf.ts';
import { axesOf, cumsumAlong } from './axes.ts';
import { axesFor, axisFor, mixes, number, type Compute, type OperationCall } from './operation-call.ts';
import { fromFirst } from './stock.ts';

// Operations that pick and move elements.

/** Part of x between two positions of an axis. */
function between(tf: TF, x: tfjs.Tensor, axis: number, from: number, length: number): tfjs.Tensor {
  const begin = x.shape.map((_, each) => (each === axis ? from : 0));
  return tf.slice(x, begin, x.shape.toSpliced(axis, 1, length));
}

/** Every step-th of `count` positions of an axis. */
function stride(
  tf: TF,
  x: tfjs.Tensor,
  axis: number,
  from: number,
  step: number,
  count: number,
): tfjs.Tensor {
  if (step === 1) return between(tf, x, axis, from, count);
  if (step < 0) {
    const last = (x.shape[axis] ?? 0) - 1;
    return stride(tf, tf.reverse(x, axis), axis, last - from, -step, count);
  }
  // Of each group of `step` positions the first one; the last group may be shorter.
  const end = (count - 1) * step + 1;
  const padding = x.shape.map((_, each): [number, number] => [0, each === axis ? count * step - end : 0]);
  const groups = tf.pad(between(tf, x, axis, from, end), padding);
  const before = x.shape.slice(0, axis);
  const after = x.shape.slice(axis + 1);
  const size = (sides: number[]): number => sides.reduce((total, side) => total * side, 1);
  const split = tf.reshape(groups, [size(before), count, step, size(after)]);
  return tf.reshape(between(tf, split, 2, 0, 1), [...before, count, ...after]);
}

function getItem({ tf, settings }: OperationCall, x: tfjs.Tensor): tfjs.Tensor {
  const key = settings.key as Index[];
  const used = key.filter((index) => index !== 'ellipsis' && index !== 'newaxis').length;
  const whole: Index = { start: null, stop: null, step: null };
  const rest = Array.from({ length: x.rank - used }, () => whole);
  const at = key.indexOf('ellipsis');
  const indices = at < 0 ? [...key, ...rest] : [...key.slice(0, at), ...rest, ...key.slice(at + 1)];
  const [samples] = indices;
  const isWhole =
    typeof samples === 'object' &&
    (samples.start ?? 0) === 0 &&
    samples.stop === null &&
    (samples.step ?? 1) === 1;
  if (!isWhole || used > x.rank) throw mixes();
  let result = x;
  let axis = 0;
  const shape: number[] = [];
  for (const index of indices) {
    if (index === 'newaxis') {
      shape.push(1);
      continue;
    }
    const length = x.shape[axis] ?? 0;
    if (typeof index === 'number') {
      if (index < -length || index >= length) throw new Error(`its input has only ${length} positions`);
      result = between(tf, result, axis, fromFirst(index, length), 1);
    } else if (typeof index === 'object') {
      const [from, step, count] = rangeOf(index, length);
      if (count === 0) throw new Error('its result is empty');
      if (axis > 0 && (from !== 0 || step !== 1 || count !== length))
        result = stride(tf, result, axis, from, step, count);
      shape.push(count);
    }
    axis++;
  }
  return tf.reshape(result, shape);
}

function take(call: OperationCall, x: tfjs.Tensor): tfjs.Tensor {
  const { tf, settings } = call;
  const axis = axisFor(call, 'axis', x.rank);
  const length = x.shape[axis] ?? 0;
  const isOne = typeof settings.indices === 'number';
  const indices = axesOf(settings.indices as number | number[], length);
  if (indices.some((index) => index < 0 || index >= length))
    throw new Error(`its input has only ${length} positions`);
  const parts = indices.map((index) => between(tf, x, axis, index, 1));
  const taken = tf.concat(parts, axis);
  return isOne ? tf.reshape(taken, x.shape.toSpliced(axis, 1)) : taken;
}

function reshape({ tf, settings }: OperationCall, x: tfjs.Tensor): tfjs.Tensor {
  const [first, ...rest] = settings.newshape as (number | null)[];
  const [samples = 1] = x.shape;
  const size = x.size / samples;
  const known = rest.reduce<number>((total, side) => total * (side === null || side < 0 ? 1 : side), 1);
  const open = rest.filter((side) => side === null || side < 0).length;
  // The samples' axis may be the open one only if it keeps its length.
  if ((first !== null && first !== -1) || (open === 0 && known !== size) || open > 1) throw mixes();
  return tf.reshape(x, [samples, ...rest.map((side) => (side === null || side < 0 ? size / known : side))]);
}

function moveAxes({ tf, settings }: OperationCall, x: tfjs.Tensor): tfjs.Tensor {
  const from = axesOf(settings.source as number | number[], x.rank);
  const to = axesOf(settings.destination as number | number[], x.rank);
  const order: number[] = [];
  to.forEach((axis, i) => (order[axis] = from[i] as number));
  const rest = x.shape.map((_, axis) => axis).filter((axis) => !from.includes(axis));
  for (let axis = 0; axis < x.rank; axis++) order[axis] ??= rest.shift() as number;
  if (order[0] !== 0) throw mixes();
  return tf.transpose(x, order);
}

function split(call: OperationCall, x: tfjs.Tensor): tfjs.Tensor[] {
  const { tf, settings } = call;
  const axis = axisFor(call, 'axis', x.rank);
  const length = x.shape[axis] ?? 0;
  const sections = settings.indicesOrSections as number | number[];
  const ends = Array.isArray(sections)
    ? sections.map((end) => (end < 0 ? end + length : end))
    : Array.from({ length: sections - 1 }, (_, i) => ((i + 1) * length) / sections);
  const all = [0, ...ends, length];
  return all.slice(1).map((end, i) => {
    const start = all[i] as number;
    if (!Number.isInteger(end) || end <= start) throw new Error('its input cannot be split like that');
    return between(tf, x, axis, start, end - start);
  });
}

function repeat(tf: TF, x: tfjs.Tensor, axis: number, times: number): tfjs.Tensor {
  const parts = new Array<tfjs.Tensor>(times).fill(tf.reshape(x, x.shape.toSpliced(axis + 1, 0, 1)));
  const repeated = times === 1 ? (parts[0] as tfjs.Tensor) : tf.concat(parts, axis + 1);
  return tf.reshape(repeated, x.shape.with(axis, (x.shape[axis] ?? 1) * times));
}

/** Operations that pick and move elements, by the names of Keras. */
export const SHAPE_OPERATIONS: Readonly<Record<string, Compute>> = {
  Reshape: reshape,
  Transpose: ({ tf, settings }, x) => {
    const axes = axesOf(settings.axes as number[], x.rank);
    if (axes[0] !== 0) throw mixes();
    return tf.transpose(x, axes);
  },
  Swapaxes: (call, x) => {
    const [first, second] = [axisFor(call, 'axis1', x.rank), axisFor(call, 'axis2', x.rank)];
    const order = x.shape.map((_, axis) => (axis === first ? second : axis === second ? first : axis));
    return call.tf.transpose(x, order);
  },
  Moveaxis: moveAxes,
  ExpandDims: (call, x) => {
    const { axis } = call.settings;
    const rank = x.rank + [axis].flat().length;
    const shape = [...x.shape];
    for (const each of axesFor(call, 'axis', rank).toSorted((a, b) => a - b)) shape.splice(each, 0, 1);
    return call.tf.reshape(x, shape);
  },
  Squeeze: (call, x) => {
    const axes =
      (call.settings.axis ?? null) === null
        ? x.shape.flatMap((length, axis) => (axis > 0 && length === 1 ? [axis] : []))
        : axesFor(call, 'axis', x.rank);
    return call.tf.reshape(
      x,
      x.shape.filter((_, axis) => !axes.includes(axis)),
    );
  },
  Concatenate: (call, ...parts) =>
    call.tf.concat(parts, axisFor(call, 'axis', (parts[0] as tfjs.Tensor).rank)),
  Stack: (call, ...parts) => {
    const axis = axisFor(call, 'axis', (parts[0] as tfjs.Tensor).rank + 1);
    return call.tf.concat(
      parts.map((part) => call.tf.reshape(part, part.shape.toSpliced(axis, 0, 1))),
      axis,
    );
  },
  Split: split,
  Unstack: (call, x) => {
    const axis = axisFor(call, 'axis', x.rank);
    const shape = x.shape.toSpliced(axis, 1);
    return Array.from({ length: x.shape[axis] ?? 0 }, (_, i) =>
      call.tf.reshape(between(call.tf, x, axis, i, 1), shape),
    );
  },
  GetItem: getItem,
  Take: take,
  Flip: (call, x) => call.tf.reverse(x, axesFor(call, 'axis', x.rank)),
  Roll: (call, x) => {
    const axis = axisFor(call, 'axis', x.rank);
    const length = x.shape[axis] ?? 1;
    const shift = ((number(call, 'shift', 0) % length) + length) % length;
    if (shift === 0) return call.tf.clone(x);
    const parts = [
      between(call.tf, x, axis, length - shift, shift),
      between(call.tf, x, axis, 0, length - shift),
    ];
    return call.tf.concat(parts, axis);
  },
  Cumsum: (call, x) => cumsumAlong(call.tf, x, axisFor(call, 'axis', x.rank)),
  Repeat: (call, x) => repeat(call.tf, x, axisFor(call, 'axis', x.rank), number(call, 'repeats', 1)),
  Tile: ({ tf, settings }, x) => {
    const repeats = settings.repeats as number[];
    const all = [...new Array<number>(Math.max(0, x.rank - repeats.length)).fill(1), ...repeats];
    if (all.length > x.rank || all[0] !== 1) throw mixes();
    return all.reduce<tfjs.Tensor>(
      (tiled, times, axis) =>
        times === 1 ? tiled : tf.concat(new Array<tfjs.Tensor>(times).fill(tiled), axis),
      tf.clone(x),
    );
  },
  Pad: (call, x) => {
    const widths = call.settings.padWidth as [number, number][];
    const [before, after] = widths[0] ?? [0, 0];
    if (before !== 0 || after !== 0 || widths.length !== x.rank) throw mixes();
    return call.tf.pad(x, widths, number(call, 'constantValues', 0));
  },
};
