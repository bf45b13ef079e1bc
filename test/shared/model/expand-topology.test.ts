import { describe, expect, it } from 'vitest';
import { defaultTopology } from '../../../shared/model/default-topology.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import { expandedConfig, input, layer, plain, sequential } from './topologies.ts';

describe('expandTopology accepts settings without effect', () => {
  it.each<[string, object]>([
    ['Conv2D', { groups: 1, dilation_rate: [1, 1], padding: 'same', data_format: 'channelsFirst' }],
    [
      'Dense',
      { kernel_regularizer: plain('L1L2', { l1: 0, l2: 0 }), bias_constraint: null, activation: null },
    ],
    ['Dense', { an_unknown_key: null }],
    ['BatchNormalization', { renorm: false, virtual_batch_size: null, fused: true, axis: [3] }],
    ['LSTM', { unroll: true, implementation: 1, dropout: 0, recurrent_dropout: 0, time_major: false }],
    ['Dropout', { rate: 0.5, seed: 3, noise_shape: null }],
  ])('%s %j', (className, config) => {
    expect(() => expandTopology(sequential(input, layer(className, config)))).not.toThrow();
  });

  it('and leaves the expanded default model unchanged', () => {
    const topology = defaultTopology([28, 28, 1], 10);
    expect(JSON.stringify(expandTopology(topology))).toBe(
      JSON.stringify(expandTopology(expandTopology(topology))),
    );
  });
});

describe('an expanded topology', () => {
  it('expands to itself', () => {
    const topology = sequential(
      input,
      layer('SpatialDropout2D', { name: 'a', rate: 0.5 }),
      layer('Conv2D', { name: 'b', kernelInitializer: 'heNormal', filters: 3 }),
      layer('LeakyReLU', { name: 'c', negative_slope: 0.1 }),
      layer('Bidirectional', {
        name: 'd',
        layer: layer('GRU', { units: 3, kernel_initializer: plain('HeNormal') }),
      }),
    );
    const once = expandTopology(topology);
    expect(expandTopology(once)).toEqual(once);
  });

  it('has keys in snake_case, each once', () => {
    expect(expandedConfig('Dense', { useBias: false, batchInputShape: [8, 3] })).toMatchObject({
      use_bias: false,
      batch_input_shape: [null, 3],
    });
    expect(() => expandedConfig('Dense', { useBias: false, use_bias: true })).toThrow(
      'the key use_bias twice',
    );
  });

  it('has no null that tfjs-layers would misinterpret', () => {
    expect(expandedConfig('Cropping2D', { cropping: [1, 1], data_format: null })).not.toHaveProperty(
      'data_format',
    );
    expect(expandedConfig('LSTM', { units: 2, activation: null, unit_forget_bias: null })).toMatchObject({
      activation: 'linear',
      unit_forget_bias: false,
    });
    expect(expandedConfig('Reshape', { target_shape: [null, 4] })).toMatchObject({ target_shape: [null, 4] });
  });

  it('has the defaults of Keras where tfjs-layers has others', () => {
    expect(expandedConfig('Softmax')).toMatchObject({ axis: -1 });
    expect(expandedConfig('LSTM', { units: 2 })).toMatchObject({ recurrent_activation: 'sigmoid' });
    expect(expandedConfig('Dense', { units: 2 })).toMatchObject({
      kernel_initializer: {
        class_name: 'VarianceScaling',
        config: { mode: 'fan_avg', distribution: 'uniform' },
      },
      bias_initializer: { class_name: 'Zeros' },
    });
  });

  it.each<[unknown, object | string]>([
    ['heNormal', { scale: 2, mode: 'fan_in', distribution: 'truncated_normal', seed: null }],
    [
      plain('LecunNormal', { seed: 3 }),
      { scale: 1, mode: 'fan_in', distribution: 'truncated_normal', seed: 3 },
    ],
    [plain('LeCunUniform'), { scale: 1, mode: 'fan_in', distribution: 'uniform', seed: null }],
    [
      plain('VarianceScaling', { distribution: 'normal' }),
      { distribution: 'truncated_normal', mode: 'fan_in' },
    ],
    [plain('VarianceScaling', { distribution: 'untruncated_normal' }), 'the distribution untruncated_normal'],
    [plain('RandomUniform', { minval: 0 }), { minval: 0, maxval: 0.05 }],
    [plain('Constant', { value: [1, 2] }), 'value [1,2]'],
    [plain('GlorotUniform', { input_axes: [0] }), { mode: 'fan_avg' }],
    ['mine', 'kernel_initializer mine'],
  ])('has the complete initializer for %j, or rejects it', (initializer, expected) => {
    const expand = () =>
      expandedConfig('Dense', { units: 2, kernel_initializer: initializer }).kernel_initializer;
    if (typeof expected === 'string') expect(expand).toThrow(expected);
    else expect(expand()).toMatchObject({ config: expected });
  });

  it('has Dropout with a noise shape in place of spatial dropout', () => {
    expect(expandedConfig('SpatialDropout1D', { rate: 0.5 })).toMatchObject({
      rate: 0.5,
      noise_shape: [null, 1, null],
    });
    expect(expandedConfig('SpatialDropout2D', { rate: 0.5, data_format: 'channels_first' })).toMatchObject({
      noise_shape: [null, null, 1, 1],
    });
  });
});
