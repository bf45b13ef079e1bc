import * as tf from '@tensorflow/tfjs';
import { buildModel } from '../../../shared/engine/model.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';

/** Results of a model for one sample. */
export interface Computed {
  readonly shape: number[];
  readonly output: number[];
  /** Gradients of the sum of the outputs times 1, 2, 3, ...: by the input, then by each weight. */
  readonly gradients: number[][];
}

/**
 * Computes layers one after the other on the backend in use.
 * @param sample shape of the sample
 * @param values of the sample
 * @param weightAt value of a weight's element with that number
 */
export async function computeLayers(
  layers: readonly { readonly class_name: string; readonly config: object }[],
  sample: readonly number[],
  values: readonly number[],
  weightAt: (number: number) => number = () => 0,
): Promise<Computed> {
  const input = { class_name: 'InputLayer', config: { name: 'in', batch_input_shape: [null, ...sample] } };
  const built = await buildModel(
    tf,
    expandTopology({ class_name: 'Sequential', config: { name: 'model', layers: [input, ...layers] } }),
  );
  const sizes = built.layout.slices.map(({ size }) => size);
  built.setWeights(
    Float32Array.from(sizes.flatMap((size) => Array.from({ length: size }, (_, i) => weightAt(i)))),
  );
  try {
    return tf.tidy(() => {
      const x = tf.tensor([...values], [1, ...sample]);
      const apply = (each: tf.Tensor) => built.model.apply(each, { training: true }) as tf.Tensor;
      const weighted = (each: tf.Tensor): tf.Scalar => {
        const y = apply(each);
        return tf.sum(tf.mul(y, tf.reshape(tf.range(1, 1 + y.size), y.shape)));
      };
      const y = apply(x);
      const byWeight =
        built.variables.length === 0 ? {} : tf.variableGrads(() => weighted(x), [...built.variables]).grads;
      const gradients = [tf.grad(weighted)(x), ...built.variables.map(({ name }) => byWeight[name]!)];
      return {
        shape: y.shape,
        output: [...y.dataSync()],
        gradients: gradients.map((gradient) => [...gradient.dataSync()]),
      };
    });
  } finally {
    built.dispose();
  }
}
