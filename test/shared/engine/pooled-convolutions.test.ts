import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { benchmarkJob } from '../../../shared/engine/benchmark-job.ts';
import { buildModel } from '../../../shared/engine/model.ts';
import { FusedKernel } from '../../../shared/kernels/fused-ops.ts';
import { registerWasmKernels } from '../../../shared/kernels/wasm/register.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { relativeDifference } from '../../support/vectors.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';
import { heapBytes } from '../kernels/wasm-backend.ts';
import { values } from '../kernels/arbitraries.ts';

const SAMPLES = 3;

type Config = Readonly<Record<string, unknown>>;
interface Layer {
  readonly class_name: string;
  readonly config: Config & { readonly name: string };
}

const layer = (class_name: string, name: string, config: Config = {}): Layer => ({
  class_name,
  config: { name, ...config },
});
const conv = (name: string, config: Config = {}): Layer =>
  layer('Conv2D', name, { filters: 8, kernel_size: [3, 3], activation: 'relu', ...config });
const pool = (name: string, config: Config = {}): Layer =>
  layer('MaxPooling2D', name, { pool_size: [2, 2], ...config });
const flatten = layer('Flatten', 'flat');
const dense = layer('Dense', 'out', { units: 3 });
const input = (shape: readonly (number | null)[]): Layer =>
  layer('InputLayer', 'in', { batch_input_shape: [null, ...shape] });

const sequential = (shape: readonly (number | null)[], ...layers: readonly Layer[]): Topology => ({
  class_name: 'Sequential',
  config: { name: 'model', layers: [input(shape), ...layers] },
});

/** Layer of a functional model with the names of the layers whose outputs it takes; a list of lists for several calls. */
const called = (each: Layer, ...calls: readonly (readonly string[])[]) => ({
  ...each,
  name: each.config.name,
  // A layer's second call has number 1.
  inbound_nodes: calls.map((from) => from.map((name) => [...nodeOf(name), {}])),
});

function nodeOf(name: string): [string, number, number] {
  const [layerName = '', node = '0'] = name.split(':');
  return [layerName, Number(node), 0];
}

const functional = (
  shape: readonly (number | null)[],
  outputs: readonly string[],
  ...layers: readonly ReturnType<typeof called>[]
): Topology => ({
  class_name: 'Functional',
  config: {
    name: 'model',
    layers: [called(input(shape)), ...layers],
    input_layers: [['in', 0, 0]],
    output_layers: outputs.map(nodeOf),
  },
});

interface Computed {
  readonly outputs: Float32Array[];
  /** By each trained variable. */
  readonly gradients: Float32Array[];
  /** Number of convolutions that were computed with their pool. */
  readonly joined: number;
  readonly leaked: number;
}

/** Training step and outputs in inference of a model with weights and inputs of fixed seeds. */
async function compute(topology: Topology, shape: readonly number[]): Promise<Computed> {
  const built = await buildModel(tf, expandTopology(topology));
  const weights = values(built.layout.length, 1);
  built.layout.slices.forEach(({ offset, size, shape: sizes }) => {
    const inputs = sizes.slice(0, -1).reduce((product, length) => product * length, 1);
    const range = Math.sqrt(3 / Math.max(4, inputs));
    for (let i = offset; i < offset + size; i++) weights[i]! *= range;
  });
  built.setWeights(weights);
  const trained = built.variables.filter((_, i) => built.layout.slices[i]!.trainable);
  const x = tf.tensor(values(SAMPLES * shape.reduce((p, q) => p * q, 1), 2), [SAMPLES, ...shape]);
  const apply = (training: boolean): tf.Tensor[] => {
    const pass = () => [built.model.apply(x, { training })].flat() as tf.Tensor[];
    return built.penalties === null ? pass() : built.penalties.collect(pass);
  };
  const loss = (): tf.Scalar =>
    apply(true)
      .map((y, i) => tf.sum<tf.Scalar>(tf.mul(y, tf.tensor(values(y.size, 3 + i), y.shape))))
      .reduce((sum, term) => tf.add(sum, term));
  const before = tf.memory().numTensors;
  try {
    const gradients = tf.tidy(() => {
      const { grads } = tf.variableGrads(loss, trained);
      return trained.map(({ name }) => grads[name]!.dataSync<'float32'>().slice());
    });
    const outputs = tf.tidy(() => apply(false).map((y) => y.dataSync<'float32'>().slice()));
    const predicted = tf.tidy(() => {
      const result = built.penalties === null ? built.model.predict(x) : [];
      return [result].flat().map((y) => y.dataSync<'float32'>().slice());
    });
    predicted.forEach((values, i) => expect(values).toEqual(outputs[i]));
    // What gradients have kept for one another is disposed after the pass.
    await Promise.resolve();
    const leaked = tf.memory().numTensors - before;
    const { kernels } = await tf.profile(() => tf.tidy(() => void apply(true)));
    return {
      gradients,
      outputs,
      leaked,
      joined: kernels.filter(({ name }) => name === FusedKernel.pooled).length,
    };
  } finally {
    x.dispose();
    built.dispose();
  }
}

/** Calls a function while the backend computes no convolution with its pool. */
async function withoutPools<T>(run: () => Promise<T>): Promise<T> {
  for (const name of [FusedKernel.pooled, FusedKernel.pooledGradInput, FusedKernel.pooledGradFilter])
    tf.unregisterKernel(name, 'wasm');
  try {
    return await run();
  } finally {
    registerWasmKernels(tf);
  }
}

/** Compares a model with itself computed layer by layer. @returns number of convolutions that are computed with their pool */
async function joinedIn(topology: Topology, shape: readonly number[]): Promise<number> {
  const found = await compute(topology, shape);
  const expected = await withoutPools(() => compute(topology, shape));
  expect(expected.joined).toBe(0);
  expect([found.leaked, expected.leaked]).toEqual([0, 0]);
  for (const part of ['outputs', 'gradients'] as const) {
    expect(found[part].length).toBe(expected[part].length);
    expected[part].forEach((values, i) => {
      if (values.every((value) => value === 0)) expect(found[part][i]).toEqual(values);
      else expect(relativeDifference(found[part][i]!, values)).toBeLessThan(1e-5);
    });
  }
  expect(found.gradients.some((gradient) => gradient.some((value) => value !== 0))).toBe(true);
  return found.joined;
}

beforeAll(() => wasmEngine());

const even = [10, 12, 4];

describe('a convolution and its pool are one op, and compute what both layers do,', () => {
  const inner = layer('Sequential', 'inner', { layers: [input(even), conv('c'), pool('p')] });
  it.each<[string, Topology, number[], number]>([
    ['in a Sequential model', sequential(even, conv('c'), pool('p'), flatten, dense), even, 1],
    ['at the end of a model', sequential(even, conv('c'), pool('p')), even, 1],
    [
      'with a linear activation',
      sequential(even, conv('c', { activation: 'linear' }), pool('p'), flatten, dense),
      even,
      1,
    ],
    [
      "with padding 'same' and even sides",
      sequential(even, conv('c', { padding: 'same' }), pool('p', { padding: 'same' }), flatten, dense),
      even,
      1,
    ],
    [
      'with odd sides, of which the pool drops the last',
      sequential([9, 11, 4], conv('c', { padding: 'same' }), pool('p'), flatten, dense),
      [9, 11, 4],
      1,
    ],
    [
      'twice behind one another',
      sequential(
        [20, 18, 4],
        ...[conv('c', { filters: 32 }), pool('p'), conv('d', { filters: 12 }), pool('q'), flatten, dense],
      ),
      [20, 18, 4],
      2,
    ],
    [
      'behind a convolution of few channels',
      sequential(
        [14, 13, 1],
        conv('a'),
        conv('c', { filters: 12 }),
        pool('p'),
        layer('Dropout', 'drop', { rate: 0 }),
        flatten,
        dense,
      ),
      [14, 13, 1],
      1,
    ],
    [
      'in a functional model',
      functional(
        even,
        ['out'],
        called(conv('c'), ['in']),
        called(pool('p'), ['c']),
        called(flatten, ['p']),
        called(dense, ['flat']),
      ),
      even,
      1,
    ],
    [
      'if several layers use the output of the pool',
      functional(
        even,
        ['sum', 'p'],
        ...[called(conv('c'), ['in']), called(pool('p'), ['c']), called(layer('ReLU', 'r'), ['p'])],
        called(layer('Add', 'sum'), ['p', 'r']),
      ),
      even,
      1,
    ],
    ['in a nested model', sequential(even, inner, flatten, dense), even, 1],
    [
      'in a nested model that is called twice',
      functional(
        even,
        ['sum'],
        called(conv('a', { filters: 4, padding: 'same' }), ['in']),
        called(inner, ['in'], ['a']),
        // Node 0 of a nested model is its own.
        called(layer('Add', 'sum'), ['inner:1', 'inner:2']),
      ),
      even,
      2,
    ],
    [
      'if it is frozen',
      sequential(even, conv('c', { trainable: false }), pool('p'), flatten, dense),
      even,
      1,
    ],
    [
      'if it is frozen behind a trained layer',
      sequential(
        [12, 12, 4],
        conv('a', { activation: 'linear' }),
        conv('c', { trainable: false }),
        pool('p'),
        flatten,
        dense,
      ),
      [12, 12, 4],
      1,
    ],
  ])('%s', async (_, topology, shape, count) => {
    expect(await joinedIn(topology, shape)).toBe(count);
  });
});

describe('a convolution and its pool are computed one after the other', () => {
  const usual = (convConfig: Config, poolConfig: Config = {}, shape = even): [Topology, number[]] => [
    sequential(shape, conv('c', convConfig), pool('p', poolConfig), flatten, dense),
    shape,
  ];
  const first = { data_format: 'channels_first' };
  it.each<[string, Topology, number[]]>([
    ['with a pool of 3 x 3', ...usual({}, { pool_size: [3, 3] })],
    ['with a pool of stride 1', ...usual({}, { strides: [1, 1] })],
    ['with a pool that pads odd sides', ...usual({}, { padding: 'same' }, [11, 12, 4])],
    ['with channels first', ...usual(first, first, [4, 10, 12])],
    ['in groups', ...usual({ groups: 2 })],
    ['with a dilation', ...usual({ dilation_rate: [2, 2] })],
    ['without a bias', ...usual({ use_bias: false })],
    [
      'with a penalty of its output',
      ...usual({ activity_regularizer: { class_name: 'L2', config: { l2: 0.1 } } }),
    ],
    ['with another activation', ...usual({ activation: 'tanh' })],
    ['with strides', ...usual({ strides: [2, 2] }, {}, [20, 20, 4])],
    ['of 5 x 5 taps', ...usual({ kernel_size: [5, 5] })],
    ['of 3 channels', ...usual({}, {}, [10, 12, 3])],
    ['of 6 filters', ...usual({ filters: 6 })],
    ['of few outputs', ...usual({}, {}, [5, 12, 4])],
    [
      'with an average pool',
      sequential(even, conv('c'), layer('AveragePooling2D', 'p'), flatten, dense),
      even,
    ],
    [
      'if another layer uses its output',
      functional(
        even,
        ['p', 'q'],
        ...[
          called(conv('c'), ['in']),
          called(pool('p'), ['c']),
          called(layer('GlobalAveragePooling2D', 'q'), ['c']),
        ],
      ),
      even,
    ],
    [
      'if two pools use its output',
      functional(
        even,
        ['p', 'q'],
        called(conv('c'), ['in']),
        called(pool('p'), ['c']),
        called(pool('q'), ['c']),
      ),
      even,
    ],
    [
      'if its output is one of the model',
      functional(even, ['c', 'p'], called(conv('c'), ['in']), called(pool('p'), ['c'])),
      even,
    ],
    [
      'if it is called twice',
      functional(
        even,
        ['p', 'r'],
        called(conv('c', { filters: 4, padding: 'same' }), ['in'], ['c']),
        ...[called(pool('p'), ['c:1']), called(layer('ReLU', 'r'), ['in'])],
      ),
      even,
    ],
    [
      'if the pool is called twice',
      functional(
        even,
        ['p', 'p:1'],
        called(conv('c', { filters: 4 }), ['in']),
        called(pool('p'), ['c'], ['in']),
      ),
      even,
    ],
  ])('%s', async (_, topology, shape) => {
    expect(await joinedIn(topology, shape)).toBe(0);
  });
});

it('images of unknown size have the outputs of both layers, also where the pool pads', async () => {
  const topology = sequential(
    [null, null, 4],
    ...[
      conv('c', { padding: 'same' }),
      pool('p', { padding: 'same' }),
      layer('GlobalAveragePooling2D', 'mean'),
      dense,
    ],
  );
  for (const side of [8, 9]) await joinedIn(topology, [side, side, 4]);
});

it('gradients of all weights are reported in the backward pass, whether the backend computes pools with convolutions or not', async () => {
  const engine = await wasmEngine();
  const { job, weights, shard } = benchmarkJob(4);
  const reports = async (): Promise<number> => {
    const computer = await engine.load(job);
    computer.setWeights(weights);
    let count = 0;
    await computer.gradient(0 as Step, shard, new Float32Array(weights.length), {
      offset: 0,
      onReady: () => count++,
    });
    computer.dispose();
    return count;
  };
  expect(await reports()).toBe(1);
  expect(await withoutPools(reports)).toBe(1);
});

it('a NaN of a weight reaches the loss, so that a run that diverges is seen', async () => {
  const engine = await wasmEngine();
  const { job, weights, shard } = benchmarkJob(4);
  const computer = await engine.load(job);
  const gradient = new Float32Array(weights.length);
  // Filter and bias of each convolution.
  for (const at of [0, 9 * 32, 9 * 32 + 32, 9 * 32 + 32 + 9 * 32 * 32]) {
    computer.setWeights(weights.with(at, NaN));
    const { lossSum } = await computer.gradient(0 as Step, shard, gradient);
    expect(lossSum).toBeNaN();
    expect(gradient.some(Number.isNaN)).toBe(true);
    expect((await computer.evaluate(shard)).lossSum).toBeNaN();
  }
  computer.dispose();
});

it('steps, evaluations and predictions leak no tensor and no memory', async () => {
  const engine = await wasmEngine();
  const { job, weights, shard } = benchmarkJob(4);
  const computer = await engine.load(job);
  const gradient = new Float32Array(weights.length);
  const step = async (number: number): Promise<void> => {
    computer.setWeights(weights);
    await computer.gradient(number as Step, shard, gradient);
    await computer.evaluate(shard);
    await computer.predict(shard.inputs, 4);
  };
  const state = () => [tf.memory().numTensors, tf.memory().numDataBuffers, heapBytes()];
  for (let i = 0; i < 3; i++) await step(i);
  const before = state();
  for (let i = 0; i < 50; i++) await step(i);
  expect(state()).toEqual(before);
  computer.dispose();
});
