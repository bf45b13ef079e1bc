import type { Topology } from './job.ts';

const glorotUniform = {
  class_name: 'VarianceScaling',
  config: { scale: 1, mode: 'fan_avg', distribution: 'uniform', seed: null },
};
const zeros = { class_name: 'Zeros', config: {} };
const weighted = {
  use_bias: true,
  kernel_initializer: glorotUniform,
  bias_initializer: zeros,
  trainable: true,
};

const conv = (name: string, filters: number) => ({
  class_name: 'Conv2D',
  config: {
    name,
    filters,
    kernel_size: [3, 3],
    strides: [1, 1],
    padding: 'valid',
    data_format: 'channels_last',
    dilation_rate: [1, 1],
    activation: 'relu',
    ...weighted,
  },
});
const dense = (name: string, units: number, activation: string) => ({
  class_name: 'Dense',
  config: { name, units, activation, ...weighted },
});
const dropout = (name: string, rate: number) => ({
  class_name: 'Dropout',
  config: { name, rate, noise_shape: null, seed: null, trainable: true },
});

/**
 * Topology of the CNN in Keras' examples/mnist_cnn.py (Keras 1 and 2) for images of any size and any number of classes; it has
 * 600,810 parameters for [28, 28, 1] and 10 classes.
 */
export function defaultTopology(sampleShape: readonly number[], classes: number): Topology {
  const first = conv('conv2d_1', 32);
  const rest = [
    conv('conv2d_2', 32),
    {
      class_name: 'MaxPooling2D',
      config: {
        name: 'max_pooling2d_1',
        pool_size: [2, 2],
        strides: [2, 2],
        padding: 'valid',
        data_format: 'channels_last',
        trainable: true,
      },
    },
    dropout('dropout_1', 0.25),
    { class_name: 'Flatten', config: { name: 'flatten_1', trainable: true } },
    dense('dense_1', 128, 'relu'),
    dropout('dropout_2', 0.5),
    dense('dense_2', classes, 'softmax'),
  ];
  const input = { batch_input_shape: [null, ...sampleShape], dtype: 'float32' };
  return {
    class_name: 'Sequential',
    config: { name: 'mnist_cnn', layers: [{ ...first, config: { ...first.config, ...input } }, ...rest] },
  };
}
