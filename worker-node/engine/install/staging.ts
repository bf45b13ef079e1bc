import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MANIFEST_FILE, type Manifest } from '../locate/cache.ts';

const STAGING_PREFIX = '.staging-';

/**
 * A new, empty folder to build an engine in, beside where it will be. Names are never used twice: a compiler that
 * outlives its killed install cannot write into the next one's.
 */
export async function createStaging(cacheDir: string): Promise<string> {
  const folder = join(cacheDir, `${STAGING_PREFIX}${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  return folder;
}

/**
 * Removes what killed installs have left. Only to be called by whoever holds the lock: then nobody is building.
 * @returns how many there were
 */
export async function removeStaleStaging(cacheDir: string): Promise<number> {
  const stale = (await readdir(cacheDir)).filter((name) => name.startsWith(STAGING_PREFIX));
  for (const name of stale) await removeFolder(join(cacheDir, name));
  return stale.length;
}

/** Gives a finished engine its name, in one rename; what had that name before is replaced. */
export async function publishStaging(staging: string, folder: string, manifest: Manifest): Promise<void> {
  await writeFile(join(staging, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
  const old = `${staging}-old`;
  await rename(folder, old).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  });
  await rename(staging, folder);
  await removeFolder(old);
}

/** What cannot be removed now, because an orphan still writes there, goes next time. */
export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => undefined);
}
