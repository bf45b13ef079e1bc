import { createHash } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { prepareJob, type PreparedJob } from '../../../coordinator/model/model.ts';
import type { PlateauOptions } from '../../../coordinator/optimizer/common-options.ts';
import type { Split } from '../../../shared/data/dataset.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import type { Topology } from '../../../shared/model/job.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

const dataset = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });

/** Hash of a model's initial weights. */
async function weightsHash(seed: number, topology?: Topology): Promise<string> {
  const { initialWeights } = await prepareJob(dataset, { batchSize: 8, epochs: 1, seed, topology });
  return createHash('sha256').update(new Uint8Array(initialWeights.buffer)).digest('hex').slice(0, 16);
}

const layer = (className: string, config: object) => ({ class_name: className, config });
const model = (...layers: object[]): Topology => ({
  class_name: 'Sequential',
  config: { name: 'm', layers: [...layers, layer('Dense', { units: 10, activation: 'softmax' })] },
});
const batch_input_shape = [null, 28, 28, 1];
const flatten = layer('Flatten', { batch_input_shape });
const dense = (kernel_initializer: unknown) => layer('Dense', { units: 4, kernel_initializer });

describe('initial weights depend on the seed alone', () => {
  test.each<[string, Topology]>([
    ['no initializers', model(layer('Conv2D', { filters: 2, kernel_size: 3, batch_input_shape }), flatten)],
    ['an initializer without a seed', model(flatten, dense(layer('GlorotUniform', {})))],
    ['the name of an initializer', model(flatten, dense('heNormal'))],
    ['orthogonal ones', model(flatten, dense('zeros'), dense(layer('Orthogonal', {})))],
    ['initializers with no seed', model(flatten, dense(layer('RandomNormal', { stddev: 0.1, seed: null })))],
    [
      'recurrent layers',
      model(
        layer('Reshape', { target_shape: [28, 28], batch_input_shape }),
        layer('Bidirectional', { layer: layer('LSTM', { units: 2 }), merge_mode: 'concat' }),
      ),
    ],
  ])('of a model with %s', async (_, topology) => {
    const weights = await weightsHash(1, topology);
    expect(await weightsHash(1, topology)).toBe(weights);
    expect(await weightsHash(2, topology)).not.toBe(weights);
  });

  test('of the default model, in every version', async () => {
    expect([await weightsHash(1), await weightsHash(1337)]).toEqual(['f83ade09d2e8a7dc', '1f1e4279c58ba548']);
  });
});

test('images that are too small for the default model are rejected with its minimum', async () => {
  const prepare = (sampleShape: number[], topology?: Topology) =>
    prepareJob(
      { ...dataset, ...imageTensors(sampleShape, 10), name: 'own' },
      { batchSize: 8, epochs: 1, seed: 1, topology },
    );
  await expect(prepare([1, 784, 1])).rejects.toThrow(
    'The default model takes images of at least 6 x 6, but those of own are 1 x 784. Set model to a model for that shape, or write the images as 28 x 28.',
  );
  await expect(prepare([5, 6, 1])).rejects.toThrow(/are 5 x 6\. Set model to a model for that shape\.$/);
  expect((await prepare([6, 6, 3])).job.inputs[0]?.shape).toEqual([6, 6, 3]);
  const flat = layer('Flatten', { batch_input_shape: [null, 1, 784, 1] });
  expect((await prepare([1, 784, 1], model(flat))).job.inputs[0]?.shape).toEqual([1, 784, 1]);
});

test('a model with a setting that would be ignored is rejected', async () => {
  const decay = layer('L1L2', { l1: 0, l2: 0.01 });
  const cell = layer('LSTMCell', { name: 'c', units: 4, activity_regularizer: decay });
  const decaying = model(layer('Reshape', { target_shape: [28, 28] }), layer('RNN', { name: 'r', cell }));
  await expect(weightsHash(1, decaying)).rejects.toThrow(
    'Layer c (LSTMCell) has an activity_regularizer inside RNN, which is not supported. Give it to the layer around it.',
  );
});

test('an input for whole numbers takes those of the data, but no pixels that are divided by 255', async () => {
  const input = { name: 'words', batch_input_shape: [null, 4], dtype: 'int32' };
  const topology = model(
    layer('InputLayer', input),
    layer('Embedding', { name: 'e', input_dim: 7, output_dim: 3 }),
    layer('Flatten', { name: 'f' }),
  );
  const own = { ...dataset, ...imageTensors([2, 2, 1], 10), name: 'own' };
  const settings = { batchSize: 8, epochs: 1, seed: 1, topology };
  await expect(prepareJob(own, settings)).rejects.toThrow(
    "The model's input takes whole numbers, but image of own has fractions: pixels are divided by 255. " +
      'Give the model an input of dtype float32.',
  );
  const words = [{ name: 'word', shape: [4], dtype: 'int32' as const, classes: 7 }];
  const withWords = (split: Split): Split => ({
    ...split,
    inputs: [new Int32Array(4 * split.count).fill(6)],
  });
  const texts = { ...own, inputs: words, train: withWords(own.train), test: withWords(own.test) };
  const { job } = await prepareJob(texts, settings);
  expect(job.inputs).toEqual(words);
  expect(JSON.stringify(job.topology)).not.toContain('int32');
});

test('a schedule that monitors a metric which the run does not compute is rejected', async () => {
  const schedule = { name: 'plateau', monitor: 'val_accuracy' } as const;
  const settings = { batchSize: 8, epochs: 1, seed: 1, optimizer: { name: 'sgd', schedule } } as const;
  expect((await prepareJob(dataset, settings)).job.optimizer.schedule).toMatchObject(schedule);
  await expect(prepareJob(dataset, { ...settings, metrics: ['mae'] })).rejects.toThrow(
    'The plateau schedule monitors val_accuracy, but the run computes loss, mae.',
  );
});

test('a schedule monitors any metric of the run whose better direction is known', async () => {
  const prepareWith = (schedule: Omit<PlateauOptions, 'name'>): Promise<PreparedJob> =>
    prepareJob(dataset, {
      batchSize: 8,
      epochs: 1,
      seed: 1,
      metrics: ['mae', 'top_k_categorical_accuracy'],
      optimizer: { name: 'sgd', schedule: { name: 'plateau', ...schedule } },
    });
  for (const monitor of ['val_mae', 'top_k_categorical_accuracy', 'val_loss']) {
    const { job } = await prepareWith({ monitor });
    expect(job.optimizer.schedule).toMatchObject({ monitor });
    expect(job.optimizer.schedule).not.toHaveProperty('mode');
  }
  await expect(prepareWith({ monitor: 'val_auc' })).rejects.toThrow('monitors val_auc, but the run computes');
  await expect(prepareWith({ monitor: 'val_sharpness' })).rejects.toThrow(
    'The plateau schedule cannot tell whether a larger val_sharpness is better. Set schedule.mode to max or min.',
  );
});

const prepare = (topology: Topology, batchSize = 8) =>
  prepareJob(dataset, { batchSize, epochs: 1, seed: 1, topology });
const spread = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

describe('initializers have the distributions of Keras, unlike those of tfjs-layers', () => {
  // 784 inputs, 64 outputs; the deviation that Keras documents, and the bounds.
  test.each<[unknown, number, number, number]>([
    ['glorot_normal', Math.sqrt(2 / 848), -Infinity, Infinity],
    [layer('HeNormal', {}), Math.sqrt(2 / 784), -Infinity, Infinity],
    ['lecun_normal', Math.sqrt(1 / 784), -Infinity, Infinity],
    [
      layer('VarianceScaling', { scale: 3, mode: 'fan_out', distribution: 'truncated_normal' }),
      Math.sqrt(3 / 64),
      -Infinity,
      Infinity,
    ],
    [layer('RandomUniform', { minval: 0, maxval: 1 }), Math.sqrt(1 / 3), 0, 1],
    [layer('RandomUniform', { minval: -1, maxval: 0 }), Math.sqrt(1 / 3), -1, 0],
    [layer('RandomNormal', { mean: 2, stddev: 0 }), 2, 2, 2],
    // One of each column's 784 weights is 3.
    [layer('Identity', { gain: 3 }), 3 / Math.sqrt(784), 0, 3],
  ])('%j', async (initializer, deviation, lowest, highest) => {
    const wide = layer('Dense', { units: 64, kernel_initializer: initializer });
    const { initialWeights, job } = await prepare(model(flatten, wide));
    expect(job.layout[0]).toEqual({ shape: [784, 64], trainable: true });
    const kernel = initialWeights.subarray(0, 784 * 64);
    expect(spread(kernel) / deviation).toBeCloseTo(1, 2);
    expect(Math.min(...kernel)).toBeGreaterThanOrEqual(lowest);
    expect(Math.max(...kernel)).toBeLessThanOrEqual(highest);
  });
});

test('the learning rate is not scaled for a batch larger than the training set', async () => {
  const [usual, larger] = await Promise.all([8, 100_000].map((size) => prepare(model(flatten), size)));
  expect(larger!.job.optimizer).toEqual(usual!.job.optimizer);
  expect(larger!.job.optimizer.learningRate).toBe(1);
});

test('a model with more outputs than the data has classes is trained, with a note', async () => {
  const withClasses = (classes: number) => ({ ...dataset, ...imageTensors([28, 28, 1], classes) });
  const eight = withClasses(8);
  const { job, notes } = await prepareJob(eight, {
    batchSize: 8,
    epochs: 1,
    seed: 1,
    topology: model(flatten),
  });
  expect(job.targets[0]?.classes).toBe(10);
  expect(notes).toEqual([
    'The model has 10 outputs, but drawn-digits has 8 classes: the other outputs are never right.',
  ]);
  const eleven = withClasses(11);
  await expect(
    prepareJob(eleven, { batchSize: 8, epochs: 1, seed: 1, topology: model(flatten) }),
  ).rejects.toThrow("The model's output is [10], but drawn-digits has 11 classes.");
});

test('training starts from the weights of the model file', async () => {
  const { weightNames, initialWeights: randomWeights } = await prepare(model(flatten));
  const [kernel = '', bias = ''] = weightNames;
  const weights = new Map([
    [bias, { shape: [10], values: new Float32Array(10).fill(3) }],
    [kernel, { shape: [784, 10], values: new Float32Array(7840).fill(2) }],
  ]);
  const settings = { batchSize: 8, epochs: 1, seed: 1, topology: model(flatten), weights };
  const { initialWeights, notes } = await prepareJob(dataset, settings);
  expect(initialWeights).not.toEqual(randomWeights);
  expect([initialWeights[0], initialWeights[7839], initialWeights[7840]]).toEqual([2, 2, 3]);
  expect(notes).toEqual(['Training starts from the weights of the model file.']);
});

test('a model of two models with layers of the same name is saved so that tfjs can load it', async () => {
  const inner = (name: string) => ({
    class_name: 'Sequential',
    config: {
      name,
      layers: [layer('Dense', { name: 'one', units: 3, batch_input_shape: [null, name === 'a' ? 784 : 3] })],
    },
  });
  const { job, weightNames, initialWeights } = await prepare(model(flatten, inner('a'), inner('b')));
  expect(new Set(weightNames).size).toBe(weightNames.length);
  const weightSpecs = job.layout.map(({ shape }, i) => ({
    name: weightNames[i] ?? '',
    shape,
    dtype: 'float32' as const,
  }));
  const loaded = await tf.loadLayersModel(
    tf.io.fromMemory({
      modelTopology: job.topology,
      weightSpecs,
      weightData: initialWeights.buffer as ArrayBuffer,
    }),
  );
  const values = await Promise.all(loaded.weights.map((weight) => weight.read().data()));
  expect(values.flatMap((each) => [...each])).toEqual([...initialWeights]);
  loaded.dispose();
});

test('metrics of more sums than a message can have are refused', async () => {
  const thresholds = 400;
  const metrics = [
    { name: 'auc', thresholds },
    { name: 'auc', thresholds, curve: 'PR' },
  ] as const;
  await expect(prepareJob(dataset, { batchSize: 8, epochs: 1, seed: 1, metrics })).rejects.toThrow(
    'The metrics need 1600 sums, and a message has at most 1024. Leave a metric out: auc and rates at a rate ' +
      'have 2 for each threshold, f1_score, fbeta_score and r2_score 3 for each class, IoU kinds 2 for each class.',
  );
  const { job } = await prepareJob(dataset, {
    batchSize: 8,
    epochs: 1,
    seed: 1,
    metrics: ['f1_score', 'auc'],
  });
  expect(job.outputs[0]?.metrics.length).toBe(2);
});

test('a mask that reaches an output is rejected before the run', async () => {
  const embedding = layer('Embedding', { input_dim: 9, output_dim: 4, mask_zero: true, name: 'words' });
  const words = [
    layer('Cropping2D', { cropping: 12, batch_input_shape }),
    layer('Flatten', {}),
    embedding,
    layer('LSTM', { units: 4, return_sequences: true, name: 'lstm' }),
  ];
  const outputs = layer('Dense', { units: 10, activation: 'softmax', name: 'out' });
  await expect(
    weightsHash(1, { class_name: 'Sequential', config: { name: 'm', layers: [...words, outputs] } }),
  ).rejects.toThrow(
    "A mask reaches the model's output, where Keras divides the loss by the number of steps that count in the whole batch",
  );
});
