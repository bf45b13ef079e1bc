import { readdir, readlink, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { invalidFileError, DataError } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { plainFile, readError, unusableFile, type DataFile } from './data-file.ts';
import { openContents } from './unpack.ts';
import { zipOnDisk } from './zip-entries.ts';

/** torchvision keeps files three folders down (MNIST/raw/name), Kaggle's archives have one folder more. */
const MAX_DEPTH = 4;
/** A folder with more files holds single images. */
const MAX_FILES = 20_000;
/** Limit for archives that are opened. */
const MAX_ARCHIVES = 24;

/**
 * Lists all files below a data folder, including those in zip archives, sorted by name. `folder` may also be a zip archive,
 * and may end with a prefix of file names (gzip/emnist-letters), which selects these files.
 *
 * @param folder absolute path
 * @param option option or variable that named the folder, for example '--data'
 * @throws DataError if there is no such folder
 */
export async function findFiles(folder: string, option: string): Promise<DataFile[]> {
  const { root, prefix } = await resolveRoot(folder, option);
  const search: Search = { files: [], archives: 0, remainingEntries: MAX_FILES };
  if (isZip(root) && (await stat(root)).isFile()) search.files.push(...(await zipOnDisk(root, '')));
  else await walk(root, '', 0, search).catch((error: unknown) => Promise.reject(readError(root, error)));
  const files = search.files.filter(({ name }) => name.toLowerCase().startsWith(prefix));
  if (files.length === 0 && prefix !== '') throw noFolderError(folder, option, 'nothing there');
  return files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

interface Search {
  readonly files: DataFile[];
  archives: number;
  /** Number of entries that may still be listed. */
  remainingEntries: number;
}

/** Folder or archive to search, and the prefix of the names to select in it. */
async function resolveRoot(folder: string, option: string): Promise<{ root: string; prefix: string }> {
  const kind = await entryKind(folder);
  if (kind === 'folder' || (kind === 'file' && isZip(folder))) return { root: folder, prefix: '' };
  if (kind === 'file') throw await singleFileError(folder, option);
  if (kind !== 'nothing there') throw noFolderError(folder, option, kind);
  const parent = dirname(folder);
  if ((await entryKind(parent)) === 'folder') return { root: parent, prefix: basename(folder).toLowerCase() };
  for (let above = parent; above !== dirname(above); above = dirname(above)) {
    if (!isZip(above) || (await entryKind(above)) !== 'file') continue;
    const inside = folder.slice(above.length + 1).replaceAll('\\', '/');
    return { root: above, prefix: inside.toLowerCase() };
  }
  throw noFolderError(folder, option, kind);
}

const isZip = (path: string): boolean => /\.zip(\s*\(\d+\))?$/i.test(path);

async function entryKind(path: string): Promise<string> {
  try {
    const stats = await stat(path);
    return stats.isDirectory() ? 'folder' : stats.isFile() ? 'file' : SPECIAL_FILE;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'nothing there';
    throw readError(path, error);
  }
}

function noFolderError(folder: string, option: string, found: string): DataError {
  return new DataError(
    `${sanitizeForTerminal(folder)} (from ${option}): expected a file, folder or zip archive of data, found ${found}. ` +
      `Point ${option} at the data, or leave it out to use MNIST.`,
  );
}

async function singleFileError(path: string, option: string): Promise<DataError> {
  const { content, close } = await openContents(plainFile(path, basename(path), (await stat(path)).size));
  await close();
  return content.kind === 'other'
    ? invalidFileError(
        sanitizeForTerminal(path),
        'a folder or zip archive of data files',
        content.found,
        content.remedy,
      )
    : new DataError(
        `${sanitizeForTerminal(path)} (from ${option}) is one file of a data set. Point ${option} at its folder: ${sanitizeForTerminal(dirname(path))}.`,
      );
}

const SPECIAL_FILE = 'a pipe, a socket or a device, not a file';

async function walk(folder: string, below: string, depth: number, search: Search): Promise<void> {
  const entries = (await readdir(folder, { withFileTypes: true })).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  if (entries.length === 0 && below !== '') {
    search.files.push(unusableFile(folder, below, 'an empty folder, not a file'));
  }
  const subfolders: { path: string; name: string }[] = [];
  for (const entry of entries) {
    if (--search.remainingEntries < 0) return;
    if (entry.name.startsWith('.') || entry.name === '__MACOSX') continue;
    const path = join(folder, entry.name);
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    const stats = await stat(path).catch((error: unknown) => error as NodeJS.ErrnoException);
    if (stats instanceof Error)
      search.files.push(unusableFile(path, name, await explainUnreadable(path, stats)));
    else if (stats.isDirectory()) subfolders.push({ path, name });
    else if (!stats.isFile()) search.files.push(unusableFile(path, name, SPECIAL_FILE));
    else if (isZip(path) && search.archives++ < MAX_ARCHIVES)
      search.files.push(...(await listArchive(path, name, stats.size)));
    else search.files.push(plainFile(path, name, stats.size));
  }
  if (depth === MAX_DEPTH) return;
  for (const { path, name } of subfolders) {
    await walk(path, name, depth + 1, search).catch(() => {
      search.files.push(unusableFile(path, name, 'a folder that cannot be read'));
    });
  }
}

async function explainUnreadable(path: string, { code = '' }: NodeJS.ErrnoException): Promise<string> {
  const target = await readlink(path).catch(() => null);
  if (target === null) return 'a file that cannot be read';
  return code === 'ELOOP'
    ? 'a circular link'
    : `a link to ${sanitizeForTerminal(target)}, which does not exist`;
}

/**
 * Files in an archive, as if it were a folder with its name. An archive that cannot be listed counts as a plain file; its
 * contents are reported if it is chosen and opened.
 */
async function listArchive(path: string, name: string, bytes: number): Promise<DataFile[]> {
  try {
    return await zipOnDisk(path, name);
  } catch {
    return [plainFile(path, name, bytes)];
  }
}
