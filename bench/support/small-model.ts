import type { Topology } from '../../shared/model/job.ts';

/** One dense layer of 7,850 values, of images of 28 x 28. */
export const smallModel: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'small',
    layers: [
      {
        class_name: 'Flatten',
        config: { name: 'flatten', batch_input_shape: [null, 28, 28, 1], dtype: 'float32' },
      },
      { class_name: 'Dense', config: { name: 'dense', units: 10, activation: 'softmax', use_bias: true } },
    ],
  },
};
