import { describe, expect, it } from 'vitest';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import { expanded, expandedConfig, input, layer, sequential } from './topologies.ts';

describe('a topology of Keras 3', () => {
  const policy = {
    module: 'keras',
    class_name: 'DTypePolicy',
    config: { name: 'float32' },
    registered_name: null,
  };
  const input3 = { class_name: 'InputLayer', config: { name: 'in', batch_shape: [null, 28, 28, 1] } };
  const tensor = (name: string) => ({
    class_name: '__keras_tensor__',
    config: { keras_history: [name, 0, 0] },
  });

  it('has its shapes, types and calls converted', () => {
    const layers = expanded({
      class_name: 'Functional',
      config: {
        name: 'm',
        layers: [
          { ...input3, name: 'in', inbound_nodes: [] },
          {
            ...layer('Add', { name: 'sum', dtype: policy }),
            name: 'sum',
            inbound_nodes: [{ args: [[tensor('in'), tensor('in')]], kwargs: {} }],
          },
        ],
        input_layers: ['in', 0, 0],
        output_layers: ['sum', 0, 0],
      },
    });
    expect(layers[0]!.config).toMatchObject({ batch_input_shape: [null, 28, 28, 1] });
    expect(layers[1]).toMatchObject({
      config: { dtype: 'float32' },
      inbound_nodes: [
        [
          ['in', 0, 0, {}],
          ['in', 0, 0, {}],
        ],
      ],
    });
  });

  it('has calls of nested models counted from the call of their own input', () => {
    const call = (name: string, node: number) => ({
      args: [{ class_name: '__keras_tensor__', config: { keras_history: [name, node, 0] } }],
      kwargs: {},
    });
    const inner = {
      name: 'body',
      layers: [
        {
          class_name: 'InputLayer',
          config: { name: 'i', batch_shape: [null, 4] },
          name: 'i',
          inbound_nodes: [],
        },
      ],
      input_layers: ['i', 0, 0],
      output_layers: ['i', 0, 0],
    };
    const topology = {
      class_name: 'Functional',
      config: {
        name: 'm',
        layers: [
          {
            class_name: 'InputLayer',
            config: { name: 'in', batch_shape: [null, 4] },
            name: 'in',
            inbound_nodes: [],
          },
          {
            ...layer('Functional', inner),
            name: 'body',
            inbound_nodes: [call('in', 0), call('body', 0)],
          },
          {
            ...layer('Sequential', { name: 'seq', layers: [layer('Dense', { units: 4 })] }),
            name: 'seq',
            inbound_nodes: [call('body', 1)],
          },
        ],
        input_layers: ['in', 0, 0],
        output_layers: ['seq', 0, 0],
      },
    };
    const layers = expanded(topology);
    expect(layers[1]!.inbound_nodes).toEqual([[['in', 0, 0, {}]], [['body', 1, 0, {}]]]);
    expect(layers[2]!.inbound_nodes).toEqual([[['body', 2, 0, {}]]]);
    // In output_layers, Keras 3 counts that call of functional models itself.
    const ending = (name: string, node: number) =>
      expandTopology({ ...topology, config: { ...topology.config, output_layers: [name, node, 0] } }).config;
    expect(ending('seq', 0)).toMatchObject({ output_layers: [['seq', 1, 0]] });
    expect(ending('body', 2)).toMatchObject({ output_layers: [['body', 2, 0]] });
  });

  it('has the mirrored layer of a Bidirectional removed, whatever objects its settings were', () => {
    const cell = (go_backwards: boolean, shared_object_id: number) =>
      layer('LSTM', {
        units: 2,
        go_backwards,
        bias_initializer: { class_name: 'Zeros', config: {}, shared_object_id },
      });
    const settings = { layer: cell(false, 1), backward_layer: cell(true, 2), merge_mode: 'sum' };
    const [, both] = expanded(sequential(input3, layer('Bidirectional', settings)));
    expect(both!.config).not.toHaveProperty('backward_layer');
  });

  it('has the slope of a leaky ReLU renamed to alpha', () => {
    expect(expandedConfig('LeakyReLU', { negative_slope: 0.01 })).toMatchObject({ alpha: 0.01 });
    expect(() => expandedConfig('LeakyReLU', { negative_slope: 0.01, alpha: 0.3 })).toThrow(
      'both alpha and negative_slope',
    );
  });

  it.each([
    ['its input', sequential(input3, layer('Dense', { units: 2, activation: 'hard_sigmoid' }))],
    ['a policy', sequential(input, layer('Dense', { units: 2, activation: 'hardSigmoid', dtype: policy }))],
    [
      'the file',
      {
        ...sequential(input, layer('LSTM', { units: 2, recurrent_activation: 'hard_sigmoid' })),
        keras_version: '3.4.1',
      },
    ],
  ])('is recognized by %s and has its own hard_sigmoid', (_, topology) => {
    const once = expandTopology(topology);
    expect(JSON.stringify(once)).toMatch(/activation":"hard_sigmoid_keras3"/);
    expect(expandTopology(once)).toEqual(once);
  });

  it('is not a file of Keras 2, whose hard_sigmoid is another one', () => {
    const two = {
      ...sequential(input, layer('Dense', { units: 2, activation: 'hard_sigmoid' })),
      keras_version: '2.15.0',
    };
    expect(JSON.stringify(expandTopology(two))).toMatch(/activation":"hard_sigmoid"/);
  });

  it('may have a second layer in a Bidirectional only if it mirrors the first', () => {
    const both = (backward: object) => {
      const forward = { units: 3, go_backwards: false, dtype: policy };
      return {
        name: 'b',
        layer: layer('LSTM', forward),
        backward_layer: layer('LSTM', { ...forward, ...backward, name: 'y' }),
      };
    };
    expect(expandedConfig('Bidirectional', both({ go_backwards: true }))).not.toHaveProperty(
      'backward_layer',
    );
    expect(() => expandedConfig('Bidirectional', both({ go_backwards: false }))).toThrow(
      'the key backward_layer',
    );
    expect(() => expandedConfig('Bidirectional', both({ go_backwards: true, units: 4 }))).toThrow(
      'the key backward_layer',
    );
  });
});
