import { mkdir, mkdtemp, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadDataset, type LoadDatasetOptions } from '../../../../coordinator/data/load-dataset.ts';
import {
  mirrorsOf,
  NAMED_SETS,
  ROLES,
  sha256,
  type NamedSet,
} from '../../../../coordinator/data/named/data-sets.ts';
import { findNamedSet } from '../../../../coordinator/data/load-named.ts';
import { imageTensors } from '../../../../shared/model/tensors.ts';
import { RecordingDataReport, startMirror } from '../../../support/data-mirror.ts';
import { idxBytes, tinyFiles, writeIdxFolder } from '../../../support/idx-bytes.ts';
import { imagesOf, labelsOf } from '../../../support/images.ts';
import { tarBytes, tarHeader } from '../../../support/tar-bytes.ts';
import { zipBytes } from '../../../support/zip-bytes.ts';
import type { StoredSplit } from '../../../../shared/data/dataset.ts';

let root: string;
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'gradcast-named-'))));
afterEach(() => rm(root, { recursive: true }));

const cacheDir = (): string => join(root, 'cache');
const limits = { connectMs: 60_000, stallMs: 60_000, totalMs: 60_000 };

const gzipped = Object.fromEntries(
  Object.entries(tinyFiles()).map(([name, bytes]) => [`${name}.gz`, gzipSync(bytes)]),
);
const fashion: NamedSet = {
  kind: 'idx',
  title: 'Small articles',
  mirrors: [],
  classNames: ['shirt', 'shoe', 'bag', 'hat'],
  files: Object.fromEntries(
    ROLES.map((role) => {
      const { name } = (NAMED_SETS['fashion-mnist'] as NamedSet & { kind: 'idx' }).files[role];
      const bytes = gzipped[`${name}.gz`]!;
      return [role, { name, bytes: bytes.length, sha256: sha256(bytes), isPacked: true }];
    }),
  ) as (NamedSet & { kind: 'idx' })['files'],
};

/** Letters from 1, with images of 2 rows and 3 columns that are stored transposed. */
const letters = zipBytes(
  Object.fromEntries(
    [
      ['train-images-idx3', idxBytes([4, 3, 2])],
      ['train-labels-idx1', idxBytes([4], [1, 2, 3, 1])],
      ['test-images-idx3', idxBytes([1, 3, 2])],
      ['test-labels-idx1', idxBytes([1], [3])],
    ].map(([name, bytes]) => [
      `gzip/emnist-letters-${name as string}-ubyte.gz`,
      gzipSync(bytes as Uint8Array),
    ]),
  ),
);

const emnist: NamedSet = {
  kind: 'emnist',
  title: 'Small letters',
  mirrors: [],
  archive: { name: 'gzip.zip', bytes: letters.length, sha256: sha256(letters) },
  part: 'letters',
  classNames: ['a', 'b', 'c'],
  firstLabel: 1,
};

/** Record of CIFAR-10: red is 1, 2, ..., green 101, ..., blue 201, ... */
const record = (label: number): Uint8Array =>
  Uint8Array.from({ length: 3073 }, (_, i) =>
    i === 0 ? label : 100 * Math.floor((i - 1) / 1024) + 1 + (((i - 1) % 1024) % 50),
  );
const cifarFiles = (): Record<string, Uint8Array> => ({
  'cifar-10-batches-bin/batches.meta.txt': Buffer.from(
    'airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n',
  ),
  'cifar-10-batches-bin/readme.html': Buffer.from('<html>'),
  ...Object.fromEntries(
    [1, 2, 3, 4, 5].map((i) => [
      `cifar-10-batches-bin/data_batch_${i}.bin`,
      Buffer.concat([record(i), record(9)]),
    ]),
  ),
  'cifar-10-batches-bin/test_batch.bin': record(7),
});
const cifarArchive = gzipSync(tarBytes(cifarFiles()));
const cifarSet = (archive: Uint8Array): NamedSet => ({
  kind: 'cifar',
  title: 'Small photographs',
  mirrors: [],
  archive: { name: 'cifar-10-binary.tar.gz', bytes: archive.length, sha256: sha256(archive) },
});

const namedSets = { 'fashion-mnist': fashion, 'emnist-letters': emnist, 'cifar-10': cifarSet(cifarArchive) };

async function load(source: string, extra: Partial<LoadDatasetOptions> = {}) {
  const report = new RecordingDataReport();
  const dataset = await loadDataset({
    dataDir: source,
    env: {},
    cacheDir: cacheDir(),
    fetch,
    report,
    seed: 1,
    limits,
    namedSets,
    ...extra,
  });
  return { dataset, report };
}

const serve = (files: Record<string, Uint8Array>) =>
  startMirror((name, response) => {
    const bytes = files[name];
    if (bytes === undefined) response.writeHead(404).end();
    else response.end(bytes);
  });

const pixelsOf = (split: unknown): number[] => [...imagesOf(split as StoredSplit)];
const classesOf = (split: unknown): number[] => [...labelsOf(split as StoredSplit)];

function expectCifar(dataset: Awaited<ReturnType<typeof load>>['dataset']): void {
  expect(dataset).toMatchObject(imageTensors([32, 32, 3], 10));
  expect(dataset.classNames?.slice(0, 2)).toEqual(['airplane', 'automobile']);
  expect(classesOf(dataset.train)).toEqual([1, 9, 2, 9, 3, 9, 4, 9, 5, 9]);
  expect(classesOf(dataset.test)).toEqual([7]);
  expect(pixelsOf(dataset.test).slice(0, 6)).toEqual([1, 101, 201, 2, 102, 202]);
}

describe('a named data set', () => {
  it('of IDX files is downloaded once, checked, and has its class names', async () => {
    await using mirror = await serve(gzipped);
    const { dataset } = await load('fashion-mnist', { mirrors: [mirror.address] });
    expect(dataset).toMatchObject({
      name: 'fashion-mnist',
      ...imageTensors([4, 3, 1], 4),
      classNames: ['shirt', 'shoe', 'bag', 'hat'],
      description: `Small articles, downloaded to ${join(cacheDir(), 'fashion-mnist')}.`,
    });
    const again = await load('Fashion_MNIST', { mirrors: [] });
    expect(again.dataset.train).toEqual(dataset.train);
    expect(mirror.requestedPaths).toHaveLength(4);
  });

  it('is not taken from a mirror with other bytes', async () => {
    await using wrong = await serve({
      ...gzipped,
      'train-labels-idx1-ubyte.gz': gzipSync(idxBytes([6], [3, 2, 1, 0, 0, 1])),
    });
    await expect(load('fashion-mnist', { mirrors: [wrong.address] })).rejects.toThrow(
      /not the published file \(SHA-256/,
    );
    await using good = await serve(gzipped);
    const { dataset } = await load('fashion-mnist', { mirrors: [wrong.address, good.address] });
    expect(classesOf(dataset.train)).toEqual([0, 1, 2, 3, 0, 1]);
  });

  it('of EMNIST is upright, with classes from 0', async () => {
    await using mirror = await serve({ 'gzip.zip': letters });
    const { dataset } = await load('emnist-letters', { mirrors: [mirror.address] });
    expect(dataset).toMatchObject({ ...imageTensors([2, 3, 1], 3), classNames: ['a', 'b', 'c'] });
    expect(dataset.isTransposed).toBeUndefined();
    expect(classesOf(dataset.train)).toEqual([0, 1, 2, 0]);
    // Stored as columns: 0 1, 2 3, 4 5.
    expect(pixelsOf(dataset.test)).toEqual([0, 2, 4, 1, 3, 5]);
    await expect(load('emnist-letters', { transpose: true })).rejects.toThrow('upright already');
  });

  it('of CIFAR is read from its archive, with the names in it', async () => {
    await using mirror = await serve({ 'cifar-10-binary.tar.gz': cifarArchive });
    const { dataset, report } = await load('cifar10', { mirrors: [mirror.address] });
    expectCifar(dataset);
    expect(dataset.description).toContain('Small photographs, downloaded to');
    expect(report.steps.at(-1)).toMatchObject({ done: cifarArchive.length, total: cifarArchive.length });
  });

  it('is the folder of that name if there is one, which a line says', async () => {
    const folder = await writeIdxFolder(join(root, 'fashion-mnist'), tinyFiles());
    const { dataset, report } = await load(folder.replace(`${process.cwd()}/`, ''));
    expect(dataset.description).toContain('Your own data');
    expect(report.infos.join('\n')).not.toContain('not downloaded');
    const before = process.cwd();
    process.chdir(root);
    try {
      const { report: lines } = await load('fashion-mnist');
      expect(lines.infos).toContain(
        `${join(process.cwd(), 'fashion-mnist')} is read; the data set named fashion-mnist is not downloaded.`,
      );
    } finally {
      process.chdir(before);
    }
  });

  it('can be divided, and refuses options of folders', async () => {
    await using mirror = await serve(gzipped);
    const { dataset } = await load('fashion-mnist', { mirrors: [mirror.address], validationSplit: 0.34 });
    expect([dataset.train.count, dataset.test.count]).toEqual([4, 2]);
    expect(dataset.classNames).toHaveLength(4);
    await expect(load('fashion-mnist', { channels: 3 })).rejects.toThrow(
      '--channels is for folders of images',
    );
  });

  it('that no mirror has is an error with the files to get', async () => {
    await using none = await serve({});
    const mirrors = [none.address];
    await expect(load('fashion-mnist', { mirrors })).rejects.toThrow(
      /fashion-mnist: expected it in .*found neither:\n {2}http.*HTTP 404.*\n.*put train-images-idx3-ubyte\.gz, train-labels-idx1-ubyte\.gz, .* into a folder and point --data at it/,
    );
    await expect(load('cifar-10', { mirrors })).rejects.toThrow(
      /HTTP 404.*\n.*get cifar-10-binary\.tar\.gz from .* and point --data at it/,
    );
    await expect(load('emnist-letters', { mirrors })).rejects.toThrow(
      'point --data at gzip.zip/gzip/emnist-letters, with --transpose',
    );
  });
});

describe('the download of an archive', () => {
  const name = 'cifar-10-binary.tar.gz';
  const noise = Uint8Array.from({ length: 300_000 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255);
  const large = gzipSync(tarBytes({ ...cifarFiles(), 'noise.bin': noise }));
  const sets = { 'cifar-10': cifarSet(large) };
  const folder = (): string => join(cacheDir(), 'cifar-10');
  const HALF = large.length >> 1;

  /** Serves ranges; breaks off once after `cut` bytes of a response. */
  function serveRanges(cut = Infinity) {
    const ranges: (string | undefined)[] = [];
    const answer = (_: string, response: ServerResponse, range: string | undefined): void => {
      ranges.push(range);
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
      const rest = large.subarray(from);
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': rest.length });
      if (ranges.length > 1 || cut === Infinity) response.end(rest);
      else response.write(rest.subarray(0, cut), () => setImmediate(() => response.destroy()));
    };
    return {
      ranges,
      start: () => startMirror((path, response, request) => answer(path, response, request.headers.range)),
    };
  }

  it('continues from another mirror, and from the next run, where it broke off', async () => {
    const first = serveRanges(HALF);
    await using broken = await first.start();
    const second = serveRanges();
    await using good = await second.start();
    const { dataset } = await load('cifar-10', { namedSets: sets, mirrors: [broken.address, good.address] });
    expectCifar(dataset);
    expect(first.ranges).toEqual([undefined]);
    expect(second.ranges).toEqual([expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
    expect(await readdir(folder())).toEqual([name]);
  });

  it('leaves a part that the next run continues', async () => {
    const mirror = serveRanges(HALF);
    await using server = await mirror.start();
    const options = { namedSets: sets, mirrors: [server.address] };
    await expect(load('cifar-10', options)).rejects.toThrow('found neither');
    expect(await readdir(folder())).toEqual([`${name}.part`]);
    const left = (await stat(join(folder(), `${name}.part`))).size;
    const { report } = await load('cifar-10', options);
    expect(mirror.ranges).toEqual([undefined, `bytes=${left}-`]);
    expect(report.infos).toContain(
      `Continuing the download of cifar-10 to ${folder()}, after ${left} of ${large.length} bytes.`,
    );
  });

  it('begins again if the part is of another file, or the mirror sends no parts', async () => {
    await mkdir(folder(), { recursive: true });
    await writeFile(join(folder(), `${name}.part`), noise.subarray(0, 1000));
    const mirror = serveRanges();
    await using server = await mirror.start();
    expectCifar((await load('cifar-10', { namedSets: sets, mirrors: [server.address] })).dataset);
    expect(mirror.ranges).toEqual(['bytes=1000-', undefined]);
    await rm(join(folder(), name));
    await writeFile(join(folder(), `${name}.part`), noise.subarray(0, 1000));
    await using whole = await serve({ [name]: large });
    expectCifar((await load('cifar-10', { namedSets: sets, mirrors: [whole.address] })).dataset);
  });

  it('takes over the part of a killed process, and leaves that of a running one', async () => {
    await mkdir(folder(), { recursive: true });
    const killed = join(folder(), `${name}.123456789012.part`);
    const running = join(folder(), `${name}.999999999999.part`);
    await writeFile(killed, large.subarray(0, HALF));
    await utimes(killed, 0, 0);
    await writeFile(running, 'x');
    const mirror = serveRanges();
    await using server = await mirror.start();
    await load('cifar-10', { namedSets: sets, mirrors: [server.address] });
    expect(mirror.ranges).toEqual([`bytes=${HALF}-`]);
    expect((await readdir(folder())).toSorted()).toEqual([name, `${name}.999999999999.part`]);
  });

  it('does not take more bytes than the archive has', async () => {
    await using endless = await serve({ [name]: Buffer.concat([large, large]) });
    await expect(load('cifar-10', { namedSets: sets, mirrors: [endless.address] })).rejects.toThrow(
      `longer than the ${large.length} bytes`,
    );
  });

  it('is made again if the archive in the cache is damaged', async () => {
    await using server = await serve({ [name]: large });
    const options = { namedSets: sets, mirrors: [server.address] };
    await load('cifar-10', options);
    await truncate(join(folder(), name), 5000);
    const { report } = await load('cifar-10', options);
    expect(report.warnings).toEqual([expect.stringContaining('found other contents. Downloading it again.')]);
    expect(server.requestedPaths).toHaveLength(2);
  });

  it('ends when its signal is aborted, with its part kept', async () => {
    const stop = new AbortController();
    const mirror = serveRanges(HALF);
    await using silent = await startMirror((_, response) => {
      response.writeHead(200, { 'content-length': large.length });
      response.write(large.subarray(0, HALF));
    });
    class StoppingReport extends RecordingDataReport {
      override progress(): void {
        stop.abort();
      }
    }
    await expect(
      load('cifar-10', {
        namedSets: sets,
        mirrors: [silent.address, 'http://127.0.0.1:1/'],
        signal: stop.signal,
        report: new StoppingReport(),
      }),
    ).rejects.toThrow(/abort/i);
    expect(await readdir(folder())).toEqual([`${name}.part`]);
    expect(mirror.ranges).toEqual([]);
  });

  it('names a folder that cannot be written', async () => {
    await writeFile(join(root, 'cache'), '');
    await expect(load('cifar-10', { namedSets: sets, mirrors: [] })).rejects.toThrow(
      /cifar-10-binary\.tar\.gz cannot be written: .* Make room for \d+ bytes/,
    );
  });
});

describe('files of CIFAR in a folder', () => {
  const own = (): string => join(root, 'own');
  const write = async (files: Record<string, Uint8Array>): Promise<string> => {
    for (const [name, bytes] of Object.entries(files)) {
      await mkdir(join(own(), name, '..'), { recursive: true });
      await writeFile(join(own(), name), bytes);
    }
    return own();
  };
  const bare = (): Record<string, Uint8Array> =>
    Object.fromEntries(Object.entries(cifarFiles()).map(([name, bytes]) => [name.split('/')[1]!, bytes]));

  it('are read bare, in their folder, and in their archive', async () => {
    expectCifar((await load(await write(cifarFiles()))).dataset);
    await rm(own(), { recursive: true });
    expectCifar((await load(await write(bare()))).dataset);
    await rm(own(), { recursive: true });
    await write({ 'cifar-10-binary.tar.gz': cifarArchive });
    expectCifar((await load(own())).dataset);
    expectCifar((await load(join(own(), 'cifar-10-binary.tar.gz'))).dataset);
  });

  it('of CIFAR-100 have the fine label', async () => {
    const fine = (coarse: number, label: number) => Buffer.concat([Uint8Array.of(coarse), record(label)]);
    const names = Array.from({ length: 100 }, (_, i) => `class ${i}`).join('\n');
    const path = await write({
      'train.bin': Buffer.concat([fine(3, 99), fine(4, 0)]),
      'test.bin': fine(5, 42),
      'fine_label_names.txt': Buffer.from(names),
    });
    const { dataset } = await load(path);
    expect(dataset).toMatchObject(imageTensors([32, 32, 3], 100));
    expect([classesOf(dataset.train), classesOf(dataset.test)]).toEqual([[99, 0], [42]]);
    expect(dataset.classNames?.[42]).toBe('class 42');
    expect(pixelsOf(dataset.test).slice(0, 3)).toEqual([1, 101, 201]);
  });

  it.each<[string, () => Record<string, Uint8Array>, RegExp]>([
    [
      'of which one is missing',
      () => without(bare(), 'data_batch_3.bin'),
      /lacks data_batch_3\.bin of cifar-10/,
    ],
    [
      'with a part of a record',
      () => ({ ...bare(), 'test_batch.bin': record(1).subarray(5) }),
      /test_batch\.bin: expected records of 3073 bytes.*found 3068/,
    ],
    [
      'that are empty',
      () => ({ ...bare(), 'test_batch.bin': Buffer.alloc(0) }),
      /test_batch\.bin: expected records .*found 0 bytes/,
    ],
    [
      'with class 10',
      () => ({ ...bare(), 'test_batch.bin': record(10) }),
      /expected classes from 0 to 9, found 10 in record 0/,
    ],
    [
      'in a cut archive',
      () => ({ 'cifar-10-binary.tar.gz': cifarArchive.subarray(0, 100) }),
      /expected a whole tar\.gz archive, found one that is cut short/,
    ],
    [
      'in a damaged archive',
      () => ({ 'cifar-10-binary.tar.gz': Buffer.from('no gzip') }),
      /expected a whole tar\.gz archive, found one that is damaged/,
    ],
    [
      'in an archive that is no tar',
      () => ({ 'cifar-10-binary.tar.gz': gzipSync(Buffer.alloc(2000, 'x')) }),
      /expected a whole tar archive, found one/,
    ],
    [
      'in an archive that ends early',
      () => ({ 'cifar-10-binary.tar.gz': gzipSync(tarBytes(cifarFiles()).subarray(0, 5000)) }),
      /expected 6146 bytes of .*data_batch_1\.bin, found \d+: the archive is cut short/,
    ],
    [
      'of more bytes than memory may take',
      () => ({ 'cifar-10-binary.tar.gz': gzipSync(tarHeader('a/train.bin', 2 ** 28 + 1)) }),
      /a\/train\.bin: expected at most 2\^28 bytes in all files of CIFAR, found more/,
    ],
    [
      'twice in an archive',
      () => ({
        'cifar-10-binary.tar.gz': gzipSync(tarBytes({ 'a/train.bin': record(1), 'b/train.bin': record(1) })),
      }),
      /b\/train\.bin: expected one file train\.bin, found a second one/,
    ],
    [
      'with very long names of classes',
      () => ({ ...bare(), 'batches.meta.txt': Buffer.alloc(2 ** 16 + 1, 'x') }),
      /batches\.meta\.txt: expected at most 65536 bytes, found more/,
    ],
    [
      'that an archive does not have',
      () => ({ 'cifar-10-binary.tar.gz': gzipSync(tarBytes({ 'a.txt': Buffer.from('x') })) }),
      /expected the files of CIFAR, found none of them/,
    ],
    [
      'in two archives',
      () => ({ 'cifar-10-binary.tar.gz': cifarArchive, 'cifar-100-binary.tar.gz': cifarArchive }),
      /holds several archives/,
    ],
  ])('%s are refused', async (_, files, sentence) => {
    await expect(load(await write(files()))).rejects.toThrow(sentence);
  });
});

describe('the table of data sets', () => {
  it('has sums, mirrors and names for each', () => {
    expect(Object.keys(NAMED_SETS).length).toBeGreaterThanOrEqual(11);
    for (const [name, set] of Object.entries(NAMED_SETS)) {
      expect(findNamedSet(name)).toBe(name);
      const files = set.kind === 'idx' ? Object.values(set.files) : [set.archive];
      for (const { sha256: sum, bytes } of files) {
        expect(sum).toMatch(/^[0-9a-f]{64}$/);
        expect(bytes).toBeGreaterThan(1000);
      }
      expect(set.mirrors.length).toBeGreaterThan(0);
      for (const mirror of set.mirrors) expect(mirror).toMatch(/^https?:\/\/.*\/$/);
    }
    const classes = (name: string): number | undefined => NAMED_SETS[name]?.classNames?.length;
    expect(
      ['letters', 'digits', 'balanced', 'bymerge', 'byclass'].map((part) => classes(`emnist-${part}`)),
    ).toEqual([26, 10, 47, 47, 62]);
  });

  it('is named in the error for a word that is neither a folder nor a data set', async () => {
    await expect(load('emnist')).rejects.toThrow(
      /There is no folder emnist, and no data set of that name\. Data sets: fashion-mnist, emnist-letters, cifar-10\./,
    );
    await expect(load('fashion-minst')).rejects.toThrow(
      "no data set of that name. Did you mean 'fashion-mnist'? Data sets: fashion-mnist,",
    );
  });

  it('is asked by any spelling, and not by paths', () => {
    expect(['Fashion-MNIST', 'CIFAR10', 'emnist_letters', 'MNIST'].map((name) => findNamedSet(name))).toEqual(
      [...['fashion-mnist', 'cifar-10', 'emnist-letters', 'mnist']],
    );
    expect(['./mnist', 'mnist/', '/data/mnist', 'emnist', 'cifar'].map((name) => findNamedSet(name))).toEqual(
      [null, null, null, null, null],
    );
  });

  it('has mirrors of the environment before the public ones', () => {
    const set = NAMED_SETS.kmnist!;
    expect(mirrorsOf('kmnist', set, { GRADCAST_DATA_MIRRORS: 'http://a/b' })).toEqual([
      'http://a/b/kmnist/',
      ...set.mirrors,
    ]);
    expect(() => mirrorsOf('kmnist', set, { GRADCAST_DATA_MIRRORS: 'a' })).toThrow(
      'GRADCAST_DATA_MIRRORS: expected http',
    );
  });
});

const without = (files: Record<string, Uint8Array>, name: string): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(files).filter(([other]) => other !== name));
