import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { diskFullMessage, isDiskFull } from './prerequisites.ts';

const UNWRITABLE_REASONS: Readonly<Record<string, string>> = {
  EROFS: 'it is on a read-only file system',
  EACCES: 'permission denied',
  ENOTDIR: 'a part of its path is a file',
  EEXIST: 'a part of its path is a file',
  ENOENT: 'no folders can be made there',
};

/**
 * Sees to it that there is a folder that can be written to.
 * @throws Error with a sentence
 */
export async function ensureWritable(folder: string): Promise<void> {
  try {
    makeFolder(folder);
    await access(folder, constants.W_OK);
  } catch (error) {
    const { code = '', message } = await findCause(folder, error as NodeJS.ErrnoException);
    if (isDiskFull(message)) throw new Error(diskFullMessage(folder), { cause: error });
    throw new Error(
      `The cache folder ${folder} cannot be written to (${UNWRITABLE_REASONS[code] ?? message}). ` +
        'Set XDG_CACHE_HOME to a folder that can.',
      { cause: error },
    );
  }
}

/** Of a folder that cannot be made, mkdir says that it is not there; the reason lies further up. */
async function findCause(folder: string, error: NodeJS.ErrnoException): Promise<NodeJS.ErrnoException> {
  if (error.code !== 'ENOENT' || dirname(folder) === folder) return error;
  try {
    await access(dirname(folder), constants.W_OK);
    return error;
  } catch (further) {
    return findCause(dirname(folder), further as NodeJS.ErrnoException);
  }
}
