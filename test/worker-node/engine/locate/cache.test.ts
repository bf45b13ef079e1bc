import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nativeCandidates } from '../../../../worker-node/engine/locate/candidates.ts';
import {
  bindingDir,
  cachedEngines,
  MANIFEST_FILE,
  type Manifest,
} from '../../../../worker-node/engine/locate/cache.ts';
import { findNodeHeaders } from '../../../../worker-node/engine/install/npm.ts';
import {
  createStaging,
  publishStaging,
  removeStaleStaging,
} from '../../../../worker-node/engine/install/staging.ts';
import {
  engineKey,
  currentTarget,
  type Target,
  type Variant,
} from '../../../../worker-node/engine/locate/target.ts';

let cacheDir: string;
beforeEach(async () => void (cacheDir = await mkdtemp(join(tmpdir(), 'gradcast-cache-'))));
afterEach(() => rm(cacheDir, { recursive: true, force: true }));

const target = currentTarget();
const manifest = (tensorflow: string, variant: Variant, made: Target = target): Manifest => ({
  format: 1,
  ...made,
  tfjs: '4.22.0',
  tensorflow,
  variant,
  way: 'wheel',
});

/** Creates an engine of empty files. */
async function fakeEngine(made: Manifest): Promise<string> {
  const staging = await createStaging(cacheDir);
  const binding = bindingDir(staging, made.variant);
  await mkdir(join(binding, 'lib', `napi-v${made.napi}`), { recursive: true });
  await writeFile(join(binding, 'package.json'), '{}');
  await writeFile(join(binding, 'lib', `napi-v${made.napi}`, 'tfjs_binding.node'), made.tensorflow);
  const folder = join(cacheDir, engineKey(target, made.variant, made.tensorflow));
  await publishStaging(staging, folder, made);
  return folder;
}

test('engines in the cache are sorted: GPU first, then newer TensorFlow first', async () => {
  const [old, recent, gpu] = [
    await fakeEngine(manifest('2.9.1', 'cpu')),
    await fakeEngine(manifest('2.21.0', 'cpu')),
    await fakeEngine(manifest('2.10.0', 'gpu')),
  ];
  expect(cachedEngines(cacheDir, target).map(({ folder }) => folder)).toEqual([gpu, recent, old]);
  const candidates = nativeCandidates(cacheDir, target, {});
  expect(candidates.map(({ variant, folder }) => [variant, folder])).toEqual([
    ['gpu', undefined],
    ['gpu', gpu],
    ['cpu', undefined],
    ['cpu', recent],
    ['cpu', old],
  ]);
  expect(candidates.at(-1)?.missing).toBeNull();
});

test('engines of other machines, incomplete ones and other folders are skipped', async () => {
  await fakeEngine(manifest('2.21.0', 'cpu', { ...target, arch: 'other' }));
  await mkdir(join(cacheDir, 'half'));
  await mkdir(join(cacheDir, 'empty'));
  await writeFile(join(cacheDir, 'half', MANIFEST_FILE), JSON.stringify(manifest('2.21.0', 'cpu')));
  await writeFile(join(cacheDir, 'file'), '');
  await createStaging(cacheDir);
  expect(cachedEngines(cacheDir, target)).toEqual([]);
  expect(cachedEngines(join(cacheDir, 'nowhere'), target)).toEqual([]);
});

test('an engine without its addon has a reason', async () => {
  const folder = await fakeEngine(manifest('2.21.0', 'cpu'));
  await rm(join(bindingDir(folder, 'cpu'), 'lib'), { recursive: true });
  expect(nativeCandidates(cacheDir, target, {}).at(-1)?.missing).toBe('installed without its addon');
});

test('files of a killed installation are removed, and no others', async () => {
  const folder = await fakeEngine(manifest('2.21.0', 'cpu'));
  const staging = await createStaging(cacheDir);
  await writeFile(join(staging, 'half'), '');
  expect(await removeStaleStaging(cacheDir)).toBe(1);
  expect(existsSync(staging)).toBe(false);
  expect(cachedEngines(cacheDir, target)[0]?.folder).toBe(folder);
});

test('an engine with the same key is replaced', async () => {
  await fakeEngine(manifest('2.21.0', 'cpu'));
  const folder = await fakeEngine(manifest('2.21.0', 'cpu'));
  expect(await readdir(cacheDir)).toEqual([folder.slice(cacheDir.length + 1)]);
});

test("Node's headers are those of the running major version, if available", async () => {
  const prefix = async (name: string, major: number): Promise<string> => {
    const include = join(cacheDir, name, 'include', 'node');
    await mkdir(include, { recursive: true });
    for (const file of ['node_api.h', 'common.gypi']) await writeFile(join(include, file), '');
    await writeFile(join(include, 'node_version.h'), `#define NODE_MAJOR_VERSION ${major}\n`);
    return join(cacheDir, name);
  };
  const named = await prefix('named', 99);
  const own = await prefix('own', 99);
  const other = await prefix('other', 98);
  const node = join(own, 'bin', 'node');
  expect(findNodeHeaders(node, '99.1.0', named)).toBe(named);
  expect(findNodeHeaders(node, '99.1.0', other)).toBe(own);
  expect(findNodeHeaders(node, '99.1.0')).toBe(own);
  expect(findNodeHeaders(join(other, 'bin', 'node'), '99.1.0')).toBe(other);
});
