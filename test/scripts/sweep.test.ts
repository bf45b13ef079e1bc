import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { sweep } from '../../scripts/sweep.js';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-sweep-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const HOUR_MS = 3_600_000;
const names = async (): Promise<string[]> =>
  (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();

test('files that no build has needed for a day are removed with their source maps and compressed files', async () => {
  const old = ['chunk-AAAAAAA1.js', 'chunk-AAAAAAA1.js.map', 'page-AAAAAAA2.js.br', 'style-AAAAAAA3.css.gz'];
  const others = ['chunk-BBBBBBB1.js', 'chunk-BBBBBBB1.js.map', 'main.js', 'index.html', 'tfjs-backend.wasm'];
  for (const name of [...old, ...others]) await writeFile(join(folder, name), '');
  const keep = new Set(['chunk-BBBBBBB1.js', 'main.js']);
  // The day begins at the first build without the files, however long ago the last build with them was.
  for (const hours of [1000, 1010, 1024]) {
    sweep(folder, keep, hours * HOUR_MS);
    expect(await names()).toEqual([...old, ...others].sort());
  }
  sweep(folder, keep, 1025 * HOUR_MS);
  expect(await names()).toEqual(others.sort());
});

test('a file that a build needs again stays for another day', async () => {
  await writeFile(join(folder, 'chunk-AAAAAAA1.js'), '');
  sweep(folder, new Set(), 0);
  sweep(folder, new Set(['chunk-AAAAAAA1.js']), 20 * HOUR_MS);
  sweep(folder, new Set(), 30 * HOUR_MS);
  expect(await names()).toHaveLength(1);
  sweep(folder, new Set(), 55 * HOUR_MS);
  expect(await names()).toEqual([]);
});
