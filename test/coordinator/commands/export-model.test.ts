import { mkdtemp, rm, writeFile } from 'node:fs/promises';
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
    ]);
    const { weights } = await readModelFile(keras);
    expect(weights?.get('dense_2/bias')?.values).toEqual(initialWeights.slice(-10));
  }
});

test('other names and folders are refused', async () => {
  const report = { info: () => undefined };
  await expect(exportModel(folder, {}, report)).rejects.toThrow(
    'Name the file to write: --keras model.keras',
  );
  await expect(exportModel(folder, { keras: 'a.h5' }, report)).rejects.toThrow('does not end in .keras');
  await writeFile(join(folder, 'x'), '');
  await expect(exportModel(join(folder, 'none'), { keras: 'a.keras' }, report)).rejects.toThrow(
    'No gradcast model in',
  );
});
