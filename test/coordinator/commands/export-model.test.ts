import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { exportModel } from '../../../coordinator/commands/export-model.ts';
import { prepareJob } from '../../../coordinator/model/model.ts';
import { readModelFile } from '../../../coordinator/model-file/model-file.ts';
import { modelToSave, saveModel } from '../../../coordinator/run/model-folder.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';

const folder = await mkdtemp(join(tmpdir(), 'gradcast-export-'));
afterAll(() => rm(folder, { recursive: true }));

test('the model of a run, or of its model/, is written for Keras', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, { batchSize: 8, epochs: 1, seed: 1 });
  const training = { gradcast: '0', dataDescription: 'digits', epochs: 1 };
  const model = modelToSave(job, { weights: initialWeights, names: weightNames }, training, null);
  await saveModel(join(folder, 'model'), model);
  for (const dir of [folder, join(folder, 'model')]) {
    const lines: string[] = [];
    const keras = join(folder, 'out.keras');
    await exportModel(dir, { keras }, { info: (line) => lines.push(line) });
    expect(lines).toEqual([
      `Wrote ${keras}: the model after 1 epoch, for keras.saving.load_model('${keras}') in Python.`,
      'It takes pixels divided by 255, as float32.',
      'It is compiled with the optimizer, loss and metrics of the run, and fit() starts the optimizer anew.',
    ]);
    const { weights, compileConfig } = await readModelFile(keras);
    expect(compileConfig).toMatchObject({
      optimizer: { class_name: 'Adadelta', config: { learning_rate: 1, rho: 0.95, epsilon: 1e-8 } },
      loss: 'sparse_categorical_crossentropy',
      metrics: ['accuracy'],
    });
    // Keras refuses whole numbers as learning rates.
    expect((await readFile(keras)).includes('"learning_rate":1.0,')).toBe(true);
    expect(weights?.get('dense_2/bias')?.values).toEqual(initialWeights.slice(-10));
  }
});

test('the loss and metrics of the written model are those that Keras takes', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, {
    batchSize: 8,
    epochs: 1,
    seed: 1,
    loss: 'categorical_generalized_cross_entropy',
    metrics: [{ name: 'fbeta_score', beta: 2, threshold: 1 }],
  });
  const training = { gradcast: '0', dataDescription: 'digits', epochs: 1 };
  const model = modelToSave(job, { weights: initialWeights, names: weightNames }, training, null);
  await saveModel(join(folder, 'model'), model);
  const keras = join(folder, 'out.keras');
  await exportModel(folder, { keras }, { info: () => undefined });
  const { compileConfig } = await readModelFile(keras);
  // Keras has no name for the function of this loss.
  expect(compileConfig?.loss).toMatchObject({ class_name: 'CategoricalGeneralizedCrossEntropy' });
  // It refuses whole numbers as these options.
  const text = await readFile(keras);
  for (const option of ['"beta":2.0', '"threshold":1.0']) expect(text.includes(option), option).toBe(true);
});

test('what the written model does not have is named', async () => {
  const digits = syntheticDigits({ seed: 1, trainCount: 8, testCount: 1 });
  const { job, initialWeights, weightNames } = await prepareJob(digits, {
    batchSize: 8,
    epochs: 1,
    seed: 1,
    optimizer: { name: 'adamw', noDecay: ['bias'], schedule: { name: 'plateau' } },
  });
  const training = { gradcast: '0', dataDescription: 'digits', epochs: 1 };
  const parts = { weights: initialWeights, names: weightNames };
  await saveModel(join(folder, 'other'), modelToSave(job, parts, training, null));
  const lines: string[] = [];
  await exportModel(
    join(folder, 'other'),
    { keras: join(folder, 'o.keras') },
    { info: (line) => lines.push(line) },
  );
  expect(lines.at(-1)).toBe(
    'It is compiled with the optimizer, loss and metrics of the run, and fit() starts the optimizer anew, without ' +
      'the tensors that have no weight decay (exclude_from_weight_decay) and the plateau schedule (ReduceLROnPlateau).',
  );
});

test('other names and folders are refused', async () => {
  const report = { info: () => undefined };
  await expect(exportModel(folder, {}, report)).rejects.toThrow(
    'Name the format with --format: keras, onnx, safetensors or savedmodel. A file such as --out model.onnx says it too.',
  );
  await expect(exportModel(folder, { keras: 'a.h5' }, report)).rejects.toThrow('does not end in .keras');
  await writeFile(join(folder, 'x'), '');
  await expect(exportModel(join(folder, 'none'), { keras: 'a.keras' }, report)).rejects.toThrow(
    'No gradcast model in',
  );
});
