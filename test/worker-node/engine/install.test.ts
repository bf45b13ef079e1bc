import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nativeCandidates } from '../../../worker-node/engine/candidates.ts';
import { fakePrograms } from '../../support/fake-programs.ts';
import { spawnGradcast } from '../../support/worker-process.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-install-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

// Only Linux has all ways; and where an engine is in the installed packages, nothing would be installed.
const canFail =
  process.platform === 'linux' &&
  process.arch === 'x64' &&
  nativeCandidates(tmpdir()).every(({ missing }) => missing !== null);

async function install(
  cache: string,
  programs: Readonly<Record<string, string>>,
): Promise<[unknown, string]> {
  const env = await fakePrograms(join(folder, 'bin'), programs);
  const run = spawnGradcast(['engine', 'install'], { ...env, HOME: folder, XDG_CACHE_HOME: cache });
  return [await run.ended, run.output()];
}

test.runIf(canFail)('without any way, each is named with what is missing, and nothing is left', async () => {
  const cache = join(folder, 'cache');
  const npm = 'test "$1" = install || { echo "Error: no host" >&2; exit 1; }';
  const [code, output] = await install(cache, { npm, 'apt-get': 'exit 0' });
  expect(code).toBe(1);
  for (const words of ['Error: no host', 'Python 3 is missing', 'apt-get install -y g++', 'WebAssembly']) {
    expect(output).toContain(words);
  }
  expect(await readdir(join(cache, 'gradcast', 'engine'))).toEqual([]);
});

test.runIf(canFail)('a cache folder that cannot be written to is named', async () => {
  const cache = join(folder, 'file');
  await writeFile(cache, '');
  const [code, output] = await install(cache, {});
  expect(code).toBe(1);
  expect(output).toMatch(/cache folder .*file.* cannot be written to/);
});
