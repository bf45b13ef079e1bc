import { prepareJob } from '../../coordinator/model/model.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import type { Topology } from '../../shared/model/job.ts';
import { Purpose, randomStream } from '../../shared/random/stream.ts';
import type { ExportCase } from './export-cases.ts';
import { imagesOf } from './images.ts';

const digits = syntheticDigits({ seed: 1, trainCount: 6, testCount: 1 });

interface Layer {
  readonly class_name: string;
  readonly config: Record<string, unknown>;
}

const layer = (class_name: string, name: string, config: object = {}): Layer => ({
  class_name,
  config: { name, ...config },
});
const rows = layer('Reshape', 'rows', { target_shape: [28, 28] });
const out = layer('Dense', 'out', { units: 10, activation: 'softmax' });
const input = layer('InputLayer', 'in', { batch_input_shape: [null, 28, 28, 1] });

const sequential = (...layers: Layer[]): Topology => ({
  class_name: 'Sequential',
  config: { name: 'model', layers: [input, ...layers] },
});

/** Functional model. @param calls each layer with the names of the layers that it is called with */
const functional = (...calls: (readonly [Layer, ...string[]])[]): Topology => ({
  class_name: 'Functional',
  config: {
    name: 'model',
    layers: [
      { ...input, name: 'in', inbound_nodes: [] },
      ...calls.map(([each, ...from]) => ({
        ...each,
        name: each.config.name,
        inbound_nodes: [from.map((name) => [name, 0, 0, {}])],
      })),
    ],
    input_layers: [['in', 0, 0]],
    output_layers: [['out', 0, 0]],
  },
});

const conv = (name: string, config: object = {}): Layer =>
  layer('Conv2D', name, { filters: 4, kernel_size: 3, padding: 'same', ...config });

/** Models in which tensors change their order of axes between layers, by name. */
const COMBINATIONS: Readonly<Record<string, Topology>> = {
  'recurrent layers after each other': sequential(
    rows,
    layer('LSTM', 'a', { units: 5, return_sequences: true }),
    layer('Dropout', 'drop', { rate: 0.5 }),
    layer('GRU', 'b', { units: 4, return_sequences: true, reset_after: true, go_backwards: true }),
    layer('SimpleRNN', 'c', { units: 3, activation: 'relu' }),
    out,
  ),
  'layers between recurrent layers': sequential(
    rows,
    layer('GRU', 'a', { units: 6, return_sequences: true, reset_after: true }),
    layer('Activation', 'swish', { activation: 'swish' }),
    layer('Conv1D', 'conv', { filters: 5, kernel_size: 3, padding: 'causal' }),
    layer('BatchNormalization', 'norm'),
    layer('Bidirectional', 'both', {
      layer: layer('LSTM', 'inner', { units: 4, return_sequences: true }),
      merge_mode: 'concat',
    }),
    layer('LayerNormalization', 'layers'),
    layer('GlobalMaxPooling1D', 'pool'),
    out,
  ),
  'strides of channels alone': sequential(
    conv('a'),
    conv('uneven', { filters: 8, groups: 4, strides: [1, 2] }),
    layer('Reshape', 'rows', { target_shape: [56, 56] }),
    layer('DepthwiseConv1D', 'depthwise', { kernel_size: 3, strides: 2, padding: 'same' }),
    layer('SeparableConv1D', 'separable', { filters: 3, kernel_size: 2, strides: 3 }),
    layer('Flatten', 'flat'),
    out,
  ),
  'convolutions that join': functional(
    [conv('a', { strides: 2 }), 'in'],
    [layer('BatchNormalization', 'norm'), 'a'],
    [layer('ReLU', 'relu'), 'norm'],
    [conv('b'), 'relu'],
    [layer('Add', 'add'), 'a', 'b'],
    [layer('GlobalAveragePooling2D', 'squeeze', { keepdims: true }), 'add'],
    [layer('Dense', 'gate', { units: 4, activation: 'sigmoid' }), 'squeeze'],
    [layer('Multiply', 'scaled'), 'add', 'gate'],
    [layer('MaxPooling2D', 'max', { pool_size: 2, strides: 1, padding: 'same' }), 'add'],
    [layer('Concatenate', 'joined', { axis: -1 }), 'scaled', 'max'],
    [layer('Flatten', 'flat'), 'joined'],
    [out, 'flat'],
  ),
  'images that are moved': sequential(
    conv('a', { activation: 'softmax' }),
    layer('Cropping2D', 'crop', {
      cropping: [
        [1, 2],
        [3, 0],
      ],
    }),
    layer('Permute', 'permute', { dims: [3, 1, 2] }),
    layer('ZeroPadding2D', 'pad', {
      padding: [
        [0, 1],
        [2, 0],
      ],
      data_format: 'channels_first',
    }),
    layer('Permute', 'back', { dims: [2, 3, 1] }),
    layer('UpSampling2D', 'up', { size: [2, 1], interpolation: 'bilinear' }),
    layer('SeparableConv2D', 'separable', { filters: 3, kernel_size: 3, strides: 2, depth_multiplier: 2 }),
    layer('Conv2DTranspose', 'larger', { filters: 2, kernel_size: 3, strides: 2, padding: 'same' }),
    layer('PReLU', 'prelu', { shared_axes: [1, 2] }),
    layer('AveragePooling2D', 'average', { pool_size: 3, padding: 'same' }),
    layer('LayerNormalization', 'norm', { axis: [1, 2, 3] }),
    layer('Flatten', 'flat'),
    out,
  ),
  'channels first after each other': sequential(
    layer('Permute', 'first', { dims: [3, 1, 2] }),
    conv('a', { data_format: 'channels_first', activation: 'relu' }),
    layer('BatchNormalization', 'norm', { axis: 1 }),
    layer('MaxPooling2D', 'pool', { data_format: 'channels_first' }),
    conv('b', { data_format: 'channels_first', groups: 2, dilation_rate: 2 }),
    layer('GlobalAveragePooling2D', 'mean', { data_format: 'channels_first' }),
    out,
  ),
  'models of models over time': sequential(
    layer('Reshape', 'parts', { target_shape: [4, 14, 14, 1] }),
    layer('TimeDistributed', 'each', { layer: conv('inner', { activation: 'relu' }) }),
    layer('TimeDistributed', 'mean', { layer: layer('GlobalAveragePooling2D', 'global') }),
    layer('MultiHeadAttention', 'attention', { num_heads: 2, key_dim: 3 }),
    layer('LSTM', 'steps', { units: 4, recurrent_activation: 'hard_sigmoid' }),
    out,
  ),
};

/** The models as cases, with weights that are not those of a fresh model: variances are above 0. */
export const combinationCases = (): [string, () => Promise<ExportCase>][] =>
  Object.entries(COMBINATIONS).map(([name, topology]) => [
    name,
    async () => {
      const prepared = await prepareJob(digits, { batchSize: 6, epochs: 1, seed: 1, topology });
      const { job, initialWeights, weightNames: names } = prepared;
      const random = randomStream(7, Purpose.initialWeights);
      const weights = initialWeights.map((value) => value + random.below(1000) / 2e4);
      return { job, weights, names, inputs: [imagesOf(digits.train)], count: digits.train.count };
    },
  ]);
