import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { buildModel } from '../../../shared/engine/model.ts';
import { defaultTopology } from '../../../shared/model/default-topology.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import { call, functional, layer } from '../model/topologies.ts';

// tfjs-layers itself rejects 3 x 3, because its second convolution would have a negative side.
test.each([
  [4, 'conv2d_2 (Conv2D) has an empty output, [0, 0, 32]'],
  [5, 'max_pooling2d_1 (MaxPooling2D) has an empty output, [0, 0, 32]'],
])(
  'images with sides of %i pixels, too small for the default model, are rejected by the layer with the empty output',
  async (side, text) => {
    await expect(buildModel(tf, defaultTopology([side, side, 1], 4))).rejects.toThrow(text);
  },
);

test('an empty output in a nested model is rejected', async () => {
  const inner = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [3, 3, 1], filters: 2, kernelSize: 3 }),
      tf.layers.maxPooling2d({ poolSize: 2 }),
    ],
  });
  const model = tf.sequential({ layers: [inner, tf.layers.flatten(), tf.layers.dense({ units: 2 })] });
  const topology = JSON.parse(JSON.stringify(model.toJSON(null, false))) as Record<string, unknown>;
  await expect(buildModel(tf, topology)).rejects.toThrow('MaxPooling2D) has an empty output');
  model.dispose();
});

const inputOf = (...shape: number[]) =>
  node('InputLayer', { name: 'in', batch_input_shape: [null, ...shape] }, []);
const node = (
  className: string,
  config: { readonly name: string; readonly [key: string]: unknown },
  inbound_nodes: unknown,
) => ({
  ...layer(className, config),
  name: config.name,
  inbound_nodes,
});

// tfjs-layers itself rejects them in a sequential model.
test.each([
  [
    'Conv2D',
    { filters: 3, kernel_size: [1, 3], dilation_rate: 2, data_format: 'channels_first' },
    [3, 8, -1],
  ],
  ['DepthwiseConv2D', { kernel_size: [5, 1], dilation_rate: 3 }, [-5, 8, 3]],
  ['MaxPooling2D', { pool_size: [9, 1], strides: 1 }, [-1, 8, 3]],
])('a %s that exceeds its input by more than 1 is rejected', async (className, config, shape) => {
  const narrow = node(className, { name: 'narrow', ...config }, call('in'));
  // Behind this pool, shapes are as they should be.
  const model = functional(
    inputOf(7, 8, 3),
    narrow,
    node('GlobalAveragePooling2D', { name: 'out' }, call('narrow')),
  );
  const text = `Layer narrow (${className}) has an empty output, [${shape.join(', ')}]: its input is too small.`;
  await expect(buildModel(tf, expandTopology(model))).rejects.toThrow(text);
  const eachFrame = node('TimeDistributed', { name: 'out', layer: model }, call('in'));
  const outer = functional(inputOf(2, 7, 8, 3), eachFrame);
  await expect(buildModel(tf, expandTopology(outer))).rejects.toThrow(text);
});
