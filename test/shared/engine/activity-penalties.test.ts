import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { sliceShard } from '../../../shared/data/shard.ts';
import { buildModel } from '../../../shared/engine/model.ts';
import type { Job, Topology } from '../../../shared/model/job.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const layer = (class_name: string, config: object) => ({ class_name, config });
const penalty = layer('L1L2', { l1: 0.1, l2: 0.2 });
const topology: Topology = {
  class_name: 'Sequential',
  config: {
    name: 'm',
    layers: [
      layer('Flatten', { name: 'f', batch_input_shape: [null, 28, 28, 1] }),
      layer('Dense', { name: 'a', units: 4, activation: 'tanh', activity_regularizer: penalty }),
      layer('Dense', { name: 'b', units: 10, activation: 'softmax', activity_regularizer: penalty }),
    ],
  },
};
const dataset = syntheticDigits({ seed: 1, trainCount: 6, testCount: 1 });
const shard = { ...dataset.train, sampleNumbers: Uint32Array.from({ length: 6 }, (_, i) => i) };

/** Loss and gradient of ranges of the samples. */
async function compute(job: Job, weights: Float32Array, ...ranges: (readonly [number, number])[]) {
  const computer = await (await wasmEngine()).load(job);
  try {
    computer.setWeights(weights);
    const gradient = new Float32Array(weights.length);
    let [lossSum, evaluated] = [0, 0];
    for (const [from, to] of ranges) {
      const part = new Float32Array(weights.length);
      const own = sliceShard(shard, from, to);
      lossSum += (await computer.gradient(0 as Step, own, part)).lossSum;
      evaluated += (await computer.evaluate(own)).lossSum;
      part.forEach((value, i) => (gradient[i]! += value));
    }
    return { lossSum, evaluated, gradient };
  } finally {
    computer.dispose();
  }
}

test('penalties of shards add, micro-shards too, and an evaluation has them', async () => {
  const settings = { batchSize: 6, epochs: 1, seed: 1, topology };
  const { job, initialWeights } = await prepareJob(dataset, settings);
  const whole = await compute(job, initialWeights, [0, 6]);
  const parts = await compute(job, initialWeights, [0, 1], [1, 4], [4, 6]);
  const micro = await compute({ ...job, microShard: 2 }, initialWeights, [0, 6]);
  for (const other of [parts, micro]) {
    expect(other.lossSum / whole.lossSum).toBeCloseTo(1, 6);
    other.gradient.forEach((value, i) => expect(Math.abs(value - whole.gradient[i]!)).toBeLessThan(1e-5));
  }
  expect(whole.evaluated / whole.lossSum).toBeCloseTo(1, 6);
  const plain = JSON.parse(JSON.stringify(job), (key, value: unknown) =>
    key === 'activity_regularizer' ? undefined : value,
  ) as Job;
  expect((await compute(plain, initialWeights, [0, 6])).lossSum).toBeLessThan(whole.lossSum - 0.1);
});

test('a pass leaves no tensors behind, even if it fails', async () => {
  await wasmEngine();
  const built = await buildModel(tf, topology);
  const { penalties, model } = built;
  const before = tf.memory().numTensors;
  tf.tidy(() => void penalties?.collect(() => [model.apply(tf.ones([2, 28, 28, 1])) as tf.Tensor]));
  expect(() =>
    penalties?.collect(() => {
      tf.tidy(() => void model.apply(tf.ones([2, 28, 28, 1])));
      throw new Error('broken');
    }),
  ).toThrow('broken');
  expect(tf.memory().numTensors).toBe(before);
  built.dispose();
});

test('a model within a model that has two outputs computes them once, with its penalties and statistics', async () => {
  await wasmEngine();
  const call = (name: string, tensor = 0) => [name, 0, tensor, {}];
  const inner = {
    class_name: 'Functional',
    name: 'inner',
    inbound_nodes: [[call('x')]],
    config: {
      name: 'inner',
      layers: [
        { ...layer('InputLayer', { name: 'i', batch_input_shape: [null, 2] }), name: 'i', inbound_nodes: [] },
        {
          ...layer('BatchNormalization', { name: 'n', momentum: 0.5, activity_regularizer: penalty }),
          name: 'n',
          inbound_nodes: [[call('i')]],
        },
        { ...layer('ReLU', { name: 'r' }), name: 'r', inbound_nodes: [[call('n')]] },
      ],
      input_layers: [['i', 0, 0]],
      output_layers: [
        ['n', 0, 0],
        ['r', 0, 0],
      ],
    },
  };
  const built = await buildModel(tf, {
    class_name: 'Functional',
    config: {
      name: 'outer',
      layers: [
        { ...layer('InputLayer', { name: 'x', batch_input_shape: [null, 2] }), name: 'x', inbound_nodes: [] },
        inner,
        {
          ...layer('Add', { name: 's' }),
          name: 's',
          inbound_nodes: [
            [
              ['inner', 1, 0, {}],
              ['inner', 1, 1, {}],
            ],
          ],
        },
      ],
      input_layers: [['x', 0, 0]],
      output_layers: [['s', 0, 0]],
    },
  });
  const [mean] = built.variables.filter((_, i) => built.names[i] === 'n/moving_mean');
  const values = tf.tidy(() => {
    const outputs = built.penalties?.collect(() => [
      built.model.apply(tf.tensor([1, 2, 3, 4], [2, 2]), { training: true }) as tf.Tensor,
    ]);
    return outputs?.[1]?.dataSync();
  });
  // Half of the mean; and rows of -1 and 1, up to epsilon.
  expect([...(mean?.dataSync() ?? [])]).toEqual([1, 1.5]);
  expect(values?.[0]).toBeCloseTo(0.6, 2);
  expect(values?.[1]).toBeCloseTo(0.6, 2);
  built.dispose();
});
