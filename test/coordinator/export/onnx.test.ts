import { describe, expect, test } from 'vitest';
import { modelGraph } from '../../../coordinator/export/graph/model-graph.ts';
import { writeOnnx } from '../../../coordinator/export/onnx.ts';
import { decodeOnnx, ONNX_TYPES, type OnnxModelMessage } from '../../../coordinator/export/onnx-messages.ts';
import { ONNX_DIALECT } from '../../../coordinator/export/write-model.ts';
import { nameWeights, type NamedWeights } from '../../../coordinator/model-file/weights-file.ts';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Job, Topology } from '../../../shared/model/job.ts';

const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
const layer = (class_name: string, config: object) => ({ class_name, config });

async function prepared(topology?: Topology): Promise<{ job: Job; weights: NamedWeights }> {
  const settings = { batchSize: 8, epochs: 1, seed: 1, ...(topology === undefined ? {} : { topology }) };
  const { job, initialWeights, weightNames } = await prepareJob(digits, settings);
  return { job, weights: nameWeights(initialWeights, weightNames, job.layout) };
}

async function exported(topology?: Topology): Promise<OnnxModelMessage> {
  const { job, weights } = await prepared(topology);
  const bytes = writeOnnx(modelGraph(job, weights, ONNX_DIALECT), {
    inputs: ['image'],
    outputs: ['probabilities'],
    version: '0.2.0',
    description: 'digits',
    metadata: { epochs: '1' },
  });
  return decodeOnnx(bytes);
}

const sequential = (...layers: object[]): Topology => ({
  ...layer('Sequential', {
    name: 'model',
    layers: [layer('InputLayer', { name: 'in', batch_input_shape: [null, 28, 28, 1] }), ...layers],
  }),
});

const opsOf = ({ graph }: OnnxModelMessage): string[] => graph.node.map(({ opType }) => opType);
const dimsOf = ({ graph }: OnnxModelMessage): Record<string, readonly number[]> =>
  Object.fromEntries(graph.initializer.map(({ name, dims }) => [name, dims]));

const value = (name: string, sides: readonly number[]) => ({
  name,
  type: {
    tensorType: {
      elemType: ONNX_TYPES.float32,
      shape: { dim: [{ dimParam: 'batch' }, ...sides.map((dimValue) => ({ dimValue }))] },
    },
  },
});

describe('the default model', () => {
  test('has the operators of its layers, and transposes images once on each side of the convolutions', async () => {
    const model = await exported();
    expect(opsOf(model)).toEqual([
      'Transpose',
      'Conv',
      'Relu',
      'Conv',
      'Relu',
      'MaxPool',
      'Transpose',
      'Reshape',
      'Gemm',
      'Relu',
      'Gemm',
      'Softmax',
      'Identity',
    ]);
    expect(dimsOf(model)).toMatchObject({
      'conv2d_1/kernel': [32, 1, 3, 3],
      'conv2d_2/kernel': [32, 32, 3, 3],
      'conv2d_2/bias': [32],
      'dense_1/kernel': [4608, 128],
    });
  });

  test('says what it takes and returns', async () => {
    const model = await exported();
    expect(model.graph.input).toMatchObject([value('image', [28, 28, 1])]);
    expect(model.graph.output).toMatchObject([value('probabilities', [10])]);
    expect(model).toMatchObject({
      irVersion: 8,
      producerName: 'gradcast',
      producerVersion: '0.2.0',
      docString: 'digits',
      opsetImport: [{ domain: '', version: 17 }],
      metadataProps: [{ key: 'epochs', value: '1' }],
    });
  });

  test('has different names for all nodes and tensors', async () => {
    const { graph } = await exported();
    const names = [
      ...graph.node.flatMap(({ output }) => output),
      ...graph.initializer.map(({ name }) => name),
    ];
    expect(new Set(names).size).toBe(names.length);
    const nodes = graph.node.map(({ name }) => name);
    expect(new Set(nodes).size).toBe(nodes.length);
  });
});

test('layers between convolutions keep the channels first', async () => {
  const conv = (name: string) => layer('Conv2D', { name, filters: 4, kernel_size: 3, padding: 'same' });
  const model = await exported(
    sequential(
      conv('a'),
      layer('BatchNormalization', { name: 'norm' }),
      layer('Activation', { name: 'swish', activation: 'swish' }),
      layer('ZeroPadding2D', { name: 'pad', padding: 1 }),
      layer('UpSampling2D', { name: 'up', size: 2 }),
      conv('b'),
      layer('GlobalAveragePooling2D', { name: 'pool' }),
      layer('Dense', { name: 'out', units: 10, activation: 'softmax' }),
    ),
  );
  // Only the input.
  expect(opsOf(model).filter((op) => op === 'Transpose')).toHaveLength(1);
  expect(opsOf(model)).toContain('BatchNormalization');
});

test.each([
  ['LSTM', 'LSTM', [1, 12, 28]],
  ['GRU', 'GRU', [1, 9, 28]],
  ['SimpleRNN', 'RNN', [1, 3, 28]],
] as const)('%s is one operator', async (className, op, kernel) => {
  const rows = layer('Reshape', { name: 'rows', target_shape: [28, 28] });
  const recurrent = layer(className, { name: 'steps', units: 3 });
  const model = await exported(
    sequential(rows, recurrent, layer('Dense', { name: 'out', units: 10, activation: 'softmax' })),
  );
  expect(opsOf(model).filter((each) => each === op)).toHaveLength(1);
  expect(opsOf(model)).not.toContain('Scan');
  expect(dimsOf(model)['steps/kernel']).toEqual(kernel);
});

test('a recurrent layer with another activation is a loop over its steps', async () => {
  const rows = layer('Reshape', { name: 'rows', target_shape: [28, 28] });
  const recurrent = layer('LSTM', { name: 'steps', units: 3, recurrent_activation: 'hard_sigmoid' });
  const model = await exported(
    sequential(rows, recurrent, layer('Dense', { name: 'out', units: 10, activation: 'softmax' })),
  );
  const [scan] = model.graph.node.filter(({ opType }) => opType === 'Scan');
  const body = scan?.attribute.find(({ name }) => name === 'body')?.g;
  expect(body?.input).toHaveLength(3);
  expect(body?.output).toHaveLength(3);
  expect(body?.node.filter(({ opType }) => opType === 'Tanh')).toHaveLength(2);
});

test('a cell stack on masked steps is refused by name', async () => {
  const cell = (name: string) => layer('GRUCell', { name, units: 3 });
  const masked = sequential(
    layer('Reshape', { name: 'rows', target_shape: [28, 28] }),
    layer('Masking', { name: 'masking', mask_value: 0 }),
    layer('RNN', {
      name: 'stack',
      cell: layer('StackedRNNCells', { name: 'cells', cells: [cell('a'), cell('b')] }),
    }),
    layer('Dense', { name: 'out', units: 10, activation: 'softmax' }),
  );
  await expect(exported(masked)).rejects.toThrow(
    'Layer stack (RNN) cannot be written as a graph: it applies several cells to steps that are masked. ' +
      'Export the model with --format keras, or use another layer.',
  );
});

test('settings that would fill the memory are refused by the name of the layer', async () => {
  const { job, weights } = await prepared();
  const config = { name: 'again', n: 2 ** 30 };
  const layers = [
    layer('InputLayer', { name: 'in', batch_input_shape: [null, 28, 28, 1] }),
    layer('Flatten', { name: 'flat' }),
    layer('RepeatVector', config),
  ];
  const topology = { ...layer('Sequential', { name: 'model', layers }) };
  expect(() => modelGraph({ ...job, topology }, weights, ONNX_DIALECT)).toThrow(
    'Layer again (RepeatVector) cannot be written as a graph: its settings make 1073741824 elements of one constant.',
  );
});
