import { describe, expect, it } from 'vitest';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import { expanded } from './topologies.ts';

/** Tensor as Keras 3 writes it. */
const tensor = (name: string, shape: (number | null)[] = [null, 5, 4]) => ({
  class_name: '__keras_tensor__',
  config: { shape, dtype: 'float32', keras_history: [name, 0, 0] },
});

/** Layer that is called once. */
const called = (class_name: string, name: string, config: object, args: unknown[], kwargs: object = {}) => ({
  module: 'keras.layers',
  class_name,
  name,
  config: { name, ...config },
  inbound_nodes: [{ args, kwargs }],
});

/** Operation on tensors, such as x + y. */
const operation = (class_name: string, name: string, args: unknown[], config: object = {}) => ({
  ...called(class_name, name, config, args),
  module: 'keras.src.ops.numpy',
});

const model = (...layers: { name: string }[]) => ({
  class_name: 'Functional',
  config: {
    name: 'm',
    layers: [
      {
        class_name: 'InputLayer',
        name: 'in',
        config: { name: 'in', batch_shape: [null, 5] },
        inbound_nodes: [],
      },
      ...layers,
    ],
    input_layers: [['in', 0, 0]],
    output_layers: [[layers.at(-1)!.name, 0, 0]],
  },
});

const embedding = called('Embedding', 'words', { input_dim: 9, output_dim: 4, mask_zero: true }, [
  tensor('in'),
]);
const plainEmbedding = called('Embedding', 'places', { input_dim: 9, output_dim: 4 }, [tensor('in')]);
const mask = operation('NotEqual', 'mask', [tensor('in'), 0]);
const lstm = (from: string, kwargs: object) => called('LSTM', 'out', { units: 3 }, [tensor(from)], kwargs);

const classes = (...layers: { name: string }[]) =>
  expanded(model(...layers)).map(({ class_name: name }) => name);

describe('masks that Keras 3 writes', () => {
  it('are dropped if they follow from the layers', () => {
    expect(classes(embedding, mask, lstm('words', { mask: tensor('mask') }))).toEqual([
      'InputLayer',
      'Embedding',
      'LSTM',
    ]);
    const sum = called('Add', 'sum', {}, [[tensor('words'), tensor('words')]]);
    const either = operation('LogicalOr', 'either', [tensor('mask'), tensor('mask')]);
    expect(classes(embedding, mask, sum, either, lstm('sum', { mask: tensor('either') }))).toHaveLength(4);
    const masking = called('Masking', 'words', { mask_value: 0 }, [tensor('places')]);
    const differs = operation('NotEqual', 'differs', [tensor('places'), 0]);
    const any = operation('Any', 'any', [tensor('differs')], { axis: -1, keepdims: false });
    expect(
      classes(plainEmbedding, masking, differs, any, lstm('words', { mask: tensor('any') })),
    ).toHaveLength(4);
    // Keras writes null for mask=None, but finds the mask itself.
    expect(classes(embedding, lstm('words', { mask: null }))).toHaveLength(3);
  });

  it('are rejected if a call has another one', () => {
    const other = operation('NotEqual', 'mask', [tensor('in'), 3]);
    for (const layers of [
      [plainEmbedding, mask, lstm('places', { mask: tensor('mask') })],
      [embedding, other, lstm('words', { mask: tensor('mask') })],
    ]) {
      expect(() => expandTopology(model(...layers))).toThrow(
        'Layer out (LSTM) is called with another mask than that of its input',
      );
    }
    const attention = called(
      'MultiHeadAttention',
      'out',
      { num_heads: 1, key_dim: 2 },
      [tensor('places'), tensor('places')],
      { value_mask: tensor('mask') },
    );
    expect(() => expandTopology(model(plainEmbedding, mask, attention))).toThrow('another mask');
  });

  it('are dropped by operations, and rejected where an initial state drops them', () => {
    const sum = operation('Add', 'sum', [tensor('words'), tensor('words')]);
    expect(classes(embedding, sum, lstm('sum', { mask: null }))).toEqual([
      'InputLayer',
      'Embedding',
      'Operation',
      'LSTM',
    ]);
    expect(() => expandTopology(model(embedding, sum, mask, lstm('sum', { mask: tensor('mask') })))).toThrow(
      'Layer out (LSTM) is called with another mask',
    );
    const state = { initial_state: [tensor('in'), tensor('in')] };
    expect(() => expandTopology(model(embedding, lstm('words', state)))).toThrow(
      'Layer out (LSTM) is called with an initial state, with which Keras ignores the mask',
    );
    expect(classes(plainEmbedding, lstm('places', state))).toHaveLength(3);
  });
});

it('the argument training of Keras 3, which a model overrides, is dropped', () => {
  for (const training of [true, false]) {
    const dropout = called('Dropout', 'out', { rate: 0.5 }, [tensor('in', [null, 5])], { training });
    expect(expanded(model(dropout))[1]!.inbound_nodes).toEqual([[['in', 0, 0, {}]]]);
  }
});
