import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeWebGpu } from '../../support/webgpu.ts';
import { spawnGradcast } from '../../support/worker-process.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'gradcast-gpus-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

describeWebGpu((env) => {
  const driver = env.VK_DRIVER_FILES ?? '';

  /** Environment with a second software GPU: the driver's library again, in which the GPU has another name of the same length. */
  async function withSecondGpu(rename: (name: string) => string): Promise<NodeJS.ProcessEnv> {
    const manifest = JSON.parse(await readFile(driver, 'utf8')) as { readonly ICD: { library_path: string } };
    const library = await readFile(join(dirname(driver), manifest.ICD.library_path), 'latin1');
    const name = 'SwiftShader Device';
    expect(library).toContain(name);
    manifest.ICD.library_path = join(folder, 'driver.so');
    await writeFile(manifest.ICD.library_path, library.replaceAll(name, rename(name)), 'latin1');
    const second = join(folder, 'driver.json');
    await writeFile(second, JSON.stringify(manifest));
    const files = [driver, second].join(delimiter);
    return { ...env, VK_DRIVER_FILES: files, VK_ICD_FILENAMES: files };
  }

  /** Output of a worker that cannot start. */
  async function output(devices: string, of: NodeJS.ProcessEnv): Promise<string> {
    const options = ['--engine', 'webgpu', '--devices', devices];
    const worker = spawnGradcast(['worker', 'ws://127.0.0.1:1', ...options], { ...process.env, ...of });
    expect(await worker.ended, worker.output()).toBe(1);
    return worker.output();
  }

  test('software is used by its number alone, and the GPUs of the machine are named', async () => {
    expect(await output('all', env)).toMatch(
      /one that the processor replaces: 0 \(SwiftShader Device \(\w+\), software\)\. --devices 0 uses it/,
    );
    expect(await output('1', env)).toMatch(/has no GPU 1 for WebGPU; it has 0 \(SwiftShader Device/);
  });

  test('two GPUs are told apart by their names', async () => {
    const two = await withSecondGpu((name) => name.replace('Device', 'Second'));
    expect(await output('2', two)).toMatch(
      /it has \d \(SwiftShader (Device|Second) \(\w+\), software\), \d \(SwiftShader (?!\1)\w+/,
    );
  });

  test('of two GPUs with one name, the second is refused', async () => {
    const two = await withSecondGpu((name) => name);
    expect(await output('0,1', two)).toMatch(
      /^gradcast: GPU 1 \(SwiftShader Device .* cannot tell them apart/m,
    );
  });

  test('a machine without a driver is told what it needs', async () => {
    const none = join(folder, 'missing.json');
    const text = await output('all', { ...env, VK_DRIVER_FILES: none, VK_ICD_FILENAMES: none });
    expect(text).toMatch(/^gradcast: No WebGPU here: no GPU with a driver is found\. \w/m);
  });
});
