/** A layer as Keras writes it. */
export const layer = (class_name: string, config: object) => ({ class_name, config });

/** Input layer for the pixels of an image as one row. */
export const input = layer('InputLayer', { name: 'in', batch_input_shape: [null, 784] });

/** Text of a model file: these layers and a softmax over ten classes. */
export const modelFile = (...layers: object[]): string =>
  JSON.stringify({
    class_name: 'Sequential',
    config: {
      name: 'm',
      layers: [...layers, layer('Dense', { name: 'out', units: 10, activation: 'softmax' })],
    },
  });
