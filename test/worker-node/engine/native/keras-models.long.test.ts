import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { openNativeEngine, type NativeEngine } from '../../../../worker-node/engine/native/open-native.ts';
import { compareWithKeras, kerasDataset, kerasJob, kerasModels } from '../../../support/keras-models.ts';
import { withNative } from '../../../support/native.ts';

const reference = kerasModels();
const dataset = kerasDataset(reference);

let engineOnce: ReturnType<typeof openNativeEngine> | undefined;

/** Opens the native engine of this process and makes its backend active; preparing a job activates another. */
async function nativeEngine(): Promise<NativeEngine> {
  await tf.setBackend('tensorflow');
  engineOnce ??= openNativeEngine();
  const opened = await engineOnce;
  if ('missing' in opened) throw new Error(opened.missing);
  return opened;
}

await withNative(() => {
  test.each(reference.models.map((model) => [model.name, model] as const))(
    'one step with each kind of layer equals that of Keras: %s',
    async (_, model) => {
      const prepared = await kerasJob(dataset, model);
      const { engine } = await nativeEngine();
      const { loss, gradient, tensor } = await compareWithKeras(engine, dataset, model, prepared);
      expect(loss).toBeLessThan(1e-5);
      expect(gradient, tensor).toBeLessThan(1e-4);
    },
  );
});
