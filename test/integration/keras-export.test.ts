import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readModelFile } from '../../coordinator/model-file/model-file.ts';
import { kerasArchive } from '../../coordinator/model-file/save-keras.ts';
import { nameWeights } from '../../coordinator/model-file/weights-file.ts';
import { prepareJob } from '../../coordinator/model/model.ts';
import type { Dataset, Split } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { takesBytes } from '../../shared/model/fit-input.ts';
import { kerasBatch, kerasFolder } from '../support/keras-files.ts';
import { kerasDataset, kerasJob, kerasModels } from '../support/keras-models.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

// With GRADCAST_KERAS_EXPORTS=DIR, the files and the predictions are kept in DIR for test/reference/keras_load.py.
const exports = process.env.GRADCAST_KERAS_EXPORTS;
const folder = await kerasFolder();
afterAll(() => folder.remove());

const savedAt = new Date('2026-01-31T12:00:00Z');
const reference = kerasModels();

type Prepared = Awaited<ReturnType<typeof kerasJob>>;

/** Writes a model, reads it back, and compares topologies and weights. */
async function checkWritten(dataset: Dataset, { job, weights, names }: Prepared): Promise<void> {
  const bytes = await kerasArchive(job.topology, nameWeights(weights, names, job.layout), savedAt);
  const found = await readModelFile(await folder.write('written.keras', bytes));
  const { topology } = found;
  const settings = { batchSize: dataset.train.count, epochs: 1, seed: 1, topology };
  const again = await prepareJob(dataset, { ...settings, weights: found.weights ?? undefined });
  expect(again.job.layout).toEqual(job.layout);
  expect(again.weightNames).toEqual(names);
  expect(Buffer.from(again.initialWeights.buffer).equals(Buffer.from(weights.buffer))).toBe(true);
}

/** Keeps a file with predictions for the images of the data set. */
async function keep(
  name: string,
  { job, weights, names }: Prepared,
  { inputs, count }: Split,
): Promise<void> {
  if (exports === undefined) return;
  const computer = await (await wasmEngine()).load(job);
  computer.setWeights(weights);
  const probabilities = await computer.predict(inputs, count);
  computer.dispose();
  const bytes = await kerasArchive(job.topology, nameWeights(weights, names, job.layout), savedAt);
  writeFileSync(join(exports, `${name}.keras`), bytes);
  const divide = !takesBytes(job.topology);
  const samples = { shape: job.inputs[0]?.shape, images: [...(inputs[0] ?? [])], divide };
  writeFileSync(
    join(exports, `${name}.json`),
    JSON.stringify({ ...samples, probabilities: [...probabilities] }),
  );
}

describe('a model that is written for Keras is read back as it was', () => {
  const dataset = kerasDataset(reference);
  const isUnknown = ({ name, topology }: (typeof reference.models)[number]): boolean =>
    /ThresholdedReLU|gelu_tanh|Attention"|RMSNormalization|initial_state":[[{]/.test(
      JSON.stringify(topology),
    ) ||
    (!name.startsWith('Keras 3') && /hard_?[sS]igmoid/.test(JSON.stringify(topology)));
  // All of them take a minute.
  const models = reference.models
    .filter((model) => !isUnknown(model))
    .filter((_, i) => exports !== undefined || i % 6 === 0);

  test.each(models.map((model, i) => [model.name, model, i] as const))('%s', async (_, model, i) => {
    const prepared = await kerasJob(dataset, model);
    await checkWritten(dataset, prepared);
    await keep(`model-${i}`, prepared, dataset.train);
  });

  test('layers that Keras 3 does not have, or that are not written yet, are named', async () => {
    const refused = reference.models.filter(isUnknown);
    expect(refused.length).toBeGreaterThan(1);
    for (const model of refused) {
      const { job, weights, names } = await kerasJob(dataset, model);
      await expect(
        kerasArchive(job.topology, nameWeights(weights, names, job.layout), savedAt),
      ).rejects.toThrow(/^Layer \S+ \(\w+\) cannot be written for Keras 3/);
    }
  });
});

test('the default model is written with its dropout', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
  const prepared = { job, weights: initialWeights, names: weightNames };
  await checkWritten(digits, prepared);
  await keep('default', prepared, digits.train);
});

describe('a model of Keras', () => {
  test.each(['sequential-3', 'nested-3', 'recurrent-3', 'embedding-3', 'nested-2', 'recurrent-2'])(
    '%s is written as it was read',
    async (name) => {
      const dataset = kerasBatch();
      const { topology, weights } = await readModelFile(await folder.unpack(`${name}.keras`));
      const settings = { batchSize: dataset.train.count, epochs: 1, seed: 1, topology };
      const { job, initialWeights, weightNames } = await prepareJob(dataset, {
        ...settings,
        weights: weights ?? undefined,
      });
      const prepared = { job, weights: initialWeights, names: weightNames };
      await checkWritten(dataset, prepared);
      await keep(name, prepared, dataset.train);
    },
  );
});
