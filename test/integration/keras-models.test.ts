import { describe, expect, test } from 'vitest';
import { compareWithKeras, kerasModels, kerasDataset, kerasJob } from '../support/keras-models.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const reference = kerasModels();
const dataset = kerasDataset(reference);

describe('one step of each kind of layer on WebAssembly equals that of Keras', () => {
  test.each(reference.models.map((model) => [model.name, model] as const))('%s', async (_, model) => {
    const prepared = await kerasJob(dataset, model);
    const { loss, gradient, tensor } = await compareWithKeras(await wasmEngine(), dataset, model, prepared);
    expect(loss).toBeLessThan(1e-5);
    expect(gradient, tensor).toBeLessThan(1e-4);
  });
});
