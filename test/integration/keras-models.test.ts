import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compareWithKeras, kerasDataset, kerasJob, type KerasModels } from '../support/keras-models.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const file = new URL('../reference/keras-models.json', import.meta.url);
const reference = JSON.parse(readFileSync(file, 'utf8')) as KerasModels;
const dataset = kerasDataset(reference);

describe("one step of each kind of layer is Keras', on WebAssembly", () => {
  test.each(reference.models.map((model) => [model.name, model] as const))('%s', async (_, model) => {
    const prepared = await kerasJob(dataset, model);
    const { loss, gradient, tensor } = await compareWithKeras(await wasmEngine(), dataset, model, prepared);
    expect(loss).toBeLessThan(1e-5);
    expect(gradient, tensor).toBeLessThan(1e-4);
  });
});
