import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { compareWithKeras, kerasDataset, kerasJob, type KerasModels } from '../support/keras-models.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const file = new URL('../reference/keras-models.json', import.meta.url);
const reference = JSON.parse(readFileSync(file, 'utf8')) as KerasModels;
const dataset = kerasDataset(reference);
/** Layers of our own in place of those of tfjs-layers that compute otherwise than Keras. */
const corrected = existsSync(new URL('../../shared/engine/layers/register.ts', import.meta.url));
const NEEDS_THEM =
  /^AveragePooling.* same|bilinear|ReLU (neg|thr|of)|frozen (model|Batch)|Normalization[, ]+(without|of rows|frozen)|TimeDistributed Batch|reset after|inference|Flatten|3: (ReLU|LSTM|GRU)|^Dense|of vectors|^Dot|^(Simple|LSTM|GRU|RNN)|, sum|Embedding|channels first/;
const models = reference.models.filter(({ name }) => corrected || !NEEDS_THEM.test(name));

describe("one step of each kind of layer is Keras', on WebAssembly", () => {
  test.each(models.map((model) => [model.name, model] as const))('%s', async (_, model) => {
    const prepared = await kerasJob(dataset, model);
    const { loss, gradient, tensor } = await compareWithKeras(await wasmEngine(), dataset, model, prepared);
    expect(loss).toBeLessThan(1e-5);
    expect(gradient, tensor).toBeLessThan(1e-4);
  });
});
