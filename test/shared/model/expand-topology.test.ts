import { describe, expect, it } from 'vitest';
import { defaultTopology } from '../../../shared/model/default-topology.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { LAYER_CLASSES, rulesOf } from '../../../shared/model/layer-table.ts';

interface Layer {
  readonly class_name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly name?: string;
  readonly inbound_nodes?: unknown;
}

const layer = (class_name: string, config: object = {}): Layer => ({
  class_name,
  config: { name: 'x', ...config },
});
/** An initializer, a regularizer, a policy: what has no name. */
const plain = (class_name: string, config: object = {}) => ({ class_name, config });
const input = { class_name: 'InputLayer', config: { name: 'in', batch_input_shape: [null, 28, 28, 1] } };
const sequential = (...layers: object[]): Topology => ({
  class_name: 'Sequential',
  config: { name: 'm', layers },
});
const functional = (...layers: object[]): Topology => ({
  class_name: 'Functional',
  config: { name: 'm', layers, input_layers: [['in', 0, 0]], output_layers: [['out', 0, 0]] },
});
const call = (name: string, kwargs: object = {}) => [[[name, 0, 0, kwargs]]];
const expanded = (topology: Topology): Layer[] =>
  (expandTopology(topology) as unknown as { config: { layers: Layer[] } }).config.layers;
/** The configuration that a layer gets. */
const read = (className: string, config: object = {}) =>
  expanded(sequential(layer(className, config)))[0]!.config;
const wrapped = (inner: object) => layer('TimeDistributed', { name: 'w', layer: inner });

describe('a key that would be ignored, or computed otherwise than by Keras, is refused by layer and key', () => {
  it.each<[string, object, string]>([
    ['Conv2D', { groups: 2 }, 'groups 2: only 1 is supported'],
    ['SeparableConv2D', { dilation_rate: [2, 2] }, 'dilation_rate [2,2]: only 1 is supported'],
    ['Conv2D', { padding: 'causal' }, 'padding "causal": supported are valid, same'],
    [
      'Conv1D',
      { data_format: 'channels_first' },
      'data_format "channels_first": only channels_last is supported',
    ],
    ['SeparableConv2D', { data_format: 'channels_first' }, 'data_format "channels_first"'],
    ['Conv3D', { data_format: 'channels_first' }, 'data_format "channels_first"'],
    ['DepthwiseConv2D', { dilation_rate: 2 }, 'dilation_rate 2'],
    ['Conv2DTranspose', { output_padding: [1, 1] }, 'output_padding [1,1]: it is not supported'],
    ['MaxPooling1D', { data_format: 'channels_first' }, 'data_format "channels_first"'],
    ['GlobalAveragePooling2D', { keepdims: true }, 'keepdims true: it is not supported'],
    [
      'UpSampling2D',
      { interpolation: 'bicubic' },
      'interpolation "bicubic": supported are nearest, bilinear',
    ],
    ['Dense', { activation: 'mish' }, 'activation "mish": supported are linear, relu'],
    ['Dense', { activation: layer('LeakyReLU') }, 'activation "LeakyReLU"'],
    ['Dense', { dtype: 'float16' }, 'dtype "float16": only float32 is supported'],
    ['Dense', { dtype: plain('Policy', { name: 'mixed_float16' }) }, 'dtype "mixed_float16"'],
    ['Dense', { trainable: 'no' }, 'trainable "no"'],
    ['InputLayer', { sparse: true }, 'sparse true'],
    ['InputLayer', { dtype: 'uint8', batch_input_shape: [null, 4] }, 'dtype "uint8"'],
    ['PReLU', { shared_axes: [3] }, 'shared_axes [3]: supported are [1], [1, 2]'],
    ['PReLU', { shared_axes: [2, 3] }, 'shared_axes [2,3]'],
    ['ELU', { alpha: 0.5 }, 'alpha 0.5: only 1 is supported'],
    ['Softmax', { axis: 1 }, 'axis 1'],
    ['Concatenate', { axis: 0 }, 'axis 0: axis 0 is the batch'],
    ['BatchNormalization', { renorm: true }, 'renorm true'],
    ['BatchNormalization', { axis: [1, 2] }, 'axis [1,2]'],
    ['BatchNormalization', { virtual_batch_size: 8 }, 'virtual_batch_size 8'],
    ['BatchNormalization', { synchronized: true }, 'synchronized true'],
    ['LayerNormalization', { rms_scaling: true }, 'rms_scaling true'],
    ['Embedding', { mask_zero: true }, 'mask_zero true'],
    ['LSTM', { stateful: true }, 'stateful true'],
    ['LSTM', { return_state: true }, 'return_state true'],
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
      { kernel_regularizer: plain('L2', { l2: 0.01 }) },
      'kernel_regularizer, which would be ignored',
    ],
    ['Dense', { kernelRegularizer: plain('L2', { l2: 0.01 }) }, 'kernel_regularizer, which would be ignored'],
    ['Dense', { kernel_regularizer: plain('OrthogonalRegularizer', { factor: 0 }) }, 'kernel_regularizer'],
    ['Dense', { bias_regularizer: 'l2' }, 'bias_regularizer'],
    ['Dense', { activity_regularizer: 'l1' }, 'activity_regularizer'],
    ['Dense', { kernel_constraint: plain('MaxNorm', { max_value: 2 }) }, 'kernel_constraint'],
    ['LSTM', { recurrent_constraint: 'nonNeg' }, 'recurrent_constraint'],
    ['Dense', { lora_rank: 4 }, 'the key lora_rank, which would be ignored'],
    ['Dense', { constructor: 1 }, 'the key constructor'],
  ])('%s %j', (className, config, what) => {
    const start = `Layer x (${className}) has `;
    const message = new RegExp(`^${escaped(start)}(an? )?${escaped(what)}`);
    expect(() => expandTopology(sequential(input, layer(className, config)))).toThrow(message);
    // However deep.
    const deep = sequential(input, wrapped({ ...sequential(layer(className, config)) }));
    expect(() => expandTopology(deep)).toThrow(message);
  });

  it.each(['Masking', 'Lambda', 'TFOpLambda', 'Resizing', 'MyLayer', 'constructor'])(
    'class %s',
    (className) => {
      expect(() => expandTopology(sequential(input, layer(className)))).toThrow(
        `Layer x (${className}) is of a class that gradcast does not train. `,
      );
    },
  );

  it("a class of a person's own, also one with the name of a layer", () => {
    const own = { ...layer('Dense', { units: 3 }), registered_name: 'mine>Dense' };
    expect(() => expandTopology(sequential(input, own))).toThrow(
      'Layer x (Dense) is a class of its own (mine>Dense).',
    );
  });

  it('noise that is not keyed', () => {
    expect(() => expandTopology(sequential(input, layer('GaussianNoise', { stddev: 1 })))).toThrow(
      'Layer x (GaussianNoise) draws random numbers of its own',
    );
    expect(() => expandTopology(sequential(input, layer('LSTM', { units: 3, dropout: 0.5 })))).toThrow(
      'Layer x (LSTM) draws random numbers of its own',
    );
  });

  it('things that are no layers, where layers should be', () => {
    expect(() => expandTopology(sequential())).toThrow(
      'Model m holds something that is no layer, or nothing.',
    );
    expect(() => expandTopology(sequential(input, { class_name: 'Dense' }))).toThrow(
      'Model m holds something',
    );
    const cells = layer('RNN', { cell: layer('StackedRNNCells', { cells: ['LSTMCell'] }) });
    expect(() => expandTopology(sequential(input, cells))).toThrow('holds something that is no cell');
    expect(() => expandTopology(layer('Dense') as unknown as Topology)).toThrow(
      'The topology is a Dense, not a',
    );
  });

  it('one layer with one set of weights in two models', () => {
    const shared = { ...layer('Dense', { units: 3 }), shared_object_id: 7 };
    const twice = sequential(input, { ...sequential(shared) }, { ...sequential(shared) });
    expect(() => expandTopology(twice)).toThrow('Layer x (Dense) is shared by two models within the model');
  });
});

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

describe('what changes nothing is taken', () => {
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

  it('the default model', () => {
    const topology = defaultTopology([28, 28, 1], 10);
    expect(JSON.stringify(expandTopology(topology))).toBe(
      JSON.stringify(expandTopology(expandTopology(topology))),
    );
  });
});

describe('one form', () => {
  it('comes back as it is', () => {
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

  it('has keys in snake_case, and refuses one that is there twice', () => {
    expect(read('Dense', { useBias: false, batchInputShape: [8, 3] })).toMatchObject({
      use_bias: false,
      batch_input_shape: [null, 3],
    });
    expect(() => read('Dense', { useBias: false, use_bias: true })).toThrow('the key use_bias twice');
  });

  it('has no null, which tfjs-layers would take for other things', () => {
    expect(read('Cropping2D', { cropping: [1, 1], data_format: null })).not.toHaveProperty('data_format');
    expect(read('LSTM', { units: 2, activation: null, unit_forget_bias: null })).toMatchObject({
      activation: 'linear',
      unit_forget_bias: false,
    });
    expect(read('Reshape', { target_shape: [null, 4] })).toMatchObject({ target_shape: [null, 4] });
  });

  it('has the defaults of Keras where those of tfjs-layers are others', () => {
    expect(read('Softmax')).toMatchObject({ axis: -1 });
    expect(read('LSTM', { units: 2 })).toMatchObject({ recurrent_activation: 'sigmoid' });
    expect(read('Dense', { units: 2 })).toMatchObject({
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
  ])('writes the initializer %j out, or refuses it', (given, expected) => {
    const reading = () => read('Dense', { units: 2, kernel_initializer: given }).kernel_initializer;
    if (typeof expected === 'string') expect(reading).toThrow(expected);
    else expect(reading()).toMatchObject({ config: expected });
  });

  it('makes one dropout of the spatial ones', () => {
    expect(read('SpatialDropout1D', { rate: 0.5 })).toMatchObject({
      rate: 0.5,
      noise_shape: [null, 1, null],
    });
    expect(read('SpatialDropout2D', { rate: 0.5, data_format: 'channels_first' })).toMatchObject({
      noise_shape: [null, null, 1, 1],
    });
  });

  it('knows every class of its table', () => {
    expect(LAYER_CLASSES.length).toBeGreaterThan(40);
    for (const name of LAYER_CLASSES) expect(Object.keys(rulesOf(name) ?? {})).toContain('trainable');
  });
});

describe('names', () => {
  it('are different for every layer, and calls go by the new ones', () => {
    const inner = (name: string) => ({
      ...functional(
        { ...input, name: 'in', inbound_nodes: [] },
        { ...layer('Dense', { units: 3, name: 'out' }), name: 'out', inbound_nodes: call('in') },
      ),
      name,
      inbound_nodes: call(name === 'a' ? 'first' : 'a'),
    });
    const named = (name: string) => {
      const { config, ...rest } = inner(name) as Topology;
      return { ...rest, config: { ...(config as object), name } };
    };
    const outer = expandTopology({
      class_name: 'Functional',
      config: {
        name: 'm',
        layers: [
          { ...input, config: { ...input.config, name: 'first' }, name: 'first', inbound_nodes: [] },
          named('a'),
          named('b'),
        ],
        input_layers: [['first', 0, 0]],
        output_layers: [['b', 0, 0]],
      },
    });
    const names = [...JSON.stringify(outer).matchAll(/"name":"(\w+)"/g)].map(([, name]) => name);
    const [, , second] = (outer as unknown as { config: { layers: Layer[] } }).config.layers;
    expect(new Set(names)).toEqual(new Set(['m', 'first', 'a', 'b', 'in', 'out', 'in_1', 'out_1']));
    expect(second!.config).toMatchObject({
      input_layers: [['in_1', 0, 0]],
      output_layers: [['out_1', 0, 0]],
    });
    expect((second!.config.layers as Layer[])[1]).toMatchObject({
      name: 'out_1',
      inbound_nodes: call('in_1'),
    });
  });

  it('are made where there are none', () => {
    const bare = { class_name: 'Dense', config: { units: 2 } };
    expect(expanded(sequential(input, bare, bare)).map(({ config }) => config.name)).toEqual([
      'in',
      'dense',
      'dense_1',
    ]);
  });

  it('that two layers of one model share are refused', () => {
    expect(() => expandTopology(sequential(input, layer('Dense'), layer('Flatten')))).toThrow(
      'The model has two layers named x. Give each layer a name of its own.',
    );
  });
});

describe('Keras 3', () => {
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

  it('writes shapes, types and calls otherwise', () => {
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

  it('calls the slope of a leaky ReLU otherwise', () => {
    expect(read('LeakyReLU', { negative_slope: 0.01 })).toMatchObject({ alpha: 0.01 });
    expect(() => read('LeakyReLU', { negative_slope: 0.01, alpha: 0.3 })).toThrow(
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
  ])('means another hard_sigmoid; %s shows that it wrote the file', (_, topology) => {
    expect(() => expandTopology(topology)).toThrow(/hard_sigmoid, which is another function in Keras 3/);
  });

  it('of Keras 2, hard_sigmoid is known', () => {
    const two = {
      ...sequential(input, layer('Dense', { units: 2, activation: 'hard_sigmoid' })),
      keras_version: '2.15.0',
    };
    expect(() => expandTopology(two)).not.toThrow();
  });

  it('writes the second layer of a Bidirectional, which may only mirror the first', () => {
    const both = (backward: object) => {
      const forward = { units: 3, go_backwards: false, dtype: policy };
      return {
        name: 'b',
        layer: layer('LSTM', forward),
        backward_layer: layer('LSTM', { ...forward, ...backward, name: 'y' }),
      };
    };
    expect(read('Bidirectional', both({ go_backwards: true }))).not.toHaveProperty('backward_layer');
    expect(() => read('Bidirectional', both({ go_backwards: false }))).toThrow('the key backward_layer');
    expect(() => read('Bidirectional', both({ go_backwards: true, units: 4 }))).toThrow(
      'the key backward_layer',
    );
  });
});

describe('frozen layers and calls', () => {
  it('freezes what is in a frozen model or wrapper', () => {
    const frozen = sequential(input, {
      class_name: 'Sequential',
      config: { name: 'f', trainable: false, layers: [layer('Dense', { units: 2, trainable: true })] },
    });
    const [, model] = expanded(frozen);
    expect((model!.config.layers as Layer[])[0]!.config.trainable).toBe(false);
    const inner = read('TimeDistributed', {
      trainable: false,
      layer: layer('Dense', { name: 'y', units: 2 }),
    });
    expect((inner.layer as Layer).config.trainable).toBe(false);
  });

  const called = (className: string, config: object, ...kwargs: object[]) =>
    functional(
      { ...input, name: 'in', inbound_nodes: [] },
      {
        ...layer(className, { name: 'out', ...config }),
        name: 'out',
        inbound_nodes: kwargs.flatMap((each) => call('in', each)),
      },
    );

  it('keeps the argument training=False, which engines heed, unless another call is without', () => {
    const [, dropout] = expanded(called('Dropout', { rate: 0.5 }, { training: false }, { training: false }));
    expect(dropout?.inbound_nodes).toEqual([
      ...call('in', { training: false }),
      ...call('in', { training: false }),
    ]);
    expect(() => expandTopology(called('Dropout', { rate: 0.5 }, { training: false }, {}))).toThrow(
      'Layer out (Dropout) is called with training=False in one place and without it in another.',
    );
  });

  it.each([{ training: true }, { initial_state: [1] }, { mask: 'm' }])('refuses a call with %j', (kwargs) => {
    expect(() => expandTopology(called('LSTM', { units: 2 }, kwargs))).toThrow(
      /^Layer out \(LSTM\) is called with /,
    );
  });
});
