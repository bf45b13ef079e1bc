import { expect, it } from 'vitest';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Topology } from '../../../shared/model/job.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 20, testCount: 4 });
const layer = (className: string, config: object) => ({ class_name: className, config });
const l2 = (factor: number) => ({ module: 'keras.regularizers', ...layer('L2', { l2: factor }) });
const maxNorm = layer('MaxNorm', { max_value: 3, axis: [0, 1, -2] });

/** The rules of a model's tensors by name, and the topology that workers are sent. */
async function prepare(...layers: object[]) {
  const input = layer('InputLayer', { batch_input_shape: [null, 28, 28, 1], name: 'input' });
  const output = layer('Dense', { units: 10, activation: 'softmax', name: 'output' });
  const topology: Topology = layer('Sequential', { name: 'model', layers: [input, ...layers, output] });
  const { job, weightNames } = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1, topology });
  const rules = (job.optimizer.tensorRules ?? []).map(({ tensor, ...rule }) => [weightNames[tensor], rule]);
  return { rules: Object.fromEntries(rules) as unknown, topology: JSON.stringify(job.topology) };
}
const flat = layer('Reshape', { target_shape: [28, 28], name: 'rows' });
const flatten = layer('Flatten', { name: 'flatten' });

it('finds the tensors of regularizers and constraints, and takes them out of the topology', async () => {
  const { rules, topology } = await prepare(
    layer('Conv2D', {
      name: 'conv',
      filters: 2,
      kernel_size: [3, 3],
      strides: [9, 9],
      kernel_regularizer: layer('L1L2', { l1: 0.5, l2: 0.25 }),
      kernel_constraint: maxNorm,
      bias_constraint: layer('NonNeg', {}),
    }),
    layer('BatchNormalization', {
      name: 'norm',
      gamma_regularizer: layer('L1', {}),
      beta_regularizer: l2(0),
    }),
    layer('SeparableConv2D', {
      name: 'separable',
      filters: 2,
      kernel_size: [2, 2],
      depthwise_regularizer: l2(0.1),
      pointwise_constraint: layer('UnitNorm', { axis: 2 }),
      use_bias: false,
      bias_regularizer: l2(0.1),
    }),
    flatten,
  );
  expect(rules).toEqual({
    'conv/kernel': {
      penalty: { l1: 0.5, l2: 0.25 },
      constraint: { name: 'maxNorm', maxValue: 3, axes: [0, 1, 2] },
    },
    'conv/bias': { constraint: { name: 'nonNegative' } },
    'norm/gamma': { penalty: { l1: 0.01, l2: 0 } },
    'separable/depthwise_kernel': { penalty: { l1: 0, l2: 0.1 } },
    'separable/pointwise_kernel': { constraint: { name: 'unitNorm', axes: [2] } },
  });
  expect(topology).not.toMatch(/regularizer|constraint/);
});

it('finds the tensors of layers within layers', async () => {
  const own = { kernel_regularizer: l2(1), recurrent_regularizer: l2(2) };
  const sequences = { return_sequences: true };
  const { rules } = await prepare(
    flat,
    layer('TimeDistributed', {
      name: 'each',
      layer: layer('Dense', { units: 3, name: 'inner', kernel_regularizer: l2(3) }),
    }),
    layer('Bidirectional', {
      name: 'both',
      layer: layer('LSTM', { units: 2, name: 'lstm', ...sequences, ...own }),
    }),
    layer('RNN', {
      name: 'stack',
      ...sequences,
      cell: layer('StackedRNNCells', {
        name: 'cells',
        cells: [
          layer('GRUCell', { units: 2, name: 'a' }),
          layer('LSTMCell', { units: 2, name: 'b', kernel_regularizer: l2(4) }),
        ],
      }),
    }),
    layer('RNN', { name: 'one', cell: layer('GRUCell', { units: 2, name: 'c', kernel_regularizer: l2(5) }) }),
    layer('Sequential', {
      name: 'nested',
      layers: [
        layer('Dense', { units: 4, name: 'deep', batch_input_shape: [null, 2], bias_regularizer: l2(6) }),
      ],
    }),
  );
  const penalty = (factor: number) => ({ penalty: { l1: 0, l2: factor } });
  expect(rules).toEqual({
    'each/kernel': penalty(3),
    'both/forward_lstm/kernel': penalty(1),
    'both/forward_lstm/recurrent_kernel': penalty(2),
    'both/backward_lstm/kernel': penalty(1),
    'both/backward_lstm/recurrent_kernel': penalty(2),
    'stack/RNNCell_1/kernel': penalty(4),
    'one/kernel': penalty(5),
    'deep/bias': penalty(6),
  });
});

it('takes the norm over all axes if a constraint has no axis, as Keras does', async () => {
  const constraints = { kernel_constraint: layer('MaxNorm', { max_value: 2, axis: null }) };
  const { rules } = await prepare(flatten, layer('Dense', { units: 4, name: 'd', ...constraints }));
  expect(rules).toEqual({ 'd/kernel': { constraint: { name: 'maxNorm', maxValue: 2, axes: [0, 1] } } });
});

it('leaves out frozen tensors, as Keras does, and changes nothing in a model without rules', async () => {
  const frozen = layer('Dense', { units: 4, name: 'd', trainable: false, kernel_regularizer: l2(1) });
  expect((await prepare(flatten, frozen)).rules).toEqual({});
  const { job } = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1 });
  expect(job.optimizer).toEqual({ name: 'adadelta', learningRate: 1, rho: 0.95, epsilon: 1e-8 });
});

it.each([
  ['an unknown regularizer', { kernel_regularizer: layer('SumRegularizer', {}) }, /supported are L1, L2/],
  ['a negative penalty', { kernel_regularizer: layer('L2', { l2: -1 }) }, /supported are L1, L2/],
  ['a factor beyond float32', { kernel_regularizer: layer('L2', { l2: 1e39 }) }, /supported are L1, L2/],
  ['a factor that is no number', { kernel_regularizer: layer('L1', { l1: '1' }) }, /factors of 0 or more/],
  ['a key of another class', { kernel_regularizer: layer('L2', { l1: 1 }) }, /supported are L1, L2/],
  [
    'a limit that is no number',
    { kernel_constraint: layer('MaxNorm', { max_value: '3' }) },
    /finite numbers/,
  ],
  ['an unknown key', { kernel_constraint: layer('UnitNorm', { axes: 1 }) }, /supported are MaxNorm/],
  [
    'an axis that a tensor does not have',
    { bias_constraint: layer('UnitNorm', { axis: -2 }) },
    /bias_constraint over axis -2, but its tensor has 1 axes/,
  ],
  ['an unknown constraint', { bias_constraint: layer('Own', {}) }, /supported are MaxNorm, NonNeg/],
])('rejects %s with the layer and the supported ones', async (_, config, message) => {
  const model = prepare(flatten, layer('Dense', { units: 4, name: 'd', ...config }));
  await expect(model).rejects.toThrow(message);
  await expect(model).rejects.toThrow('Layer d (Dense)');
});

it('takes an orthogonal penalty of a matrix alone', async () => {
  const orthogonal = (config: object) => layer('OrthogonalRegularizer', config);
  const dense = (units: number, config: object) =>
    layer('Dense', { name: 'dense', units, kernel_regularizer: orthogonal(config) });
  const rule = { orthogonal: { factor: 0.01, mode: 'rows' } };
  expect((await prepare(flatten, dense(4, {}))).rules).toEqual({ 'dense/kernel': rule });
  await expect(prepare(flatten, dense(1, { factor: 0.1, mode: 'columns' }))).rejects.toThrow(
    'Layer dense (Dense) has a kernel_regularizer that compares the columns of a matrix, but its tensor is [784, 1].',
  );
  const conv = layer('Conv2D', {
    name: 'conv',
    filters: 2,
    kernel_size: 3,
    kernel_regularizer: orthogonal({}),
  });
  await expect(prepare(conv, flatten)).rejects.toThrow('but its tensor is [3, 3, 1, 2].');
});
