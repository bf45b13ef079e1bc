import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../shared/data/idx.ts';
import { ROLES, type ByRole, type Role } from './mnist-files.ts';

const IMAGE_RANKS = ['idx3', 'idx4'];
const LABEL_RANKS = ['idx1'];

/** The names that a part goes by, in the order of preference: both spellings in use, bare before gzipped. */
function namesOf(role: Role): string[] {
  const stem = `${role.startsWith('train') ? 'train' : 't10k'}-${role.endsWith('Images') ? 'images' : 'labels'}`;
  const ranks = role.endsWith('Images') ? IMAGE_RANKS : LABEL_RANKS;
  const bare = ranks.flatMap((rank) => [`${stem}-${rank}-ubyte`, `${stem}.${rank}-ubyte`]);
  return [...bare, ...bare.map((name) => `${name}.gz`)];
}

/**
 * The paths of the four files of a data folder.
 *
 * @param said how the person named the folder, for example '--data'
 * @throws DataError if the folder cannot be read or a part is missing, with the names that were looked for
 */
export async function locate(folder: string, said: string): Promise<ByRole<string>> {
  const present = await fileNames(folder, said);
  const find = (role: Role): string | undefined => namesOf(role).find((name) => present.has(name));
  const missing = ROLES.filter((role) => find(role) === undefined);
  if (missing.length > 0) {
    const lookedFor = missing.map((role) => `\n  ${namesOf(role).join(', ')}`).join('');
    throw new DataError(
      `${folder} (from ${said}): expected four IDX files, found no file by any name of ` +
        `${missing.length === ROLES.length ? 'any' : String(missing.length)} of them. Looked for:${lookedFor}\n` +
        `Put them there, point ${said} at the folder that holds them, or leave ${said} out to use MNIST.`,
    );
  }
  const path = (role: Role): string => join(folder, find(role) ?? '');
  return {
    trainImages: path('trainImages'),
    trainLabels: path('trainLabels'),
    testImages: path('testImages'),
    testLabels: path('testLabels'),
  };
}

/** Only files: some archives unpack each data file into a folder of the same name. */
async function fileNames(folder: string, said: string): Promise<Set<string>> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return new Set(entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const found = code === 'ENOENT' ? 'nothing there' : code === 'ENOTDIR' ? 'a file' : message;
    throw new DataError(
      `${folder} (from ${said}): expected a folder with four IDX files, found ${found}. ` +
        `Point ${said} at a folder that holds them, or leave it out to use MNIST.`,
    );
  }
}
