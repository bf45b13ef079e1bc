import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { buildModel } from '../../../shared/engine/model.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';
import { computeLayers } from './layer-gradients.ts';

const layer = (class_name: string, config: object) => ({ class_name, config });

/** Output shape of a model of these layers behind a mask of steps. */
async function applyMasked(...layers: object[]): Promise<number[]> {
  await wasmEngine();
  const input = layer('InputLayer', { name: 'in', batch_input_shape: [null, 3, 2] });
  const built = await buildModel(tf, {
    class_name: 'Sequential',
    config: { name: 'model', layers: [input, layer('Masking', { name: 'mask', mask_value: 0 }), ...layers] },
  });
  try {
    return tf.tidy(() => (built.model.apply(tf.ones([1, 3, 2])) as tf.Tensor).shape);
  } finally {
    built.dispose();
  }
}

test('a mask that would change the loss is rejected, and only there', async () => {
  const dense = layer('Dense', { name: 'out', units: 4 });
  const recurrent = (return_sequences: boolean) =>
    layer('LSTM', { name: 'lstm', units: 5, return_sequences });
  expect(await applyMasked(recurrent(false), dense)).toEqual([1, 4]);
  await expect(applyMasked(recurrent(true), dense)).rejects.toThrow("A mask reaches the model's output");
});

const masking = layer('Masking', { name: 'mask', mask_value: 0 });
const globalAverage = (config: object) => layer('GlobalAveragePooling1D', { name: 'mean', ...config });
const first = { data_format: 'channels_first' };

// Figures of Keras 3.15.1. With channels first, it takes the mask of the second axis for one of the steps.
test.each([
  [{}, [3, 3], [1, 3], [2.5, 3.5, 5], [0.5, 1, 1.5, 0, 0, 0, 0.5, 1, 1.5]],
  [{ keepdims: true }, [3, 3], [1, 1, 3], [2.5, 3.5, 5], [0.5, 1, 1.5, 0, 0, 0, 0.5, 1, 1.5]],
  [first, [3, 3], [1, 3], [2, 0, 5.5], [0.5, 0, 0.5, 0, 0, 0, 1.5, 0, 1.5]],
  [{ ...first, keepdims: true }, [3, 3], [1, 3, 1], [2, 0, 5.5], [0.5, 0, 0.5, 0, 0, 0, 1.5, 0, 1.5]],
  [first, [1, 3], [1, 1], [6], [1, 1, 1]],
])('GlobalAveragePooling1D %j of masked %j', async (config, sample, shape, output, gradient) => {
  await wasmEngine();
  const values = [1, 2, 3, 0, 0, 0, 4, 5, 7].slice(0, sample[0]! * sample[1]!);
  const computed = await computeLayers([masking, globalAverage(config)], sample, values);
  expect(computed).toEqual({ shape, output, gradients: [gradient] });
});

test('GlobalAveragePooling1D refuses a mask of channels that are not as many as the steps, by name', async () => {
  await wasmEngine();
  await expect(computeLayers([masking, globalAverage(first)], [3, 2], [1, 2, 0, 0, 4, 5])).rejects.toThrow(
    'Layer mean (GlobalAveragePooling1D) has channels first, and a mask of 3 channels instead of its 2 steps.',
  );
});
