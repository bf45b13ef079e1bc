import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  SampleCache,
  type CachedPart,
  type SampleCacheOptions,
} from '../../../../coordinator/data/images/sample-cache.ts';

const SAMPLE_BYTES = 1000;
const RECORD_BYTES = SAMPLE_BYTES + 8;

let folder: string;
const warnings: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gradcast-samples-'));
  warnings.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const openCaches = (parts: readonly CachedPart[], options: Partial<SampleCacheOptions> = {}) =>
  SampleCache.open(parts, {
    folder,
    sampleBytes: SAMPLE_BYTES,
    warn: (line) => warnings.push(line),
    ...options,
  });
async function openCache(options: Partial<SampleCacheOptions> = {}): Promise<SampleCache | null> {
  const [cache = null] = await openCaches([{ key: 'a', count: 10 }], options);
  return cache;
}
const sampleOf = (number: number): Uint8Array =>
  Uint8Array.from({ length: SAMPLE_BYTES }, (_, i) => (number * 7 + i) % 256);

async function read(cache: SampleCache | null, number: number): Promise<Uint8Array | null> {
  const target = new Uint8Array(SAMPLE_BYTES);
  return (await cache!.read(number, target)) ? target : null;
}

describe('SampleCache', () => {
  it('has the samples that were written, also for another process', async () => {
    const cache = await openCache();
    expect(await read(cache, 3)).toBeNull();
    await cache!.write(3, sampleOf(3));
    await cache!.write(0, sampleOf(0));
    const other = await openCache();
    expect(await read(other, 3)).toEqual(sampleOf(3));
    expect(await read(other, 0)).toEqual(sampleOf(0));
    // Between the two, and behind them.
    expect(await read(other, 1)).toBeNull();
    expect(await read(other, 9)).toBeNull();
    expect(await read(other, 10)).toBeNull();
    expect(warnings).toEqual([]);
  });

  it('takes samples from two writers at once', async () => {
    const caches = [await openCache(), await openCache()];
    await Promise.all(
      caches.flatMap((cache) => Array.from({ length: 10 }, (_, i) => cache!.write(i, sampleOf(i)))),
    );
    for (let i = 0; i < 10; i++) expect(await read(caches[i % 2]!, i)).toEqual(sampleOf(i));
  });

  it.each([
    ['of which a byte changed', async (path: string) => overwrite(path, RECORD_BYTES + 500, [1, 2, 3])],
    ['with the number of another one', async (path: string) => overwrite(path, RECORD_BYTES, [5])],
    ['that was written in part', async (path: string) => truncate(path, 2 * RECORD_BYTES - 1)],
    [
      'of zeros',
      async (path: string) => overwrite(path, RECORD_BYTES, new Array<number>(RECORD_BYTES).fill(0)),
    ],
    ['of a file that was emptied', async (path: string) => truncate(path, 0)],
  ])('does not have a sample %s, until it is written again', async (_, damage) => {
    const cache = await openCache();
    await cache!.write(1, sampleOf(1));
    await damage(join(folder, 'a.samples'));
    expect(await read(cache, 1)).toBeNull();
    await cache!.write(1, sampleOf(1));
    expect(await read(cache, 1)).toEqual(sampleOf(1));
  });

  it('keeps as many samples as fit the limit', async () => {
    const cache = await openCache({ maxBytes: 4 * RECORD_BYTES + 5 });
    expect(cache?.count).toBe(4);
    await cache!.write(4, sampleOf(4));
    await cache!.write(3, sampleOf(3));
    expect(await read(cache, 4)).toBeNull();
    expect(await read(cache, 3)).toEqual(sampleOf(3));
    expect(await openCache({ maxBytes: 10 })).toBeNull();
  });

  it('shares the limit between the parts of a data set, and removes none of them', async () => {
    const parts = [
      { key: 'train', count: 6 },
      { key: 'test', count: 8 },
    ];
    const limits = { maxBytes: 10 * RECORD_BYTES };
    const caches = await openCaches(parts, limits);
    expect(caches.map((cache) => cache?.count)).toEqual([6, 4]);
    for (const cache of caches) await cache!.write(0, sampleOf(0));
    await openCaches(parts, limits);
    expect((await readdir(folder)).toSorted()).toEqual(['test.samples', 'train.samples']);
    const [train, test] = await openCaches(parts, { maxBytes: 6 * RECORD_BYTES });
    expect(await read(train!, 0)).toEqual(sampleOf(0));
    expect(test).toBeNull();
  });

  it('removes the caches that were not used for longest, and no other files', async () => {
    const large = new Uint8Array(SAMPLE_BYTES * 100);
    for (const [i, name] of ['old', 'older', 'recent'].entries()) {
      await writeFile(join(folder, `${name}.samples`), large);
      const usedAt = new Date(Date.UTC(2026, 0, [2, 1, 3][i]));
      await utimes(join(folder, `${name}.samples`), usedAt, usedAt);
    }
    await writeFile(join(folder, 'notes.txt'), large);
    const { blocks } = await stat(join(folder, 'old.samples'));
    await openCache({ maxBytes: 10 * RECORD_BYTES + 1.5 * blocks * 512 });
    expect((await readdir(folder)).toSorted()).toEqual(['a.samples', 'notes.txt', 'recent.samples']);
  });

  it('is none, with a warning, if its folder or file cannot be used', async () => {
    await writeFile(join(folder, 'file'), '');
    expect(await openCache({ folder: join(folder, 'file') })).toBeNull();
    await mkdir(join(folder, 'a.samples'));
    expect(await openCache()).toBeNull();
    expect(warnings).toHaveLength(2);
    expect(warnings[1]).toBe(
      `${join(folder, 'a.samples')} cannot keep decoded images: a folder is there. Every epoch decodes them again.`,
    );
  });

  it.skipIf(process.platform !== 'linux')(
    'ends writing with one warning when the disk takes no more',
    async () => {
      const outfile = join(folder, 'cache.mjs');
      const source = fileURLToPath(
        new URL('../../../../coordinator/data/images/sample-cache.ts', import.meta.url),
      );
      await build({ entryPoints: [source], bundle: true, platform: 'node', format: 'esm', outfile });
      const program = `
        const { SampleCache } = await import(${JSON.stringify(outfile)});
        const lines = [];
        const [cache] = await SampleCache.open([{ key: 'a', count: 100 }], {
          folder: ${JSON.stringify(folder)}, sampleBytes: 1000, warn: (line) => lines.push(line),
        });
        for (let i = 0; i < 100; i++) await cache.write(i, new Uint8Array(1000));
        const has = (i) => cache.read(i, new Uint8Array(1000));
        console.log(JSON.stringify([lines, await has(0), await has(99)]));
      `;
      // Files of at most 16 KB, in place of a full disk.
      const limited = `trap '' XFSZ; ulimit -f 32; exec "$0" --input-type=module -e "$1"`;
      const { stdout } = spawnSync('sh', ['-c', limited, process.execPath, program], { encoding: 'utf8' });
      const [lines, first, last] = JSON.parse(stdout) as [string[], boolean, boolean];
      expect(lines).toEqual([expect.stringContaining('takes no more decoded images')]);
      expect([first, last]).toEqual([true, false]);
    },
  );
});

async function overwrite(path: string, position: number, bytes: readonly number[]): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(Uint8Array.from(bytes), 0, bytes.length, position);
  } finally {
    await file.close();
  }
}
