import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fitToJob } from '../../../coordinator/commands/evaluate-model.ts';
import { readRecordedSource } from '../../../coordinator/run/run-folder.ts';
import { describeSource } from '../../../coordinator/task/data.ts';
import { readSamples, type Dataset, type StoredSplit } from '../../../shared/data/dataset.ts';
import { lazySplit } from '../../support/lazy-split.ts';
import { exampleJob } from '../../shared/protocol/examples.ts';
import type { Job } from '../../../shared/model/job.ts';

const job: Job = {
  ...exampleJob,
  inputs: [{ name: 'x', shape: [2], dtype: 'float32' }],
  targets: [{ name: 'label', shape: [], dtype: 'int32', classes: 300 }],
};

function dataset(changes: Partial<Dataset> = {}): Dataset {
  const split = { count: 3, inputs: [new Float32Array(6)], targets: [Uint8Array.of(0, 7, 99)] };
  return {
    name: 'new',
    description: 'made',
    inputs: job.inputs,
    targets: [{ name: 'label', shape: [], dtype: 'uint8', classes: 100 }],
    train: split,
    test: split,
    ...changes,
  };
}

describe('data that a model is measured on', () => {
  it('may lack the last classes, and gets the type that the model has for them', async () => {
    const numbers = Uint32Array.of(0, 1, 2);
    const stored = dataset();
    for (const data of [stored, dataset({ test: lazySplit(stored.test as StoredSplit) })]) {
      const { targets } = await readSamples(fitToJob(data, job).test, numbers);
      expect(targets).toEqual([Int32Array.of(0, 7, 99)]);
    }
  });

  it('is refused if it has more classes, others by name, or values of another type', () => {
    const more = [{ name: 'label', shape: [], dtype: 'int32' as const, classes: 301 }];
    expect(() => fitToJob(dataset({ targets: more }), job)).toThrow(
      'The model was trained on made (2 numbers, 300 classes), but new is 2 numbers, 301 classes. Use other --data.',
    );
    expect(() => fitToJob(dataset({ classNames: ['a', 'b'] }), job)).toThrow(
      'but new is 2 numbers, 100 classes',
    );
    const bytes = [{ name: 'x', shape: [2], dtype: 'uint8' as const }];
    expect(() => fitToJob(dataset({ inputs: bytes }), job)).toThrow('but new is 2 bytes, 300 classes');
  });
});

describe('the data that config.json records', () => {
  let scratch = '';
  beforeEach(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-evaluate-'))));
  afterEach(() => rm(scratch, { recursive: true }));

  const record = async (config: object): Promise<void> => {
    await mkdir(join(scratch, 'model'), { recursive: true });
    await writeFile(join(scratch, 'config.json'), JSON.stringify(config));
  };

  it('has absolute paths and all options, and is found from the run and from its model', async () => {
    const flags = { target: ['kind'], limit: 5, epochs: 3, validationSplit: 0.3, transpose: true };
    const source = describeSource('test', flags, { MNIST_DIR: 'elsewhere' });
    expect(source).toEqual({
      data: join(process.cwd(), 'test'),
      target: ['kind'],
      validationSplit: 0.3,
      transpose: true,
    });
    await record({ data: 'elsewhere', source });
    expect(await readRecordedSource(scratch)).toEqual(source);
    expect(await readRecordedSource(join(scratch, 'model'))).toEqual(source);
    expect(describeSource({ source: 'fashion-mnist', test: 'test' }, {}, {})).toEqual({
      data: 'fashion-mnist',
      testData: join(process.cwd(), 'test'),
    });
  });

  it('is the folder of MNIST_DIR if no data is named', () => {
    expect(describeSource(undefined, { transpose: true }, { MNIST_DIR: 'test' })).toEqual({
      data: join(process.cwd(), 'test'),
      transpose: true,
    });
    expect(describeSource(undefined, {}, {})).toEqual({});
  });

  it('is none for arrays, and of early runs the options of the command line', async () => {
    expect(describeSource({ x: [[1]], y: [0] }, {}, {})).toBe(null);
    await record({ data: 'arrays', source: null });
    expect(await readRecordedSource(scratch)).toBe(null);
    await record({ data: 'digits/', format: 'idx', epochs: 2 });
    expect(await readRecordedSource(scratch)).toEqual({ data: 'digits/', format: 'idx' });
    await rm(join(scratch, 'config.json'));
    expect(await readRecordedSource(join(scratch, 'model'))).toBe(null);
  });
});
