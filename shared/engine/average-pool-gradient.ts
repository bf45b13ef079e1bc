import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from './model.ts';

/** What tfjs passes to the gradients of its average pools. */
interface PoolAttributes {
  readonly filterSize: number | number[];
  readonly strides: number | number[];
  readonly pad: unknown;
  readonly dataFormat?: string;
}

/**
 * tfjs-node's kernel is TensorFlow's, which divides by the cells inside the image; those of all other backends divide by the
 * window.
 */
const BACKEND_DIVIDING_BY_CELLS = 'tensorflow';

/** In how many cells of each window of one axis, with padding 'same', the image lies: TensorFlow's rule. */
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
 * The gradient of average pooling with padding 'same' as TensorFlow and Keras define it: each output is the mean of the cells
 * inside the image. May be called again.
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
        // As many times too small as the window is larger than what lies inside: a product over the axes.
        let share: tfjs.Tensor = tf.scalar(1);
        for (let axis = 0; axis < axes; axis++) {
          const window = each(filterSize, axis);
          const cells = cellsInsideImage(x.shape[axis + 1] ?? 1, window, each(strides, axis));
          const shape = dy.shape.map((_, i) => (i === axis + 1 ? cells.length : 1));
          share = tf.mul(
            share,
            tf.tensor(
              Float32Array.from(cells, (inside) => window / inside),
              shape,
            ),
          );
        }
        return stock.gradFunc(tf.mul(dy, share), saved, attributes);
      },
    });
  }
}
