import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from '../util/tf.ts';

/** Attributes of tfjs' gradients of average pools. */
interface PoolAttributes {
  readonly filterSize: number | number[];
  readonly strides: number | number[];
  readonly pad: unknown;
  readonly dataFormat?: string;
}

/**
 * Backend whose average pool divides by the cells inside the image, like TensorFlow. All other backends divide by the size of
 * the window.
 */
const BACKEND_DIVIDING_BY_CELLS = 'tensorflow';

/** Number of cells inside the image for each window of one axis with padding 'same', as TensorFlow counts them. */
export function cellsInsideImage(length: number, window: number, stride: number): number[] {
  const outputs = Math.ceil(length / stride);
  const before = Math.floor(Math.max(0, (outputs - 1) * stride + window - length) / 2);
  return Array.from({ length: outputs }, (_, i) => {
    const start = i * stride - before;
    return Math.min(length, start + window) - Math.max(0, start);
  });
}

const registeredAveragePool = new WeakSet<object>();

/**
 * Registers the gradient of average pooling with padding 'same' as TensorFlow and Keras define it: each output is the mean of
 * the cells inside the image. May be called again.
 */
export function registerAveragePoolGradients(tf: TF): void {
  if (registeredAveragePool.has(tf.engine())) return;
  registeredAveragePool.add(tf.engine());
  for (const [kernelName, axes] of [
    ['AvgPool', 2],
    ['AvgPool3D', 3],
  ] as const) {
    const stock = tf.getGradient(kernelName);
    tf.unregisterGradient(kernelName);
    tf.registerGradient({
      ...stock,
      gradFunc: (dy, saved, attributes) => {
        const { pad, filterSize, strides } = attributes as unknown as PoolAttributes;
        const [x] = saved;
        const skip = pad !== 'same' || Array.isArray(dy) || x === undefined;
        if (skip || tf.engine().backendName === BACKEND_DIVIDING_BY_CELLS)
          return stock.gradFunc(dy, saved, attributes);
        const each = (value: number | number[], axis: number): number =>
          typeof value === 'number' ? value : (value[axis] ?? 1);
        // The stock gradient is too small by the ratio of the window to its cells inside the image, a product over the axes.
        let correction: tfjs.Tensor = tf.scalar(1);
        for (let axis = 0; axis < axes; axis++) {
          const window = each(filterSize, axis);
          const cells = cellsInsideImage(x.shape[axis + 1] ?? 1, window, each(strides, axis));
          const shape = dy.shape.map((_, i) => (i === axis + 1 ? cells.length : 1));
          correction = tf.mul(
            correction,
            tf.tensor(
              Float32Array.from(cells, (inside) => window / inside),
              shape,
            ),
          );
        }
        return stock.gradFunc(tf.mul(dy, correction), saved, attributes);
      },
    });
  }
}

/** Axes of the largest or smallest value, in tfjs' attributes of Max and of Min. */
interface ExtremumAttributes {
  readonly reductionIndices?: number | readonly number[];
  readonly axis?: number | readonly number[];
}

const registeredExtremum = new WeakSet<object>();

/**
 * Registers the gradient of the largest or smallest value along axes as TensorFlow and Keras define it: equal values share it.
 * tfjs gives each of them the whole gradient, and in a blank part of an image all are equal. May be called again.
 */
export function registerExtremumGradients(tf: TF): void {
  if (registeredExtremum.has(tf.engine())) return;
  registeredExtremum.add(tf.engine());
  for (const kernelName of ['Max', 'Min']) {
    const stock = tf.getGradient(kernelName);
    tf.unregisterGradient(kernelName);
    tf.registerGradient({
      ...stock,
      gradFunc: (dy, saved, attributes) => {
        const [x, y] = saved as [tfjs.Tensor, tfjs.Tensor];
        const { reductionIndices, axis = reductionIndices } = attributes as ExtremumAttributes;
        const axes = tf.util.parseAxisParam([axis ?? x.shape.map((_, i) => i)].flat(), x.shape);
        const kept = x.shape.map((size, i) => (axes.includes(i) ? 1 : size));
        return {
          x: () => {
            const isExtreme = tf.cast(tf.equal(x, tf.reshape(y, kept)), 'float32');
            const share = tf.div(tf.reshape(dy as tfjs.Tensor, kept), tf.sum(isExtreme, axes, true));
            return tf.mul(isExtreme, share);
          },
        };
      },
    });
  }
}

/** Attributes of tfjs' gradient of Slice. */
interface SliceAttributes {
  readonly begin: number | number[];
  readonly size: number | number[];
}

/** Most axes of a tensor that tfjs' backends on GPUs can pad. */
const MAX_PADDED_AXES = 4;
const registeredSlice = new WeakSet<object>();

/**
 * Registers a gradient of slices of five axes and more that pads one axis after the other. That of tfjs pads all at once, for
 * which its backends on GPUs have no shader. May be called again.
 */
export function registerSliceGradient(tf: TF): void {
  if (registeredSlice.has(tf.engine())) return;
  registeredSlice.add(tf.engine());
  const stock = tf.getGradient('Slice');
  tf.unregisterGradient('Slice');
  tf.registerGradient({
    ...stock,
    gradFunc: (dy, saved, attributes) => {
      const [x] = saved as [tfjs.Tensor];
      if (x.rank <= MAX_PADDED_AXES) return stock.gradFunc(dy, saved, attributes);
      const { begin, size } = attributes as unknown as SliceAttributes;
      const [begins, sizes] = tf.slice_util.parseSliceParams(x, begin, size) as [number[], number[]];
      return {
        x: () => {
          let gradient = dy as tfjs.Tensor;
          const shape = [...sizes];
          x.shape.forEach((length, axis) => {
            const [from = 0, count = 0] = [begins[axis], sizes[axis]];
            if (count === length) return;
            const before = shape.slice(0, axis).reduce((a, b) => a * b, 1);
            gradient = tf.pad(tf.reshape(gradient, [before, count, -1]), [
              [0, 0],
              [from, length - from - count],
              [0, 0],
            ]);
            shape[axis] = length;
          });
          return tf.reshape(gradient, x.shape);
        },
      };
    },
  });
}

/** Attributes of tfjs' gradient of Conv2D. */
interface ConvAttributes {
  readonly dilations: number | readonly number[] | null;
}

const registeredDilated = new WeakSet<object>();

/**
 * Registers the gradient of dilated convolutions, which tfjs lacks. It is the gradient of a convolution by the filter with zeros
 * between its taps, restricted to the filter's own taps. May be called again.
 */
export function registerDilatedGradient(tf: TF): void {
  if (registeredDilated.has(tf.engine())) return;
  registeredDilated.add(tf.engine());
  const stock = tf.getGradient('Conv2D');
  tf.unregisterGradient('Conv2D');
  tf.registerGradient({
    ...stock,
    gradFunc: (dy, saved, attributes) => {
      const { dilations } = attributes as unknown as ConvAttributes;
      const [high = 1, wide = high] = typeof dilations === 'number' ? [dilations] : (dilations ?? [1]);
      if (high === 1 && wide === 1) return stock.gradFunc(dy, saved, attributes);
      const [x, filter] = saved as [tfjs.Tensor4D, tfjs.Tensor4D];
      const plain = stock.gradFunc(dy, [x, dilateFilter(tf, filter, high, wide)], {
        ...attributes,
        dilations: [1, 1],
      });
      return {
        x: () => (plain.x as () => tfjs.Tensor)(),
        filter: () => {
          const taps = (plain.filter as () => tfjs.Tensor4D)();
          return tf.stridedSlice(taps, [0, 0, 0, 0], taps.shape, [high, wide, 1, 1]);
        },
      };
    },
  });
}

/** Inserts zeros between taps: [height, width, ...] becomes [(height - 1) high + 1, (width - 1) wide + 1, ...]. */
function dilateFilter(tf: TF, filter: tfjs.Tensor4D, high: number, wide: number): tfjs.Tensor4D {
  const [height, width, channels, filters] = filter.shape;
  const depth = channels * filters;
  const rows = tf.pad(tf.reshape(filter, [height, 1, width * depth]), [
    [0, 0],
    [0, high - 1],
    [0, 0],
  ]);
  const columns = tf.pad(tf.reshape(rows, [height * high * width, 1, depth]), [
    [0, 0],
    [0, wide - 1],
    [0, 0],
  ]);
  const whole = tf.reshape(columns, [height * high, width * wide, channels, filters]);
  const size: [number, number] = [(height - 1) * high + 1, (width - 1) * wide + 1];
  return tf.slice(whole as tfjs.Tensor4D, [0, 0, 0, 0], [...size, channels, filters]);
}
