import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { describeFarTargets } from '../../../coordinator/model/far-targets.ts';
import { measureTargets } from '../../../coordinator/model/statistics.ts';
import { withCpuBackend } from '../../../coordinator/model/cpu-backend.ts';
import type { StoredSplit } from '../../../shared/data/dataset.ts';
import type { Topology } from '../../../shared/model/job.ts';
import type { LossSpec, OutputSpec } from '../../../shared/model/outputs.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';

const price: TensorSpec = { name: 'price', shape: [], dtype: 'float32' };
const split = (...values: number[]): StoredSplit => ({
  inputs: [new Float32Array(values.length)],
  targets: [Float32Array.from(values)],
  count: values.length,
});
const prices = split(400_000, 1_293_054.4);
const output = (loss: LossSpec['name']): OutputSpec => ({
  name: 'y',
  shape: [1],
  loss: { name: loss },
  metrics: [],
});

const dense = (settings: object = {}): tf.layers.Layer =>
  tf.layers.dense({ inputShape: [1], units: 1, ...settings });

async function lines(
  layers: () => tf.layers.Layer[],
  {
    train = prices,
    loss = 'mean_squared_error',
    target = price,
  }: {
    train?: StoredSplit;
    loss?: LossSpec['name'];
    target?: TensorSpec;
  } = {},
): Promise<string[]> {
  const topology = await withCpuBackend(() => {
    const model = tf.sequential({ layers: layers() });
    const json = model.toJSON(null, false) as unknown as Topology;
    model.dispose();
    return Promise.resolve(json);
  });
  return describeFarTargets({ topology, outputs: [output(loss)], targets: [target] }, train);
}

const LINE =
  'price has mean 846,527 and deviation 446,527; a model that starts near 0 learns it slowly. End it in a Rescaling layer ' +
  '(docs/guide/model.md), or divide the target.';

test.each<LossSpec['name']>(['mean_squared_error', 'mean_absolute_error', 'huber', 'log_cosh'])(
  'a target far from 0 is reported where the loss is %s',
  async (loss) => expect(await lines(() => [dense()], { loss })).toEqual([LINE]),
);

test('layers that change shapes alone are not the end', async () => {
  const shaped = () => [dense(), tf.layers.reshape({ targetShape: [1, 1] }), tf.layers.flatten()];
  expect(await lines(shaped)).toEqual([LINE]);
  const rescaled = () => [
    dense(),
    tf.layers.rescaling({ scale: 9, offset: 8 }),
    tf.layers.reshape({ targetShape: [1, 1] }),
  ];
  expect(await lines(rescaled)).toEqual([]);
});

test('a model inside of a model ends as its last layer does', async () => {
  const nested = (...last: tf.layers.Layer[]) => [
    tf.sequential({ layers: [dense(), ...last] }) as unknown as tf.layers.Layer,
  ];
  expect(await lines(() => nested())).toEqual([LINE]);
  expect(await lines(() => nested(tf.layers.rescaling({ scale: 9, offset: 8 })))).toEqual([]);
});

test.each<[string, () => tf.layers.Layer[], Parameters<typeof lines>[1]]>([
  ['a model that ends in rescaling', () => [dense(), tf.layers.rescaling({ scale: 9, offset: 8 })], {}],
  [
    'a model whose bias starts at a value',
    () => [dense({ biasInitializer: tf.initializers.constant({ value: 8e5 }) })],
    {},
  ],
  ['a loss of a logarithm', () => [dense()], { loss: 'mean_squared_logarithmic_error' }],
  ['a target near 0', () => [dense()], { train: split(-29, 29) }],
  ['one-hot classes', () => [dense({ units: 2 })], { target: { ...price, classes: 2 }, train: split(0, 1) }],
])('nothing is reported about %s', async (_, layers, options) =>
  expect(await lines(layers, options)).toEqual([]),
);

test('whole numbers that a loss of differences takes are values', async () => {
  const target: TensorSpec = { ...price, dtype: 'int32', classes: 200 };
  const train = { ...split(0, 0), targets: [Int32Array.of(10, 190)] };
  expect(await lines(() => [dense()], { target, train })).toEqual([
    expect.stringMatching(/^price has mean 100 and deviation 90; /),
  ]);
});

test('statistics are those of all values of a target, scaled, and none of classes', async () => {
  const pair: TensorSpec = { name: 'pair', shape: [2], dtype: 'float32', scale: 2, offset: 1 };
  const train = { ...split(), targets: [Float32Array.of(0, 1, 2, 5)], count: 2 };
  const values = [1, 3, 5, 11];
  const mean = 5;
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4);
  const [measured] = await measureTargets([pair], train);
  expect(measured!.mean).toBeCloseTo(mean, 10);
  expect(measured!.std).toBeCloseTo(std, 10);
  expect(await measureTargets([{ ...price, classes: 2 }], { ...split(), count: 2, read: () => Promise.reject(new Error()), digest: '' })).toEqual([null]); // prettier-ignore
});
