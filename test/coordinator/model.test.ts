import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { prepareJob } from '../../coordinator/model.ts';
import { drawDigits } from '../../shared/data/drawn-digits.ts';
import type { Topology } from '../../shared/model/job.ts';

const dataset = drawDigits({ seed: 1, trainCount: 8, testCount: 1 });

/** Of the initial weights: equal for equal bits only. */
async function weightsOf(seed: number, topology?: Topology): Promise<string> {
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

describe('initial weights are the same for the same seed, and others for another', () => {
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
    const weights = await weightsOf(1, topology);
    expect(await weightsOf(1, topology)).toBe(weights);
    expect(await weightsOf(2, topology)).not.toBe(weights);
  });

  test('of the default model, for good', async () => {
    expect([await weightsOf(1), await weightsOf(1337)]).toEqual(['f83ade09d2e8a7dc', '1f1e4279c58ba548']);
  });
});

test('images that are too small for the default model are refused with what it takes', async () => {
  const prepare = (sampleShape: number[], topology?: Topology) =>
    prepareJob({ ...dataset, name: 'own', sampleShape }, { batchSize: 8, epochs: 1, seed: 1, topology });
  await expect(prepare([1, 784, 1])).rejects.toThrow(
    'The default model takes images of at least 6 x 6, but those of own are 1 x 784. Give --model a model for that shape, or write the images as 28 x 28.',
  );
  await expect(prepare([5, 6, 1])).rejects.toThrow(/are 5 x 6\. Give --model a model for that shape\.$/);
  expect((await prepare([6, 6, 3])).job.data.sampleShape).toEqual([6, 6, 3]);
  const flat = layer('Flatten', { batch_input_shape: [null, 1, 784, 1] });
  expect((await prepare([1, 784, 1], model(flat))).job.data.sampleShape).toEqual([1, 784, 1]);
});

test('a model with what would be ignored is refused', async () => {
  const decay = layer('L1L2', { l1: 0, l2: 0.01 });
  const decaying = model(flatten, layer('Dense', { name: 'd', units: 4, kernel_regularizer: decay }));
  await expect(weightsOf(1, decaying)).rejects.toThrow('Layer d (Dense) has a kernel_regularizer');
});
