import type { Topology } from '../../shared/model/job.ts';

/** Dense layer as Keras writes it. */
export const dense = (name: string, units: number, activation: string, config: object = {}) => ({
  class_name: 'Dense',
  config: { name, units, activation, use_bias: true, ...config },
});

function input(name: string, size: number) {
  const config = { name, batch_input_shape: [null, size], dtype: 'float32', sparse: false };
  return { class_name: 'InputLayer', name, config, inbound_nodes: [] };
}

interface FunctionalLayer {
  readonly class_name: string;
  readonly config: { readonly name: string; readonly axis?: number };
}

function functional(layer: FunctionalLayer, ...from: string[]) {
  return { ...layer, name: layer.config.name, inbound_nodes: [from.map((name) => [name, 0, 0, {}])] };
}

/** Functional model of test/reference/keras_losses.py with two inputs, and a softmax and a linear output. */
export const twoInputsTwoOutputs: Topology = {
  class_name: 'Model',
  config: {
    name: 'm',
    layers: [
      input('x0', 6),
      input('x1', 4),
      functional(dense('left', 6, 'tanh'), 'x0'),
      functional(dense('right', 5, 'relu'), 'x1'),
      functional({ class_name: 'Concatenate', config: { name: 'joined', axis: -1 } }, 'left', 'right'),
      functional(dense('a', 3, 'softmax'), 'joined'),
      functional(dense('b', 2, 'linear'), 'joined'),
    ],
    input_layers: [
      ['x0', 0, 0],
      ['x1', 0, 0],
    ],
    output_layers: [
      ['a', 0, 0],
      ['b', 0, 0],
    ],
  },
};
