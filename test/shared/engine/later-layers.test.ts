import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { buildModel } from '../../../shared/engine/model.ts';
import { expandTopology } from '../../../shared/model/expand-topology.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

const layer = (class_name: string, config: object) => ({ class_name, config });

async function build(shape: (number | null)[], ...layers: object[]) {
  await wasmEngine();
  const input = layer('InputLayer', { name: 'in', batch_input_shape: [null, ...shape] });
  return buildModel(
    tf,
    expandTopology({ class_name: 'Sequential', config: { name: 'm', layers: [input, ...layers] } }),
  );
}

it.each([
  [[5, 5, 1], layer('RandomCrop', { name: 'x', height: 5, width: 3 }), 'Layer x (RandomCrop) gets images'],
  [[5, 5, 1], layer('CenterCrop', { name: 'x', height: 6, width: 3 }), 'Layer x (CenterCrop) gets images'],
  [[5, 5], layer('Softmax', { name: 'x', axis: 0 }), 'Layer x (Softmax) has an axis of the samples'],
  [[5, 5], layer('Softmax', { name: 'x', axis: [-1, 3] }), 'Layer x (Softmax) has an axis of the samples'],
  [
    [5, 5],
    layer('CategoryEncoding', { name: 'x', num_tokens: 3 }),
    'Layer x is called with inputs of several',
  ],
])('a layer on samples of %j that it does not take is refused', async (shape, refused, message) => {
  const run = async (): Promise<void> => {
    const built = await build(shape, refused);
    built.model.apply(tf.zeros([1, ...shape]));
  };
  await expect(run()).rejects.toThrow(message);
});

it('RandomCrop passes whole images on in inference, as in Keras', async () => {
  const built = await build([5, 5, 1], layer('RandomCrop', { name: 'x', height: 3, width: 3 }));
  const x = tf.range(0, 25).reshape([1, 5, 5, 1]);
  expect([...(built.model.apply(x) as tf.Tensor).dataSync()]).toEqual([...x.dataSync()]);
  built.dispose();
});

it('a ConvLSTM starts with a forget gate that is open', async () => {
  const built = await build([2, 4, 4, 1], layer('ConvLSTM2D', { name: 'x', filters: 2, kernel_size: 3 }));
  const bias = built.variables[2]!;
  expect([...bias.dataSync()]).toEqual([0, 0, 1, 1, 0, 0, 0, 0]);
  built.dispose();
});
