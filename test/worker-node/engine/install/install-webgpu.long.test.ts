import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { webGpuFolder } from '../../../../worker-node/engine/webgpu/webgpu-package.ts';
import { describeWebGpu } from '../../../support/webgpu.ts';
import { spawnGradcast } from '../../../support/worker-process.ts';

describeWebGpu((env) => {
  test('npm installs WebGPU, a training step verifies it, and it can be removed', async () => {
    const cache = await mkdtemp(join(tmpdir(), 'gradcast-webgpu-'));
    onTestFinished(() => rm(cache, { recursive: true, force: true }));
    const engines = join(cache, 'gradcast', 'engine');
    const folder = webGpuFolder(engines);
    const run = async (...args: string[]): Promise<[unknown, string]> => {
      const engine = spawnGradcast(['engine', ...args], {
        ...{ ...process.env, ...env, XDG_CACHE_HOME: cache },
      });
      return [await engine.ended, engine.output()];
    };

    const [code, output] = await run('install', '--webgpu');
    expect(code, output).toBe(0);
    expect(output).toMatch(/Verified: on google swiftshader.* ms a sample at batch 2/);
    expect(output).toContain(`Installed: ${folder}`);
    expect(existsSync(join(folder, 'node_modules', 'webgpu', 'package.json'))).toBe(true);

    expect(await run('remove')).toEqual([0, 'Removed WebGPU.\n']);
    // Nothing is left of the installation, nor of its lock and its temporary folder.
    expect(await readdir(engines)).toEqual([]);
    expect(await run('remove')).toEqual([0, 'WebGPU is not installed in the cache.\n']);
  });

  test('an installation without a GPU says so and leaves nothing', async () => {
    const cache = await mkdtemp(join(tmpdir(), 'gradcast-webgpu-'));
    onTestFinished(() => rm(cache, { recursive: true, force: true }));
    // A driver that does not exist, so that no GPU of this machine is found either.
    const none = join(cache, 'none.json');
    const install = spawnGradcast(['engine', 'install', '--webgpu'], {
      ...{ ...process.env, ...env, XDG_CACHE_HOME: cache, VK_ICD_FILENAMES: none, VK_DRIVER_FILES: none },
    });
    expect(await install.ended).toBe(1);
    expect(install.output()).toMatch(/WebGPU does not work here: .*no GPU|finds no GPU/i);
    expect(await readdir(join(cache, 'gradcast', 'engine'))).toEqual([]);
  });
});
