import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chooseMeasuredData } from '../../../coordinator/commands/measured-data.ts';
import type { Preprocessing } from '../../../shared/data/preprocessing.ts';

let scratch = '';
beforeEach(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-measured-'))));
afterEach(() => rm(scratch, { recursive: true }));

const record = (source: object | null): Promise<void> =>
  writeFile(join(scratch, 'config.json'), JSON.stringify({ epochs: 1, source }));
const choose = (flags: object, preprocessing?: Preprocessing) =>
  chooseMeasuredData(scratch, flags, 'flowers', preprocessing);
const defined = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

describe('data to measure a model on', () => {
  it('is that of the run with its parts and options, also if its path is named', async () => {
    const data = join(scratch, 'own.csv');
    await record({ data, format: 'csv', validationSplit: 0.3, target: 'kind', types: { a: 'number' } });
    const own = {
      data,
      format: 'csv',
      validationSplit: 0.3,
      trainedWith: { format: 'csv', target: 'kind', types: { a: 'number' } },
    };
    expect(defined(await choose({}))).toEqual(own);
    expect(defined(await choose({ data: `${scratch}/./own.csv` }))).toEqual({
      ...own,
      data: `${scratch}/./own.csv`,
    });
    await expect(choose({ validationSplit: 0.5 })).rejects.toThrow(
      '--validation-split 0.5 is another part than the run held back, so the model was trained on some of it.',
    );
  });

  it('is all of other data, with the options of the run that the model does not have itself', async () => {
    const other = join(scratch, 'other.parquet');
    await writeFile(other, '');
    await writeFile(join(scratch, 'unnamed'), '');
    await record({
      data: join(scratch, 'own'),
      format: 'csv',
      validationSplit: 0.3,
      target: 'kind',
      imageSize: [8, 8],
    });
    const image: Preprocessing = { kind: 'image', size: [8, 8], channels: 3, fit: 'crop' };
    const trainedWith = { format: 'csv', target: 'kind' };
    expect(defined(await choose({ data: other }, image))).toEqual({
      data: other,
      trainedWith,
      measuresAll: true,
    });
    expect(defined(await choose({ testData: other, transpose: false }, image))).toEqual({
      testData: other,
      transpose: false,
      trainedWith,
      measuresAll: true,
    });
    // A name that says no format does not contradict that of the run.
    expect(await choose({ data: join(scratch, 'unnamed') }, image)).toMatchObject({ format: 'csv' });
    expect(await choose({ data: 'fashion-mnist' })).toEqual({ data: 'fashion-mnist' });
  });

  it('is asked for if the run had arrays in memory', async () => {
    await record(null);
    await expect(choose({})).rejects.toThrow(
      `${scratch} does not say where the data of its run is (flowers). Name it, or other data, with --data.`,
    );
    expect(await choose({ data: 'flowers.csv' })).toMatchObject({ data: 'flowers.csv', measuresAll: true });
    expect(await chooseMeasuredData(scratch, {}, 'mnist', undefined)).toMatchObject({ data: undefined });
  });
});
