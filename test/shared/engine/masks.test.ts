import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { buildModel } from '../../../shared/engine/model.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

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
