import { readdir, readlink, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { invalidFileError, DataError } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { plainFile, readError, unusableFile, type DataFile } from './data-file.ts';
import { openContents } from './unpack.ts';
import { zipOnDisk } from './zip-entries.ts';

/** torchvision keeps files three folders down (MNIST/raw/name), Kaggle's archives have one folder more. */
const MAX_DEPTH = 4;
/** More files than this are a folder of images; nothing is gained by listing all of them. */
const MAX_FILES = 20_000;
/** Archives that are looked into. */
const MAX_ARCHIVES = 24;

/**
 * All files below a data folder, those in zip archives included, sorted by name. `folder` may also be a zip archive, or
 * may end in the beginning of file names (gzip/emnist-letters), which then selects these files.
 *
 * @param folder an absolute path
 * @param said how the person named the folder, for example '--data'
 * @throws DataError if there is no such folder
 */
export async function findFiles(folder: string, said: string): Promise<DataFile[]> {
  const { root, prefix } = await resolveRoot(folder, said);
  const search: Search = { files: [], archives: 0, remainingEntries: MAX_FILES };
  if (isZip(root) && (await stat(root)).isFile()) search.files.push(...(await zipOnDisk(root, '')));
  else await walk(root, '', 0, search).catch((error: unknown) => Promise.reject(readError(root, error)));
  const files = search.files.filter(({ name }) => name.toLowerCase().startsWith(prefix));
  if (files.length === 0 && prefix !== '') throw noFolderError(folder, said, 'nothing there');
  return files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

interface Search {
  readonly files: DataFile[];
  archives: number;
  /** Entries that may still be looked at. */
  remainingEntries: number;
}

/** The folder or archive to search, and the beginning of the names that are meant in it. */
async function resolveRoot(folder: string, said: string): Promise<{ root: string; prefix: string }> {
  const found = await entryKind(folder);
  if (found === 'folder' || (found === 'file' && isZip(folder))) return { root: folder, prefix: '' };
  if (found === 'file') throw await singleFileError(folder, said);
  if (found !== 'nothing there') throw noFolderError(folder, said, found);
  const parent = dirname(folder);
  if ((await entryKind(parent)) === 'folder') return { root: parent, prefix: basename(folder).toLowerCase() };
  for (let above = parent; above !== dirname(above); above = dirname(above)) {
    if (!isZip(above) || (await entryKind(above)) !== 'file') continue;
    const inside = folder.slice(above.length + 1).replaceAll('\\', '/');
    return { root: above, prefix: inside.toLowerCase() };
  }
  throw noFolderError(folder, said, found);
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

function noFolderError(folder: string, said: string, found: string): DataError {
  return new DataError(
    `${sanitizeForTerminal(folder)} (from ${said}): expected a folder or zip archive of data files, found ${found}. ` +
      `Point ${said} at a folder that holds them, or leave it out to use MNIST.`,
  );
}

async function singleFileError(path: string, said: string): Promise<DataError> {
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
        `${sanitizeForTerminal(path)} (from ${said}) is one file of a data set. Point ${said} at the folder that it is in: ${sanitizeForTerminal(dirname(path))}.`,
      );
}

const SPECIAL_FILE = 'a pipe, a socket or a device, not a file';

async function walk(folder: string, below: string, depth: number, search: Search): Promise<void> {
  const entries = (await readdir(folder, { withFileTypes: true })).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );
  if (entries.length === 0 && below !== '') {
    search.files.push(unusableFile(folder, below, 'a folder with nothing in it, not a file'));
  }
  const deeper: { path: string; name: string }[] = [];
  for (const entry of entries) {
    if (--search.remainingEntries < 0) return;
    if (entry.name.startsWith('.') || entry.name === '__MACOSX') continue;
    const path = join(folder, entry.name);
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    const stats = await stat(path).catch((error: unknown) => error as NodeJS.ErrnoException);
    if (stats instanceof Error)
      search.files.push(unusableFile(path, name, await explainUnreadable(path, stats)));
    else if (stats.isDirectory()) deeper.push({ path, name });
    else if (!stats.isFile()) search.files.push(unusableFile(path, name, SPECIAL_FILE));
    else if (isZip(path) && search.archives++ < MAX_ARCHIVES)
      search.files.push(...(await listArchive(path, name, stats.size)));
    else search.files.push(plainFile(path, name, stats.size));
  }
  if (depth === MAX_DEPTH) return;
  for (const { path, name } of deeper) {
    await walk(path, name, depth + 1, search).catch(() => {
      search.files.push(unusableFile(path, name, 'a folder that cannot be read'));
    });
  }
}

async function explainUnreadable(path: string, { code = '' }: NodeJS.ErrnoException): Promise<string> {
  const target = await readlink(path).catch(() => null);
  if (target === null) return 'a file that cannot be looked at';
  return code === 'ELOOP'
    ? 'a link that leads in a circle'
    : `a link to ${sanitizeForTerminal(target)}, where nothing is`;
}

/**
 * The files in an archive as if it were a folder of its name. What cannot be listed is taken for a file like any other, of
 * which the contents are told when it is opened, if it is chosen.
 */
async function listArchive(path: string, name: string, bytes: number): Promise<DataFile[]> {
  try {
    return await zipOnDisk(path, name);
  } catch {
    return [plainFile(path, name, bytes)];
  }
}
