import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unpackIdx } from '../../../coordinator/storage/gunzip.ts';
import { loadDataset } from '../../../coordinator/storage/dataset.ts';
import { DataError } from '../../../shared/data/idx.ts';
import type { Dataset } from '../../../shared/data/dataset.ts';
import { DataLines } from '../../support/data-mirror.ts';
import { idxBytes, tinyFiles, writeIdxFolder } from '../../support/idx-bytes.ts';

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
    report: new DataLines(),
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
  it('that is not MNIST goes by its own name', async () => {
    const folder = await writeIdxFolder(join(root, 'fashion'), tinyFiles());
    const dataset = await load(folder);
    expect(dataset).toMatchObject({ name: 'idx:fashion', sampleShape: [4, 3, 1], classes: 4 });
    expect(dataset.description).toContain(folder);
    expect(dataset.train.count).toBe(6);
    expect([...dataset.train.labels]).toEqual([0, 1, 2, 3, 0, 1]);
    expect([...dataset.test.images.slice(0, 3)]).toEqual([0, 1, 2]);
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

  it('may hold colour images', async () => {
    const files = {
      ...tinyFiles(),
      'train-images-idx3-ubyte': idxBytes([6, 2, 2, 3]),
      't10k-images-idx3-ubyte': idxBytes([2, 2, 2, 3]),
    };
    expect((await load(await writeIdxFolder(join(root, 'it'), files))).sampleShape).toEqual([2, 2, 3]);
  });

  it('may hold bare bytes under a name in .gz, as some browsers save them', async () => {
    const folder = await writeIdxFolder(join(root, 'it'), {});
    for (const [name, bytes] of Object.entries(tinyFiles()))
      await writeFile(join(folder, `${name}.gz`), bytes);
    expect((await load(folder)).test.count).toBe(2);
  });

  it('is cut to the limit', async () => {
    const dataset = await load(await writeIdxFolder(join(root, 'it'), tinyFiles()), { limit: 2 });
    expect([dataset.train.count, dataset.test.count]).toEqual([2, 2]);
  });

  it('can be named by MNIST_DIR, which --data overrides', async () => {
    const one = await writeIdxFolder(join(root, 'one'), tinyFiles());
    const two = await writeIdxFolder(join(root, 'two'), tinyFiles());
    expect((await load(undefined, { env: { MNIST_DIR: one } })).name).toBe('idx:one');
    expect((await load(two, { env: { MNIST_DIR: one } })).name).toBe('idx:two');
    const message = await refusal(load(undefined, { env: { MNIST_DIR: join(root, 'none') } }));
    expect(message).toContain('MNIST_DIR');
  });
});

describe('a folder that cannot be used is refused with what was expected and found', () => {
  it('where there is none, or a file in its place', async () => {
    expect(await refusal(load(join(root, 'none')))).toMatch(/none .*--data.*found nothing there/);
    await writeFile(join(root, 'file'), '');
    expect(await refusal(load(join(root, 'file')))).toContain('found a file');
  });

  it('where a file is missing, with every name that was looked for', async () => {
    const folder = await writeIdxFolder(join(root, 'it'), tinyFiles());
    await rm(join(folder, 't10k-labels-idx1-ubyte'));
    const message = await refusal(load(folder));
    expect(message).toContain(folder);
    for (const name of ['t10k-labels-idx1-ubyte', 't10k-labels.idx1-ubyte']) {
      expect(message).toContain(`${name},`);
      expect(message).toContain(`${name}.gz`);
    }
    expect(message).not.toContain('train-images');
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
      'a cut body',
      gzipSync(idxBytes([6, 4, 3]).subarray(0, 80)),
      '88 bytes',
      '80 bytes: it is cut short by 8',
    ],
    ['a wrong header', gzipSync(idxBytes([6, 4])), '0x00000803 or 0x00000804', '0x00000802'],
    [
      'more than its header says',
      gzipSync(Buffer.concat([idxBytes([6, 4, 3]), Buffer.alloc(1 << 20)])),
      '88 bytes (its header says so)',
      'more of them in the gzip stream',
    ],
    [
      'a header that promises more than gzip can hold',
      gzipSync(idxBytes([6, 4, 3]).fill(255, 4)),
      'its header says so',
      'bytes of gzip, which hold less',
    ],
    ['zeros that are no data', gzipSync(Buffer.alloc(1 << 20)), '0x00000803', '0x00000000'],
  ])('where a file has %s', async (_, bytes, expected, found) => {
    const folder = await writeIdxFolder(
      join(root, 'it'),
      renamed(tinyFiles(), (name) => `${name}.gz`),
    );
    const path = join(folder, 'train-images-idx3-ubyte.gz');
    await writeFile(path, bytes);
    const message = await refusal(load(folder));
    for (const part of [path, expected, found, 'Delete it', '--data']) expect(message).toContain(part);
  });

  it.each([
    ['labels are too few', { 'train-labels-idx1-ubyte': idxBytes([5]) }, 'expected 6 labels', 'found 5'],
    ['shapes disagree', { 't10k-images-idx3-ubyte': idxBytes([2, 3, 4]) }, '4 x 3 x 1', 'found 3 x 4 x 1'],
    [
      'a label is absurd',
      { 't10k-labels-idx1-ubyte': idxBytes([2], [0, 255]) },
      'at most 199',
      'found label 255',
    ],
  ])('where %s', async (_, change, expected, found) => {
    const folder = await writeIdxFolder(join(root, 'it'), { ...tinyFiles(), ...change });
    const message = await refusal(load(folder));
    for (const part of [Object.keys(change)[0]!, expected, found, '--data']) expect(message).toContain(part);
  });
});

describe('gzip', () => {
  const inflated = async (bytes: Uint8Array): Promise<number> =>
    (await unpackIdx(gzipSync(bytes), 'it')).length;

  it('that is no IDX file is unpacked no further than a header', async () => {
    expect(await inflated(new Uint8Array(1 << 24))).toBe(20);
    expect(await inflated(Buffer.from('<html>not found</html>'))).toBe(20);
    expect(await inflated(Uint8Array.of(0, 0, 8))).toBe(3);
  });

  it('is unpacked as a whole where it is as long as its header says, whatever stands before it', async () => {
    const file = idxBytes([100, 20, 30]);
    expect(await unpackIdx(gzipSync(file), 'it')).toEqual(file);
    // A gzip header may hold a name (RFC 1952, FNAME).
    const packed = gzipSync(file);
    const named = Buffer.concat([
      packed.subarray(0, 10),
      Buffer.alloc(60_000, 'x'),
      Buffer.of(0),
      packed.subarray(10),
    ]);
    named[3] = 8;
    expect(await unpackIdx(named, 'it')).toEqual(file);
  });
});
