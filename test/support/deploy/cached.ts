import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import envPaths from 'env-paths';

/** Folder of this user for what tests download once. */
export const checksCacheDir = join(envPaths('gradcast', { suffix: '' }).cache, 'checks');

/**
 * A folder that is made once and kept for later runs of the tests. A run that is killed leaves nothing that a later one takes.
 * @param name of the folder; everything that its content depends on, such as versions
 * @param fill fills an empty folder
 */
export async function cachedFolder(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(checksCacheDir, name);
  if (existsSync(folder)) return folder;
  await mkdir(dirname(folder), { recursive: true });
  const staging = await mkdtemp(`${folder}.staging-`);
  try {
    await fill(staging);
    // Another run may have been faster.
    if (!existsSync(folder)) await rename(staging, folder);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return folder;
}
