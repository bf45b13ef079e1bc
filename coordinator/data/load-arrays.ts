import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import type { ColumnType } from '../../shared/data/preprocessing.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { MAX_DATA_BYTES } from './data-array.ts';
import type { DataFile } from './data-file.ts';
import { describeWrongFile, HEAD_BYTES } from './detect-content.ts';
import { DEFAULT_VALIDATION_SPLIT } from './data-options.ts';
import type { About, Loaded, TableFiles, TableLoadOptions } from './find-tables.ts';
import { arraysDataset, roleOfArray, type NamedArray } from './table/arrays-dataset.ts';
import { shown } from './table/column-builder.ts';
import { openNpy } from './table/npy.ts';
import { inMemory, openFile, type RandomAccess } from './table/random-access.ts';
import { openContents } from './unpack.ts';
import { stratifiedSplit, type SplitNumbers } from './validation-split.ts';
import { zipInMemory, zipOnDisk } from './zip-entries.ts';

/** Loads arrays of NumPy. @throws DataError */
export async function loadArrays(
  files: TableFiles,
  options: TableLoadOptions,
  about: About,
): Promise<Loaded> {
  const { seed, isTest = false } = options;
  const path = files.train[0]?.path ?? '';
  const other = Object.keys(options.types ?? {}).find((name) => name !== 'y');
  if (other !== undefined) {
    throw new DataError(
      `${path}: arrays have no column ${shown(other)} (from --types). Name the targets y: --types y:number or y:category.`,
    );
  }
  const divide = (labels: ArrayLike<number>): SplitNumbers =>
    stratifiedSplit(labels, options.validationSplit ?? DEFAULT_VALIDATION_SPLIT, seed);
  const all = await openArrays(files.train, files.format);
  const arrays = options.validationSplit === undefined ? all : all.filter(({ name }) => !isTestArray(name));
  const notUsed = all.filter((array) => !arrays.includes(array)).map(({ name }) => sanitizeForTerminal(name));
  const test = files.test !== null ? await openArrays(files.test, files.format) : isTest ? all : null;
  const [target, ...others] = options.modelTargets ?? [];
  const ofModel: Record<string, ColumnType> =
    target === undefined || others.length > 0
      ? {}
      : { y: target.classes === undefined ? 'number' : 'category' };
  const types = { ...ofModel, ...options.types };
  const { dataset, lines } = await arraysDataset(arrays, test, { divide, types }, about);
  if (notUsed.length > 0) lines.unshift(`Not used: ${notUsed.join(', ')}, because of --validation-split.`);
  return { dataset, lines };
}

const isTestArray = (name: string): boolean => /_(?:test|val)$/.test(roleOfArray(name) ?? '');

/**
 * Opens arrays on disk, or reads those in an archive.
 * @param isUsed whether an array of several in an archive is opened, by its name; others may be of any type
 * @throws DataError
 */
export async function openArrays(
  files: readonly DataFile[],
  format: TableFiles['format'],
  isUsed = (name: string): boolean => roleOfArray(name) !== null,
): Promise<NamedArray[]> {
  const arrays: NamedArray[] = [];
  const memory = { used: 0 };
  for (const file of files) {
    const entries = format === 'npz' ? await listArchive(file) : [file];
    for (const entry of entries) {
      const name = (entry.name.split('/').pop() ?? '').replace(/\.npy.*$/i, '');
      if (!isUsed(name) && entries.length > 1) continue;
      const bytes = await openBytes(entry, memory);
      await refuseOther(bytes, '\x93NUMPY', 'a NumPy array (.npy)');
      arrays.push({ name, array: await openNpy(bytes) });
    }
  }
  return arrays;
}

async function listArchive(file: DataFile): Promise<DataFile[]> {
  const { path, name } = file;
  if (file.diskPath !== undefined) {
    await refuseOther(await openFile(file.diskPath, path), 'PK', 'a zip archive of NumPy arrays');
  }
  const entries =
    file.diskPath === undefined
      ? await zipInMemory(await readBytes(file, { used: 0 }), path)
      : await zipOnDisk(file.diskPath, '');
  const arrays = entries.filter((entry) => entry.name.endsWith('.npy'));
  if (arrays.length > 0) return arrays;
  throw invalidFileError(
    path,
    'a zip archive of NumPy arrays',
    entries.length === 0
      ? 'an empty archive'
      : `${entries.length} other files in ${sanitizeForTerminal(basename(name))}`,
    'Save it with numpy.savez().',
  );
}

/**
 * Refuses a file whose contents are known to be of another kind than its name says.
 * @param signature first bytes of the expected kind
 * @throws DataError that names the kind
 */
export async function refuseOther(file: RandomAccess, signature: string, expected: string): Promise<void> {
  const head = await file.read(0, Math.min(HEAD_BYTES, file.length));
  if (Buffer.from(head).toString('latin1', 0, signature.length) === signature) return;
  const other = describeWrongFile(head);
  if (other !== null) throw invalidFileError(file.path, expected, other.found, other.remedy);
}

/**
 * Bytes of a file on disk by position; those of a packed one are in memory.
 * @param memory bytes that other files have there, to which those of this file are added
 */
export async function openBytes(file: DataFile, memory = { used: 0 }): Promise<RandomAccess> {
  if (file.diskPath !== undefined && !/\.(?:gz|gzip|bz2|zip)$/i.test(file.name))
    return openFile(file.diskPath, file.path);
  const bytes = await readBytes(file, memory);
  return inMemory(bytes, file.path, createHash('sha256').update(bytes).digest('hex'));
}

/** @throws DataError if the unpacked file is larger than a run holds in memory, with those before it */
async function readBytes(file: DataFile, memory: { used: number }): Promise<Uint8Array> {
  const isNamedPacked = /\.(?:gz|gzip|bz2|zip)$/i.test(file.name);
  const contents = isNamedPacked ? await openContents(file) : null;
  const parts: Uint8Array[] = [];
  for await (const chunk of contents?.chunks ?? file.open()) {
    parts.push(chunk);
    memory.used += chunk.length;
    if (memory.used > MAX_DATA_BYTES) {
      throw invalidFileError(
        file.path,
        `at most ${MAX_DATA_BYTES} unpacked bytes in all`,
        'more',
        'Unpack it first.',
      );
    }
  }
  return Buffer.concat(parts);
}
