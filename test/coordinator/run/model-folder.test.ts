import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  loadModel,
  modelToSave,
  saveModel,
  type ModelToSave,
} from '../../../coordinator/run/model-folder.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import { fullDisk } from '../../support/full-disk.ts';

let dir = '';
beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), 'gradcast-model-')), 'model');
});
afterEach(() => rm(join(dir, '..'), { recursive: true }));

const { topology, ...job } = exampleJob;

function model(...weights: number[]): ModelToSave {
  return {
    metadata: {
      gradcast: '0.1.0',
      dataDescription: 'Made for a test.',
      epochs: 3,
      val_loss: 0.25,
      val_accuracy: null,
      job,
    },
    topology,
    weights: Float32Array.from(weights),
    names: ['dense/kernel', 'dense/bias'],
  };
}

const filesOf = async (): Promise<string[]> => (await readdir(dir)).sort();
const weightFiles = async (): Promise<string[]> => (await filesOf()).filter((file) => file.endsWith('.bin'));

/** Changes model.json on disk. */
async function edit(change: (text: string) => string): Promise<void> {
  const file = join(dir, 'model.json');
  await writeFile(file, change(await readFile(file, 'utf8')));
}

describe('a saved model', () => {
  it('is loaded with the same job, metadata and weights', async () => {
    await saveModel(dir, model(1, -2.5, 3, 1e-30, 5, 6));
    const loaded = await loadModel(dir);
    expect(loaded.job).toEqual(exampleJob);
    expect(loaded.metadata).toEqual(model().metadata);
    expect(loaded.weights).toEqual(Float32Array.of(1, -2.5, 3, 1e-30, 5, 6));
  });

  it('is found by the folder of its run', async () => {
    await saveModel(dir, model(1, 2, 3, 4, 5, 6));
    expect(await loadModel(join(dir, '..'))).toEqual(await loadModel(dir));
  });

  it('may be a view into a larger block of weights', async () => {
    const block = Float32Array.of(0, 0, 1, 2, 3, 4, 5, 6, 0);
    await saveModel(dir, { ...model(), weights: block.subarray(2, 8) });
    expect((await loadModel(dir)).weights).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
  });

  it('has the format of tfjs-layers: names, shapes and types in the order of the file', async () => {
    await saveModel(dir, model(1, 2, 3, 4, 5, 6));
    const json = JSON.parse(await readFile(join(dir, 'model.json'), 'utf8')) as Record<string, unknown>;
    expect(json).toMatchObject({
      format: 'layers-model',
      modelTopology: topology,
      weightsManifest: [
        {
          paths: await weightFiles(),
          weights: [
            { name: 'dense/kernel', shape: [2, 2], dtype: 'float32' },
            { name: 'dense/bias', shape: [2], dtype: 'float32' },
          ],
        },
      ],
    });
  });

  it('replaces the previous model, and leaves exactly one file of weights', async () => {
    for (let save = 0; save < 4; save++) await saveModel(dir, model(save, 2, 3, 4, 5, 6));
    expect((await loadModel(dir)).weights[0]).toBe(3);
    expect(await weightFiles()).toHaveLength(1);
    expect(await filesOf()).toEqual(['model.json', ...(await weightFiles())]);
  });

  it('leaves other files in its folder', async () => {
    await saveModel(dir, model(1, 2, 3, 4, 5, 6));
    await writeFile(join(dir, 'notes.txt'), 'mine');
    await saveModel(dir, model(1, 2, 3, 4, 5, 6));
    expect(await filesOf()).toContain('notes.txt');
  });

  it.each([
    ['its weights', 10],
    ['its model.json', 24 + 10],
  ])('is kept when a full disk takes only a part of the next model: %s', async (_, freeBytes) => {
    const { topology, ...job } = exampleJob;
    const metadata = { gradcast: '1', dataDescription: '', epochs: 1, val_loss: 1, val_accuracy: 1, job };
    const model = (value: number) => ({
      metadata,
      topology,
      names: ['a', 'b'],
      weights: new Float32Array(6).fill(value),
    });
    await saveModel(dir, model(1));
    const before = await Promise.all((await readdir(dir)).map((file) => readFile(join(dir, file))));
    await expect(saveModel(dir, model(2), { openFile: fullDisk(freeBytes, 'fails') })).rejects.toThrow(
      'could not be written: the disk is full.',
    );
    const after = await Promise.all((await readdir(dir)).map((file) => readFile(join(dir, file))));
    expect(after).toEqual(before);
  });
});

describe('a folder without a complete model', () => {
  const sentence = (): RegExp =>
    new RegExp(`^No gradcast model in ${dir}: .+ Name the folder of a run, or model/ in it\\.$`, 's');

  it('is rejected if it is empty', async () => {
    await expect(loadModel(dir)).rejects.toThrow(sentence());
    await expect(loadModel(dir)).rejects.toThrow(
      `No gradcast model in ${dir}: model.json cannot be read: the file or a folder above it does not exist. Name`,
    );
  });

  it.each<[string, (text: string) => string]>([
    ['is cut short', (text) => text.slice(0, 100)],
    ['is empty', () => ''],
    ['is JSON of something else', () => '{"a": 1}'],
    ['lacks the job', (text) => text.replace('"job"', '"work"')],
    [
      'has a layout with a negative side',
      (text) => text.replace(/"shape":\s*\[\s*2,\s*2\s*\],\s*"trainable"/, '"shape": [-2, 2], "trainable"'),
    ],
  ])('is rejected if its model.json %s', async (_, change) => {
    await saveModel(dir, model(1, 2, 3, 4, 5, 6));
    await edit(change);
    await expect(loadModel(dir)).rejects.toThrow(sentence());
  });

  it('is rejected if weights are missing, or are more or fewer than the model needs', async () => {
    await saveModel(dir, model(1, 2, 3, 4, 5, 6));
    const [file] = await weightFiles();
    for (const bytes of [20, 23, 25, 28]) {
      await writeFile(join(dir, file!), new Uint8Array(bytes));
      await expect(loadModel(dir)).rejects.toThrow(`The weights have ${bytes} bytes; the model needs 24.`);
    }
    await rm(join(dir, file!));
    await expect(loadModel(dir)).rejects.toThrow(sentence());
  });
});

it.each([
  ['Your own data, from /home/ada/iris.csv.', 'Your own data, from iris.csv.'],
  ['Images from /home/ada/my pets, one folder a class.', 'Images from my pets, one folder a class.'],
  [
    'MNIST handwritten digits, downloaded to C:\\Users\\ada\\mnist.',
    'MNIST handwritten digits, downloaded to mnist.',
  ],
  ['Made for a test.', 'Made for a test.'],
])('a saved model has the name of its data, not the folders: %s', (description, saved) => {
  const training = { gradcast: '0', dataDescription: description, epochs: 1 };
  const parts = { weights: new Float32Array(2), names: ['dense/kernel', 'dense/bias'] };
  expect(modelToSave(exampleJob, parts, training, null).metadata.dataDescription).toBe(saved);
});
