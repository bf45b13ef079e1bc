import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { describeDiskError } from './disk-error.ts';

/**
 * Makes a folder and its missing parents. Node's own recursive mkdir never returns where a file system takes no new folders
 * (/proc), and reports a read-only disk as a missing folder.
 * @param makeOne makes one folder whose parent exists
 * @throws Error with a sentence that names the folder and why it cannot be made
 */
export async function makeFolder(
  path: string,
  makeOne: (path: string) => Promise<unknown> = (folder) => mkdir(folder),
): Promise<void> {
  try {
    for (const folder of await missingFolders(resolve(path))) await makeMissing(folder, makeOne);
  } catch (error) {
    throw new Error(`The folder ${path} cannot be made: ${describeDiskError(error)}.`, { cause: error });
  }
}

async function makeMissing(folder: string, makeOne: (path: string) => Promise<unknown>): Promise<void> {
  try {
    await makeOne(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process has made it in the meantime.
    if (code === 'EEXIST' && (await isFolder(folder))) return;
    if (code !== 'ENOENT') throw error;
    throw new Error(`${dirname(folder)} takes no new folders`, { cause: error });
  }
}

/** Missing folders of a path, from the outermost to the innermost. */
async function missingFolders(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    try {
      if (await isFolder(at)) return missing;
      throw Object.assign(new Error(`${at} is a file`), { code: 'ENOTDIR' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(at) === at) throw error;
      missing.unshift(at);
    }
  }
}

const isFolder = async (path: string): Promise<boolean> => (await stat(path)).isDirectory();
