import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { prepareJob, defaultBatchSize } from '../../../coordinator/model/model.ts';
import type { Dataset } from '../../../shared/data/dataset.ts';
import { buildModel } from '../../../shared/engine/model.ts';
import { defaultModel } from '../../../shared/model/default-models.ts';
import { defaultTopology } from '../../../shared/model/default-topology.ts';
import type { TensorSpec } from '../../../shared/model/tensors.ts';

const vector: TensorSpec = { name: 'x', shape: [3], dtype: 'float32' };
const tokens: TensorSpec = { name: 'text', shape: [5], dtype: 'int32', classes: 7 };
const label: TensorSpec = { name: 'kind', shape: [], dtype: 'uint8', classes: 4 };
const price: TensorSpec = { name: 'price', shape: [], dtype: 'float32' };

const layersOf = (topology: object): string[] =>
  (topology as { config: { layers: { class_name: string }[] } }).config.layers.map(
    (layer) => layer.class_name,
  );

describe('the default model', () => {
  it('is the CNN for images of classes', () => {
    const image: TensorSpec = { name: 'image', shape: [28, 28, 1], dtype: 'uint8', scale: 1 / 255 };
    const model = defaultModel({
      input: image,
      targets: [{ ...label, classes: 10 }],
      inputStatistics: null,
      targetStatistics: [null],
    });
    expect(model).toEqual(defaultTopology([28, 28, 1], 10));
  });

  it('is dense for numbers, recurrent for tokens, with a target for each token or for all', () => {
    const none = { inputStatistics: null, targetStatistics: [null] };
    expect(layersOf(defaultModel({ input: vector, targets: [label], ...none }))).toEqual([
      'Dense',
      'Dropout',
      'Dense',
      'Dropout',
      'Dense',
    ]);
    const classify = defaultModel({ input: tokens, targets: [label], ...none });
    const next = defaultModel({ input: tokens, targets: [{ ...tokens, name: 'next' }], ...none });
    expect(layersOf(classify)).toEqual(['Embedding', 'GRU', 'Dense']);
    const sequences = (topology: object): unknown =>
      (topology as { config: { layers: { config: Record<string, unknown> }[] } }).config.layers[1]!.config
        .return_sequences;
    expect([sequences(classify), sequences(next)]).toEqual([false, true]);
  });

  it('gives numbers in the unit of the target, of inputs in any unit', async () => {
    await tf.setBackend('cpu');
    const statistics = { mean: [5, 50, 500], std: [1, 10, 100] };
    const model = defaultModel({
      input: vector,
      targets: [price],
      inputStatistics: statistics,
      targetStatistics: [{ mean: [2e5], std: [1e4] }],
    });
    expect(layersOf(model)).toEqual([
      'Normalization',
      'Dense',
      'Dropout',
      'Dense',
      'Dropout',
      'Dense',
      'Rescaling',
    ]);
    const built = await buildModel(tf, model);
    // The mean of all inputs is 0 for the layers, whose biases are 0.
    const output = built.model.predict(tf.tensor2d([[5, 50, 500]])) as tf.Tensor;
    expect(Array.from(output.dataSync())).toEqual([2e5]);
    built.dispose();
  });

  it('has an output for each target, named after it', async () => {
    const data: Dataset = {
      name: 'a',
      description: '',
      inputs: [vector],
      targets: [label, { ...price, name: 'the price' }],
      train: {
        count: 4,
        inputs: [Float32Array.of(1, 2, 3, 3, 2, 1, 0, 0, 0, 5, 5, 5)],
        targets: [Uint8Array.of(0, 1, 2, 3), Float32Array.of(10, 20, 30, 40)],
      },
      test: { count: 1, inputs: [new Float32Array(3)], targets: [new Uint8Array(1), new Float32Array(1)] },
    };
    const { job } = await prepareJob(data, { batchSize: 4, epochs: 1, seed: 1 });
    expect(job.outputs.map(({ name, loss }) => [name, loss.name])).toEqual([
      ['kind', 'sparse_categorical_crossentropy'],
      ['the_price', 'mean_squared_error'],
    ]);
    expect(job.optimizer.name).toBe('adam');
  });

  it('takes fewer samples a step of small data sets, except of images', () => {
    const of = (count: number, input = vector): number =>
      defaultBatchSize({ inputs: [input], targets: [label], train: { count, inputs: [], targets: [] } });
    expect([120, 3749, 12_800, 1e6].map((count) => of(count))).toEqual([8, 32, 128, 128]);
    expect(of(600, { name: 'image', shape: [28, 28, 1], dtype: 'uint8' })).toBe(128);
  });
});
