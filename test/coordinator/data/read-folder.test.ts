import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadDataset } from '../../../coordinator/data/load-dataset.ts';
import { DataError } from '../../../shared/data/data-error.ts';
import type { Dataset } from '../../../shared/data/dataset.ts';
import { RecordingDataReport } from '../../support/data-mirror.ts';
import { idxBytes, tinyFiles, writeIdxFolder } from '../../support/idx-bytes.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

let root: string;
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'gradcast-data-'))));
afterEach(() => rm(root, { recursive: true }));

const noNetwork: typeof fetch = () => Promise.reject(new Error('a folder needs no network'));

function load(dataDir: string | undefined, extra: { env?: Record<string, string>; limit?: number } = {}) {
  return loadDataset({
    dataDir,
    env: extra.env ?? {},
    limit: extra.limit,
    cacheDir: join(root, 'cache'),
    fetch: noNetwork,
    report: new RecordingDataReport(),
    seed: 1,
  });
}

async function refusal(work: Promise<Dataset>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  return (error as Error).message;
}

const renamed = (files: Record<string, Uint8Array>, change: (name: string) => string) =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [change(name), bytes]));

describe('a folder of IDX files', () => {
  it('that is not MNIST has the name of its folder', async () => {
    const folder = await writeIdxFolder(join(root, 'fashion'), tinyFiles());
    const dataset = await load(folder);
    expect(dataset).toMatchObject({ name: 'fashion', ...imageTensors([4, 3, 1], 4) });
    expect(dataset.description).toContain(folder);
    expect(dataset.train.count).toBe(6);
    expect([...labelsOf(dataset.train)]).toEqual([0, 1, 2, 3, 0, 1]);
    expect([...imagesOf(dataset.test).slice(0, 3)]).toEqual([0, 1, 2]);
  });

  it.each([
    ['dashed and bare', (name: string) => name],
    ['dashed and gzipped', (name: string) => `${name}.gz`],
    ['dotted and bare', (name: string) => name.replace('-idx', '.idx')],
    ['dotted and gzipped', (name: string) => `${name.replace('-idx', '.idx')}.gz`],
  ])('is found with its names %s', async (_, change) => {
    const folder = await writeIdxFolder(join(root, 'it'), renamed(tinyFiles(), change));
    expect((await load(folder)).train.count).toBe(6);
  });

  it('may hold color images', async () => {
    const files = {
      ...tinyFiles(),
      'train-images-idx3-ubyte': idxBytes([6, 2, 2, 3]),
      't10k-images-idx3-ubyte': idxBytes([2, 2, 2, 3]),
    };
    expect((await load(await writeIdxFolder(join(root, 'it'), files))).inputs[0]?.shape).toEqual([2, 2, 3]);
  });

  it('may hold bare bytes in a file named .gz, as some browsers save them', async () => {
    const folder = await writeIdxFolder(join(root, 'it'), {});
    for (const [name, bytes] of Object.entries(tinyFiles()))
      await writeFile(join(folder, `${name}.gz`), bytes);
    expect((await load(folder)).test.count).toBe(2);
  });

  it('is limited to the given number of training samples', async () => {
    const dataset = await load(await writeIdxFolder(join(root, 'it'), tinyFiles()), { limit: 2 });
    expect([dataset.train.count, dataset.test.count]).toEqual([2, 2]);
  });

  it('can be named by MNIST_DIR, which --data overrides', async () => {
    const one = await writeIdxFolder(join(root, 'one'), tinyFiles());
    const two = await writeIdxFolder(join(root, 'two'), tinyFiles());
    expect((await load(undefined, { env: { MNIST_DIR: one } })).name).toBe('one');
    expect((await load(two, { env: { MNIST_DIR: one } })).name).toBe('two');
    const message = await refusal(load(undefined, { env: { MNIST_DIR: join(root, 'none') } }));
    expect(message).toContain('MNIST_DIR');
  });
});

describe('a folder is rejected with what was expected and found', () => {
  it('if it does not exist, or is a file', async () => {
    expect(await refusal(load(join(root, 'none')))).toMatch(/none .*--data.*found nothing there/);
    await writeFile(join(root, 'file'), '');
    expect(await refusal(load(join(root, 'file')))).toContain('is one file of a data set');
  });

  it('if a file is missing, with the files that are present and missing', async () => {
    const folder = await writeIdxFolder(join(root, 'it'), tinyFiles());
    await rm(join(folder, 't10k-labels-idx1-ubyte'));
    expect(await refusal(load(folder))).toBe(
      `${folder} (from --data) lacks test labels; found train-images-idx3-ubyte, train-labels-idx1-ubyte, ` +
        't10k-images-idx3-ubyte. Put t10k-labels-idx1-ubyte beside them, bare or packed (names with test or val are read too).',
    );
  });

  const packed = gzipSync(
    idxBytes(
      [6, 4, 3],
      new Uint8Array(72).map((_, i) => (i * i * 31) % 251),
    ),
  );
  const flipped = Uint8Array.from(packed);
  flipped[flipped.length - 5]! ^= 0xff;
  it.each([
    ['a gzip stream cut short', packed.subarray(0, 60), 'a whole gzip stream', 'it ends after 60 bytes'],
    ['a gzip stream with a flipped bit', flipped, 'a whole gzip stream', 'damaged'],
    [
      'a truncated body',
      gzipSync(idxBytes([6, 4, 3]).subarray(0, 80)),
      '88 bytes',
      '80 bytes: it is cut short by 8',
    ],
    ['images without a shape', gzipSync(idxBytes([6, 5])), '[n, height, width]', '6 x 5 numbers'],
  ])('if a file has %s', async (_, bytes, expected, found) => {
    const folder = await writeIdxFolder(
      join(root, 'it'),
      renamed(tinyFiles(), (name) => `${name}.gz`),
    );
    const path = join(folder, 'train-images-idx3-ubyte.gz');
    await writeFile(path, bytes);
    const message = await refusal(load(folder));
    for (const part of [path, expected, found]) expect(message).toContain(part);
    expect(message).not.toMatch(/delete/i);
  });

  it.each([
    ['labels are too few', { 'train-labels-idx1-ubyte': idxBytes([5]) }, 'expected 6 labels', 'found 5'],
    ['shapes disagree', { 't10k-images-idx3-ubyte': idxBytes([2, 3, 4]) }, '4 x 3 x 1', 'found 3 x 4 x 1'],
    [
      'a label is too high',
      { 't10k-labels-idx1-ubyte': idxBytes([2], [0, 255]) },
      'at most 199',
      'found label 255',
    ],
  ])('if %s', async (_, change, expected, found) => {
    const folder = await writeIdxFolder(join(root, 'it'), { ...tinyFiles(), ...change });
    const message = await refusal(load(folder));
    for (const part of [Object.keys(change)[0]!, expected, found]) expect(message).toContain(part);
    expect(message).not.toMatch(/delete/i);
  });
});
