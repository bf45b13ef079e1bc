import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../../make-folder.ts';
import { fullSentence, meansFull } from './prerequisites.ts';

const REASONS: Readonly<Record<string, string>> = {
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
export async function makeWritable(folder: string): Promise<void> {
  try {
    makeFolder(folder);
    await access(folder, constants.W_OK);
  } catch (error) {
    const { code = '', message } = await obstacle(folder, error as NodeJS.ErrnoException);
    if (meansFull(message)) throw new Error(fullSentence(folder), { cause: error });
    throw new Error(
      `The cache folder ${folder} cannot be written to (${REASONS[code] ?? message}). ` +
        'Set XDG_CACHE_HOME to a folder that can.',
      { cause: error },
    );
  }
}

/** Of a folder that cannot be made, mkdir says that it is not there; the reason lies further up. */
async function obstacle(folder: string, error: NodeJS.ErrnoException): Promise<NodeJS.ErrnoException> {
  if (error.code !== 'ENOENT' || dirname(folder) === folder) return error;
  try {
    await access(dirname(folder), constants.W_OK);
    return error;
  } catch (further) {
    return obstacle(dirname(folder), further as NodeJS.ErrnoException);
  }
}
