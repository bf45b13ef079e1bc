import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readModelFile } from '../../coordinator/model-file/model-file.ts';
import { kerasArchive } from '../../coordinator/model-file/save-keras.ts';
import { nameWeights } from '../../coordinator/model-file/weights-file.ts';
import { prepareJob } from '../../coordinator/model/model.ts';
import type { Dataset, StoredSplit } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { takesBytes } from '../../shared/model/fit-input.ts';
import { describeModel } from '../../shared/model/saved-model.ts';
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
  const bytes = await kerasArchive(job, nameWeights(weights, names, job.layout), savedAt);
  const found = await readModelFile(await folder.write('written.keras', bytes));
  const { topology } = found;
  const settings = { batchSize: dataset.train.count, epochs: 1, seed: 1, topology };
  const again = await prepareJob(dataset, { ...settings, weights: found.weights ?? undefined });
  expect(again.job.layout).toEqual(job.layout);
  expect(again.job.optimizer.tensorRules).toEqual(job.optimizer.tensorRules);
  expect(again.weightNames).toEqual(names);
  expect(Buffer.from(again.initialWeights.buffer).equals(Buffer.from(weights.buffer))).toBe(true);
}

/** Keeps a file with predictions for the images of the data set. */
async function keep(
  name: string,
  { job, weights, names }: Prepared,
  { inputs, count }: StoredSplit,
): Promise<void> {
  if (exports === undefined) return;
  const computer = await (await wasmEngine()).load(job);
  computer.setWeights(weights);
  const probabilities = await computer.predict(inputs, count);
  computer.dispose();
  const bytes = await kerasArchive(job, nameWeights(weights, names, job.layout), savedAt);
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
    /ThresholdedReLU|gelu_tanh/.test(JSON.stringify(topology)) ||
    // Keras 3 merges masks otherwise.
    /^(masks of two|a mask of)/.test(name) ||
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
      await expect(kerasArchive(job, nameWeights(weights, names, job.layout), savedAt)).rejects.toThrow(
        /^Layer \S+ \(\w+\) cannot be written for Keras 3/,
      );
    }
  });
});

test('regularizers and constraints are written, those of outputs too', async () => {
  const dataset = kerasDataset(reference);
  const own = (class_name: string, config: object) => ({ class_name, config });
  const lstm = own('LSTM', {
    name: 'lstm',
    units: 3,
    recurrent_regularizer: own('L2', { l2: 0.25 }),
    bias_constraint: own('NonNeg', {}),
    activity_regularizer: own('L1', { l1: 0.5 }),
  });
  const layers = [
    own('InputLayer', { name: 'in', batch_input_shape: [null, 9, 8, 2] }),
    own('Reshape', { name: 'rows', target_shape: [9, 16] }),
    own('Bidirectional', { name: 'both', layer: lstm, merge_mode: 'concat' }),
    own('Dense', {
      name: 'dense',
      units: 4,
      kernel_regularizer: own('OrthogonalRegularizer', { factor: 0.5, mode: 'columns' }),
      kernel_constraint: own('MinMaxNorm', { min_value: 0.5, max_value: 2, rate: 0.5, axis: [0, 1] }),
    }),
    own('Dense', {
      name: 'out',
      units: 3,
      activation: 'softmax',
      kernel_regularizer: own('L1L2', { l1: 0.5, l2: 0.25 }),
      kernel_constraint: own('MaxNorm', { max_value: 2, axis: 0 }),
      bias_constraint: own('UnitNorm', { axis: 0 }),
    }),
  ];
  const topology = own('Sequential', { name: 'm', layers });
  const prepared = await prepareJob(dataset, { batchSize: 4, epochs: 1, seed: 1, topology });
  const written = { job: prepared.job, weights: prepared.initialWeights, names: prepared.weightNames };
  expect(written.job.optimizer.tensorRules).toHaveLength(7);
  await checkWritten(dataset, written);
  await keep('rules', written, dataset.train);
  // The topology of a saved model has none, but its job has them.
  const { topology: plain, ...job } = written.job;
  const metadata = { gradcast: '0.1.0', dataDescription: '', epochs: 1, val_loss: null, job };
  const saved = describeModel(metadata, plain, written.names, 'weights.bin');
  await folder.write('weights.bin', Buffer.from(written.weights.buffer));
  const found = await readModelFile(await folder.write('model.json', Buffer.from(JSON.stringify(saved))));
  const again = await prepareJob(dataset, { batchSize: 4, epochs: 1, seed: 1, topology: found.topology });
  expect(again.job.optimizer.tensorRules).toEqual(written.job.optimizer.tensorRules);
});

test('the default model is written with its dropout', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
  const prepared = { job, weights: initialWeights, names: weightNames };
  await checkWritten(digits, prepared);
  await keep('default', prepared, digits.train);
});

describe('settings that Keras reads otherwise without them', () => {
  const layer = (class_name: string, config: { name: string; [key: string]: unknown }, from?: string) => ({
    class_name,
    name: config.name,
    config,
    inbound_nodes: from === undefined ? [] : [[[from, 0, 0, {}]]],
  });
  interface Written {
    class_name: string;
    config: Record<string, unknown>;
    inbound_nodes: unknown;
  }
  const dataset = kerasDataset(reference);

  /** Layers of the written file. */
  async function writtenLayers(...layers: ReturnType<typeof layer>[]): Promise<Written[]> {
    const topology = {
      class_name: 'Functional',
      config: {
        name: 'a/model',
        layers: [
          layer('InputLayer', { name: 'in', batch_input_shape: [null, 9, 8, 2] }),
          layer('Reshape', { name: 'rows', target_shape: [9, 16] }, 'in'),
          ...layers,
          layer('Flatten', { name: 'flat' }, layers.at(-1)!.name),
          layer('Dense', { name: 'out/probabilities', units: 3, activation: 'softmax' }, 'flat'),
        ],
        input_layers: [['in', 0, 0]],
        output_layers: [['out/probabilities', 0, 0]],
      },
    };
    const prepared = await prepareJob(dataset, { batchSize: 4, epochs: 1, seed: 1, topology });
    const { job, initialWeights, weightNames } = prepared;
    const named = nameWeights(initialWeights, weightNames, job.layout);
    const { topology: found } = await readModelFile(
      await folder.write('settings.keras', await kerasArchive(job, named, savedAt)),
    );
    const model = found as unknown as { config: { name: string; layers: Written[]; output_layers: unknown } };
    expect(model.config.name).toBe('a_model');
    expect(JSON.stringify(model.config.output_layers)).toContain('"out_probabilities"');
    return model.config.layers;
  }

  test('a group normalization with one group keeps it: Keras would have 32', async () => {
    const layers = await writtenLayers(layer('GroupNormalization', { name: 'norm', groups: 1 }, 'rows'));
    expect(layers.find(({ class_name: name }) => name === 'GroupNormalization')?.config.groups).toBe(1);
  });

  test('a recurrent layer keeps the zeros of its masked steps', async () => {
    const lstm = { name: 'lstm', units: 3, return_sequences: true, zero_output_for_mask: true };
    const layers = await writtenLayers(
      layer('Masking', { name: 'mask', mask_value: 0 }, 'rows'),
      layer('LSTM', lstm, 'mask'),
    );
    const written = layers.find(({ class_name: name }) => name === 'LSTM');
    expect(written?.config.zero_output_for_mask).toBe(true);
  });

  test('attention with one input has it as query and value', async () => {
    const attention = { name: 'attention', num_heads: 2, key_dim: 3 };
    const layers = await writtenLayers(layer('MultiHeadAttention', attention, 'rows'));
    const written = layers.find(({ class_name: name }) => name === 'MultiHeadAttention');
    expect(JSON.stringify(written?.inbound_nodes).match(/"rows",0,0/g)).toHaveLength(2);
  });

  test('names have no slashes, and differ as before', async () => {
    const layers = await writtenLayers(
      layer('Dense', { name: 'a_b', units: 3 }, 'rows'),
      layer('Dense', { name: 'a/b', units: 3 }, 'a_b'),
    );
    const names = layers.map(({ config }) => config.name);
    expect(names).toEqual(['in', 'rows', 'a_b', 'a_b_1', 'flat', 'out_probabilities']);
    expect(JSON.stringify(layers[3]?.inbound_nodes)).toContain('"a_b",0,0');
  });

  test('a ReLU that Keras refuses is refused', async () => {
    const relu = layer('ReLU', { name: 'relu', threshold: -0.5 }, 'rows');
    await expect(writtenLayers(relu)).rejects.toThrow(
      'Layer relu (ReLU) cannot be written for Keras 3, which refuses negative settings of it.',
    );
  });
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
