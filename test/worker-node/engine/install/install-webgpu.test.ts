import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NO_STEP } from '../../../../worker-node/engine/benchmark/benchmark-child.ts';
import {
  adviceOn,
  installWebGpu,
  removeWebGpu,
} from '../../../../worker-node/engine/install/install-webgpu.ts';
import { thisSystem, unsupportedWebGpu } from '../../../../worker-node/engine/webgpu/system.ts';
import { spawnGradcast } from '../../../support/worker-process.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-webgpu-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a system that the package has no program for is refused before anything is written or printed', async () => {
  const lines: string[] = [];
  const cacheDir = join(folder, 'engine');
  const report = { print: (line: string) => void lines.push(line), update: () => undefined };
  const { signal } = new AbortController();
  const system = { ...thisSystem(), platform: 'linux', arch: 's390x' } as const;
  await expect(
    installWebGpu({ cacheDir, programFile: join(folder, 'missing.js'), signal, report, system }),
  ).rejects.toThrow(/^The package webgpu \S+ has no program for linux on s390x: /);
  expect(lines).toEqual([]);
  expect(await readdir(folder)).toEqual([]);
});

test('every version of WebGPU is removed, and no other engine', async () => {
  const other = 'linux-x64-napi8-tfjs4.22.0-tf2.21.0-cpu';
  for (const name of ['webgpu-0.6.1', 'webgpu-0.6.2', other, 'webgpu-notes']) {
    await mkdir(join(folder, name, 'node_modules'), { recursive: true });
    await writeFile(join(folder, name, 'package.json'), '{}');
  }
  expect(await removeWebGpu(folder)).toBe(2);
  expect(await readdir(folder)).toEqual([other, 'webgpu-notes']);
  expect(await removeWebGpu(folder)).toBe(0);
  expect(await removeWebGpu(join(folder, 'missing'))).toBe(0);
});

test.skipIf(process.platform !== 'linux' || unsupportedWebGpu(thisSystem()) !== null).each([
  [[], 1],
  [['--if-possible'], 0],
] as const)('an installation with %j that fails ends with %i and the reason', async (options, code) => {
  // No folder can be made below a file.
  const cache = join(folder, 'file');
  await writeFile(cache, '');
  const install = spawnGradcast(['engine', 'install', '--webgpu', ...options], {
    ...{ ...process.env, XDG_CACHE_HOME: cache },
  });
  expect(await install.ended, install.output()).toBe(code);
  expect(install.output()).toContain(cache);
});

test('a training step that does not end in time is explained: a GPU in software, or a driver that hangs', () => {
  const system = thisSystem();
  expect(adviceOn(NO_STEP, system)).toMatch(/^A GPU in software .* `vulkaninfo --summary` names the devices/);
  expect(adviceOn('it crashed (SIGSEGV)', system)).toBe('docs/guide/gpus.md lists causes.');
});
