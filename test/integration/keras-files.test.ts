import { afterAll, describe, expect, test } from 'vitest';
import { readModelFile } from '../../coordinator/model-file/model-file.ts';
import { prepareJob } from '../../coordinator/model/model.ts';
import type { ModelFile } from '../../coordinator/model-file/model-file.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { kerasBatch, kerasFolder, kerasLosses } from '../support/keras-files.ts';
import { wasmEngine } from '../support/wasm-engine.ts';

const { models } = kerasLosses();
const dataset = kerasBatch();
const folder = await kerasFolder();
afterAll(() => folder.remove());

/** Mean losses of a model with its own weights, in training and in inference. */
async function losses({ topology, weights }: ModelFile): Promise<{ training: number; inference: number }> {
  if (weights === null) throw new Error('The file has no weights.');
  const { count } = dataset.train;
  const { job, initialWeights } = await prepareJob(dataset, {
    batchSize: count,
    epochs: 1,
    seed: 1,
    topology,
    weights,
  });
  const computer = await (await wasmEngine()).load(job);
  try {
    computer.setWeights(initialWeights);
    const shard = { ...dataset.train, sampleNumbers: Uint32Array.from({ length: count }, (_, i) => i) };
    const evaluated = await computer.evaluate(shard);
    const trained = await computer.gradient(0 as Step, shard, new Float32Array(initialWeights.length));
    return { training: trained.lossSum / count, inference: evaluated.lossSum / count };
  } finally {
    computer.dispose();
  }
}

const files = Object.values(models).flatMap(({ files: names, ...expected }) =>
  names.map((name) => ({ name, expected })),
);
const whole = files.filter(({ name }) => !/json$|weights\.h5$/.test(name));
const alone = files.filter(({ name }) => name.endsWith('weights.h5'));

describe('the losses of a model that Keras saved equal those of Keras', () => {
  test.each(whole.map((file) => [file.name, file] as const))('%s', async (name, { expected }) => {
    const found = await losses(await readModelFile(await folder.unpack(name)));
    expect(found.training).toBeCloseTo(expected.training, 5);
    expect(found.inference).toBeCloseTo(expected.inference, 5);
  });

  test.each(alone.map((file) => [file.name, file] as const))('%s', async (name, { expected }) => {
    const model = await folder.unpack(`${name.slice(0, 'nested-3'.length)}.json`);
    const found = await losses(await readModelFile(model, await folder.unpack(name)));
    expect(found.training).toBeCloseTo(expected.training, 5);
    expect(found.inference).toBeCloseTo(expected.inference, 5);
  });
});
