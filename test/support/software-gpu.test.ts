import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { softwareGpuFolder } from './software-gpu.ts';

let root: string;
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'gradcast-browser-'))));
afterEach(() => rm(root, { recursive: true }));

/** Writes empty files. @returns the path of the first */
async function write(...names: string[]): Promise<string> {
  for (const name of names) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), '');
  }
  return join(root, names[0] ?? '');
}
const GPU = ['vk_swiftshader_icd.json', 'libvulkan.so.1', 'libvk_swiftshader.so'];
const inFolder = (folder: string): string[] => GPU.map((name) => join(folder, name));

test.each(['chromium-1194/chrome-linux', 'chromium-1208/chrome-linux64', 'opt/google/chrome'])(
  'SwiftShader is in the folder of the program, as in %s',
  async (folder) => {
    const browser = await write(`${folder}/chrome`, ...inFolder(folder));
    expect(softwareGpuFolder(browser, [])).toBe(join(root, folder));
    const link = join(root, 'chromium');
    await symlink(browser, link);
    expect(softwareGpuFolder(link, [])).toBe(join(root, folder));
  },
);

test('SwiftShader of a browser that a script elsewhere starts is in a usual folder', async () => {
  const script = await write('bin/chromium', ...inFolder('lib/chromium'));
  expect(softwareGpuFolder(script, [join(root, 'none'), join(root, 'lib/chromium')])).toBe(
    join(root, 'lib/chromium'),
  );
});

test('a browser without SwiftShader or without Vulkan has none', async () => {
  const browser = await write('chrome/chrome', 'chrome/vk_swiftshader_icd.json');
  expect(softwareGpuFolder(browser, [])).toBeNull();
});
