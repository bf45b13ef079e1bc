import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { buildModel } from '../../../shared/engine/model.ts';
import { defaultTopology } from '../../../shared/model/default-topology.ts';

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
