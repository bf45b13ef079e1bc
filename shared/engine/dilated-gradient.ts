import type * as tfjs from '@tensorflow/tfjs';
import type { TF } from './model.ts';

/** What tfjs passes to the gradient of Conv2D. */
interface ConvAttributes {
  readonly dilations: number | readonly number[] | null;
}

const registeredDilated = new WeakSet<object>();

/**
 * The gradient of dilated convolutions, which tfjs lacks: that of a convolution by the filter with zeros between its taps, of which
 * every so many taps are the filter's. May be called again.
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

/** @param filter [height, width, channels, filters] to [(height - 1) high + 1, (width - 1) wide + 1, channels, filters] */
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
