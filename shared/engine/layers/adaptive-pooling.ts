import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../../util/tf.ts';
import { maxAlong } from './axes.ts';
import {
  ownLayer,
  singleInput,
  singleShape,
  type Inputs,
  type LayerClass,
  type LayerFactory,
  type OwnLayer,
} from './stock.ts';

/** Window of each output of an axis: the first position, and the one behind the last. */
const windowsOf = (length: number, outputs: number): [number, number][] =>
  Array.from({ length: outputs }, (_, i) => [
    Math.floor((i * length) / outputs),
    Math.ceil(((i + 1) * length) / outputs),
  ]);

/** Means of the windows of an axis. @param x [before, length, behind] */
function averages(tf: TF, x: tfjs.Tensor3D, windows: readonly [number, number][]): tfjs.Tensor {
  const [, length] = x.shape;
  const weights = new Float32Array(windows.length * length);
  windows.forEach(([from, to], i) => weights.fill(1 / (to - from), i * length + from, i * length + to));
  const matrix = tf.tensor2d(weights, [windows.length, length]);
  const columns = tf.reshape<tfjs.Rank.R2>(tf.transpose(x, [0, 2, 1]), [-1, length]);
  const [before, , behind] = x.shape;
  const pooled = tf.reshape(tf.matMul(columns, matrix, false, true), [before, behind, windows.length]);
  return tf.transpose(pooled, [0, 2, 1]);
}

/** Maxima of the windows of an axis. @param x [before, length, behind] */
function maxima(tf: TF, x: tfjs.Tensor3D, windows: readonly [number, number][]): tfjs.Tensor {
  const [before, , behind] = x.shape;
  const parts = windows.map(([from, to]) =>
    maxAlong(tf, tf.slice(x, [0, from, 0], [before, to - from, behind]), [1], true),
  );
  return tf.concat(parts, 1);
}

/** Pool to a size, whatever that of its input, as in PyTorch. A window may overlap the next one. */
function adaptivePoolingLayer(tf: TF, kind: 'Average' | 'Max', axes: 1 | 2 | 3): LayerClass {
  const firstAxis = ({ settings }: OwnLayer): number => (settings.dataFormat === 'channelsFirst' ? 2 : 1);
  const sizesOf = ({ settings }: OwnLayer): number[] => {
    const sizes = [settings.outputSize].flat() as number[];
    return Array.from({ length: axes }, (_, i) => sizes[i] ?? sizes[0] ?? 1);
  };
  return class extends ownLayer(tf) {
    static readonly className = `Adaptive${kind}Pooling${axes}D`;

    override computeOutputShape(inputShape: tfjs.Shape | tfjs.Shape[]): tfjs.Shape {
      const shape = [...singleShape(inputShape)];
      sizesOf(this).forEach((size, i) => (shape[firstAxis(this) + i] = size));
      return shape;
    }

    override call(inputs: Inputs): tfjs.Tensor {
      return tf.tidy(() =>
        sizesOf(this).reduce<tfjs.Tensor>((x, size, i) => {
          const axis = firstAxis(this) + i;
          const length = x.shape[axis] ?? 1;
          const behind = x.shape.slice(axis + 1).reduce((product, side) => product * side, 1);
          const rows = tf.reshape<tfjs.Rank.R3>(x, [-1, length, behind]);
          const windows = windowsOf(length, size);
          const pooled = kind === 'Max' ? maxima(tf, rows, windows) : averages(tf, rows, windows);
          return tf.reshape(pooled, x.shape.with(axis, size));
        }, singleInput(inputs)),
      );
    }
  };
}

export const adaptivePoolingLayers: readonly LayerFactory[] = (['Average', 'Max'] as const).flatMap((kind) =>
  ([1, 2, 3] as const).map(
    (axes): LayerFactory =>
      (tf) =>
        adaptivePoolingLayer(tf, kind, axes),
  ),
);
