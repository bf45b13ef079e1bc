import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { layerJob } from '../../support/keras-layers.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';
import { sizeOf } from '../../../shared/model/layout.ts';
import { Purpose, randomStream } from '../../../shared/random/stream.ts';
import type { Step } from '../../../shared/protocol/messages.ts';
import { imageShard } from '../../support/images.ts';

// Models without reference values of Keras in test/reference, each compared with an equivalent model.

const layer = (class_name: string, config: object) => ({ class_name, config });

/** Gradient of fixed weights and samples, as a worker computes it. */
async function gradientOf(sampleShape: number[], ...layers: object[]): Promise<Float32Array> {
  const input = layer('InputLayer', { name: 'in', batch_input_shape: [null, ...sampleShape] });
  const output = layer('Dense', { name: 'out', units: 3, activation: 'softmax' });
  const topology = {
    class_name: 'Sequential',
    config: { name: 'model', layers: [input, ...layers, output] },
  };
  // Each call draws the same numbers.
  const random = randomStream(1, Purpose.syntheticDigits, 0, 0);
  const labels = [0, 1, 2, 1];
  const job = await layerJob(tf, { topology, sampleShape, labels });
  const length = job.layout.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const computer = await (await wasmEngine()).load(job);
  try {
    computer.setWeights(Float32Array.from({ length }, () => random.uniform() - 0.5));
    const gradient = new Float32Array(length);
    const images = Uint8Array.from(
      { length: labels.length * sizeOf(sampleShape) },
      () => random.uniform() * 256,
    );
    const sampleNumbers = Uint32Array.from(labels.keys());
    await computer.gradient(
      0 as Step,
      imageShard({ sampleNumbers, images, labels: Uint8Array.from(labels) }),
      gradient,
    );
    return gradient;
  } finally {
    computer.dispose();
  }
}

test.each([true, false])(
  'a GRU cell with reset_after %s computes the same as the layer',
  async (resetAfter) => {
    const config = { units: 2, reset_after: resetAfter };
    const cell = layer('GRUCell', { name: 'cell', ...config });
    const expected = await gradientOf([5, 3], layer('GRU', { name: 'gru', ...config }));
    expect(expected.some((value) => value !== 0)).toBe(true);
    expect(await gradientOf([5, 3], layer('RNN', { name: 'rnn', cell }))).toEqual(expected);
    const stacked = layer('StackedRNNCells', { name: 'cells', cells: [cell] });
    expect(await gradientOf([5, 3], layer('RNN', { name: 'rnn', cell: stacked }))).toEqual(expected);
    const both = (inner: object) => layer('Bidirectional', { name: 'both', layer: inner });
    expect(await gradientOf([5, 3], both(layer('RNN', { name: 'rnn', cell: stacked })))).toEqual(
      await gradientOf([5, 3], both(layer('GRU', { name: 'gru', ...config }))),
    );
    expect(await gradientOf([5, 3], both(layer('RNN', { name: 'rnn', cell })))).toEqual(
      await gradientOf([5, 3], both(layer('GRU', { name: 'gru', ...config }))),
    );
  },
);

test.each(['linear', 'relu'])('a dilated Conv2D, %s, trains with channels first', async (activation) => {
  const conv = (data_format: string) =>
    layer('Conv2D', {
      name: 'conv',
      filters: 2,
      kernel_size: [2, 3],
      dilation_rate: [3, 2],
      data_format,
      activation,
    });
  const flatten = layer('Flatten', { name: 'flatten' });
  const expected = await gradientOf(
    [2, 7, 8],
    layer('Permute', { name: 'last', dims: [2, 3, 1] }),
    conv('channels_last'),
    layer('Permute', { name: 'first', dims: [3, 1, 2] }),
    flatten,
  );
  expect(expected.some((value) => value !== 0)).toBe(true);
  expect(await gradientOf([2, 7, 8], conv('channels_first'), flatten)).toEqual(expected);
});

test('a Reshape with an unknown size computes the same as one with all sizes', async () => {
  const reshape = (...target_shape: number[]) => layer('Reshape', { name: 'reshape', target_shape });
  const flatten = layer('Flatten', { name: 'flatten' });
  const expected = await gradientOf([4, 3, 2], flatten);
  expect(await gradientOf([4, 3, 2], reshape(-1))).toEqual(expected);
  expect(await gradientOf([4, 3, 2], reshape(3, -1), flatten)).toEqual(expected);
  const conv = layer('Conv1D', { name: 'conv', filters: 2, kernel_size: 2 });
  expect(await gradientOf([4, 3, 2], reshape(4, -1), conv, flatten)).toEqual(
    await gradientOf([4, 3, 2], reshape(4, 6), conv, flatten),
  );
});
