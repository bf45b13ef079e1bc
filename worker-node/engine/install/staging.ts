import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MANIFEST_FILE, type Manifest } from '../locate/cache.ts';

const STAGING_PREFIX = '.staging-';

/**
 * Creates an empty folder to build an engine in, on the disk of the cache. Names are never reused, so that a compiler that
 * outlives its killed installation cannot write to the folder of the next one.
 */
export async function createStaging(cacheDir: string): Promise<string> {
  const folder = join(cacheDir, `${STAGING_PREFIX}${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  return folder;
}

/**
 * Removes the folders of killed installations. The caller must hold the lock, so that no other process is building.
 * @returns the number of folders
 */
export async function removeStaleStaging(cacheDir: string): Promise<number> {
  const stale = (await readdir(cacheDir)).filter((name) => name.startsWith(STAGING_PREFIX));
  for (const name of stale) await removeFolder(join(cacheDir, name));
  return stale.length;
}

/** Moves a finished engine to its folder in one rename; replaces an older one there. */
export async function publishStaging(staging: string, folder: string, manifest: Manifest): Promise<void> {
  await writeFile(join(staging, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  const old = `${staging}-old`;
  await rename(folder, old).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
  await rename(staging, folder);
  await removeFolder(old);
}

/** Removes a folder. Files to which an orphaned process still writes remain until the next time. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}
