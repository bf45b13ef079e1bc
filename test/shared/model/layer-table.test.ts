import { describe, expect, it } from 'vitest';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { LAYER_CLASSES, rulesOf } from '../../../shared/model/layer-table.ts';
import { input, layer, plain, sequential } from './topologies.ts';

const wrapped = (inner: object) => layer('TimeDistributed', { name: 'w', layer: inner });

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

describe('expandTopology rejects what would be ignored or computed otherwise than by Keras:', () => {
  it.each<[string, object, string]>([
    ['Conv2D', { groups: 0 }, 'groups 0: only whole numbers above 0'],
    ['Conv2DTranspose', { dilation_rate: [2, 2] }, 'dilation_rate [2,2]: only 1 is supported'],
    ['Conv2D', { padding: 'causal' }, 'padding "causal": supported are valid, same'],
    [
      'Conv1D',
      { data_format: 'channels_first' },
      'data_format "channels_first": only channels_last is supported',
    ],
    ['SeparableConv2D', { data_format: 'channels_first' }, 'data_format "channels_first"'],
    ['Conv3D', { data_format: 'channels_first' }, 'data_format "channels_first"'],
    ['DepthwiseConv2D', { dilation_rate: 0.5 }, 'dilation_rate 0.5'],
    ['Conv2DTranspose', { output_padding: 'one' }, 'output_padding "one": only whole numbers'],
    ['MaxPooling1D', { data_format: 'channels_first' }, 'data_format "channels_first"'],
    ['GlobalAveragePooling2D', { keepdims: 2 }, 'keepdims 2: only true and false'],
    ['UpSampling2D', { interpolation: 'area' }, 'interpolation "area": supported are nearest, bilinear'],
    ['Dense', { activation: 'glu' }, 'activation "glu": supported are linear, relu'],
    ['Dense', { activation: layer('LeakyReLU') }, 'activation "LeakyReLU"'],
    ['Dense', { dtype: 'float16' }, 'dtype "float16": only float32 is supported'],
    ['Dense', { dtype: plain('Policy', { name: 'mixed_float16' }) }, 'dtype "mixed_float16"'],
    ['Dense', { trainable: 'no' }, 'trainable "no"'],
    ['InputLayer', { sparse: true }, 'sparse true'],
    ['InputLayer', { dtype: 'string', batch_input_shape: [null, 4] }, 'dtype "string"'],
    ['PReLU', { shared_axes: [0.5] }, 'shared_axes [0.5]: only whole numbers'],
    ['EinsumDense', { equation: 'ab,bc' }, 'equation "ab,bc"'],
    ['RMSNormalization', { axis: 1 }, 'axis 1: supported are -1, [-1]'],
    ['MultiHeadAttention', { attention_axes: [1, 2] }, 'attention_axes [1,2]'],
    ['MultiHeadAttention', { use_gate: true }, 'use_gate true'],
    ['RandomRotation', { fill_mode: 'mirror' }, 'fill_mode "mirror"'],
    ['RandomZoom', { height_factor: [0.1, 0.2, 0.3] }, 'height_factor [0.1,0.2,0.3]'],
    ['Softmax', { axis: 'last' }, 'axis "last"'],
    ['CategoryEncoding', { num_tokens: 4, sparse: true }, 'sparse true'],
    ['Resizing', { height: 4, width: 3, antialias: true }, 'antialias true'],
    ['ConvLSTM2D', { filters: 2, data_format: 'channels_first' }, 'data_format "channels_first"'],
    ['Concatenate', { axis: 0 }, 'axis 0: axis 0 is the batch'],
    ['BatchNormalization', { renorm: true }, 'renorm true'],
    ['BatchNormalization', { axis: [1, 2] }, 'axis [1,2]'],
    ['BatchNormalization', { virtual_batch_size: 8 }, 'virtual_batch_size 8'],
    ['BatchNormalization', { synchronized: true }, 'synchronized true'],
    ['LayerNormalization', { rms_scaling: true }, 'rms_scaling true'],
    ['Embedding', { mask_zero: 1 }, 'mask_zero 1: only true and false'],
    ['LSTM', { zero_output_for_mask: 1 }, 'zero_output_for_mask 1'],
    ['LSTM', { stateful: true }, 'stateful true'],
    ['LSTM', { time_major: true }, 'time_major true'],
    ['Bidirectional', { layer: layer('LSTM'), merge_mode: null }, 'merge_mode null'],
    [
      'Bidirectional',
      { layer: layer('LSTM'), backward_layer: layer('LSTM', { units: 3 }) },
      'the key backward_layer',
    ],
    ['RNN', { cell: layer('LSTMCell'), num_constants: 1 }, 'num_constants 1'],
    ['Dropout', { rate: 0.5, noise_shape: [8, 1] }, 'noise_shape [8,1]'],
    [
      'Dense',
      { activity_regularizer: plain('OrthogonalRegularizer', { factor: 0.01 }) },
      'activity_regularizer "OrthogonalRegularizer": supported are L1, L2 and L1L2',
    ],
    [
      'MultiHeadAttention',
      { activityRegularizer: plain('L2', { l2: 0.01 }) },
      'activity_regularizer "L2": no penalty on the output of this layer',
    ],
    ['Dense', { kernel_regularizer: plain('OrthogonalRegularizer', { factor: -1 }) }, 'kernel_regularizer'],
    ['Dense', { kernel_regularizer: plain('OrthogonalRegularizer', { mode: 'all' }) }, 'kernel_regularizer'],
    ['Dense', { kernel_regularizer: plain('SumRegularizer', { factor: 0 }) }, 'kernel_regularizer'],
    ['Dense', { bias_regularizer: 'l2' }, 'bias_regularizer'],
    ['Dense', { activity_regularizer: 'l1' }, 'activity_regularizer'],
    ['Dense', { kernel_constraint: plain('MaxNorm', { max_value: 2, axis: 'all' }) }, 'kernel_constraint'],
    ['LSTM', { recurrent_constraint: 'nonNeg' }, 'recurrent_constraint'],
    ['Dense', { lora_rank: 4 }, 'the key lora_rank, which would be ignored'],
    ['Dense', { constructor: 1 }, 'the key constructor'],
  ])('%s %j', (className, config, what) => {
    const start = `Layer x (${className}) has `;
    const message = new RegExp(`^${escaped(start)}(an? )?${escaped(what)}`);
    expect(() => expandTopology(sequential(input, layer(className, config)))).toThrow(message);
    // Also in nested models and wrappers.
    const deep = sequential(input, wrapped({ ...sequential(layer(className, config)) }));
    expect(() => expandTopology(deep)).toThrow(message);
  });

  it.each(['SpectralNormalization', 'Lambda', 'TFOpLambda', 'StringLookup', 'MyLayer', 'constructor'])(
    'class %s',
    (className) => {
      expect(() => expandTopology(sequential(input, layer(className)))).toThrow(
        `Layer x (${className}) is of a class that gradcast does not train. `,
      );
    },
  );

  it('a custom class with the name of a layer', () => {
    const own = { ...layer('Dense', { units: 3 }), registered_name: 'mine>Dense' };
    expect(() => expandTopology(sequential(input, own))).toThrow(
      'Layer x (Dense) is a custom class (mine>Dense).',
    );
  });

  it('members of models that are not layers', () => {
    expect(() => expandTopology(sequential())).toThrow(
      'Model m has no layers, or a member that is not a layer.',
    );
    expect(() => expandTopology(sequential(input, { class_name: 'Dense' }))).toThrow(
      'Model m has no layers, or a member that is not a layer.',
    );
    const cells = layer('RNN', { cell: layer('StackedRNNCells', { cells: ['LSTMCell'] }) });
    expect(() => expandTopology(sequential(input, cells))).toThrow('has a member that is not a cell');
    expect(() => expandTopology(layer('Dense') as unknown as Topology)).toThrow(
      'The topology is a Dense, not a',
    );
  });

  it('a layer shared by two nested models', () => {
    const shared = { ...layer('Dense', { units: 3 }), shared_object_id: 7 };
    const twice = sequential(input, { ...sequential(shared) }, { ...sequential(shared) });
    expect(() => expandTopology(twice)).toThrow('Layer x (Dense) is shared by two models within the model');
  });
});

it('every class of the table has rules', () => {
  expect(LAYER_CLASSES.length).toBeGreaterThan(40);
  for (const name of LAYER_CLASSES) expect(Object.keys(rulesOf(name) ?? {})).toContain('trainable');
});
