import { readlink, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { plainFile, type DataFile } from './data-file.ts';
import type { DataFormat, DataOptions } from './data-options.ts';
import { HEAD_BYTES, detectContent, isPacked } from './detect-content.ts';
import { parseRole, splitNameOf, tableFormatOf, type TableFormat } from './file-names.ts';
import { findFiles } from './find-files.ts';
import type { ContentOptions } from './option-uses.ts';
import { openContents } from './unpack.ts';
import { zipOnDisk } from './zip-entries.ts';

/** Files of a table, of arrays or of text. */
export interface TableFiles {
  readonly format: TableFormat;
  /** Parts of one table, in the order of their names; several arrays for .npy. */
  readonly train: readonly DataFile[];
  /** null if no file is for testing. */
  readonly test: readonly DataFile[] | null;
  /** Files of the same format that are not used. */
  readonly unused: readonly DataFile[];
}

/** Options of the loaders of tables, arrays and text. */
export interface TableLoadOptions extends Omit<DataOptions, 'source' | 'limit'> {
  /** Preprocessing of a saved model, which is measured. @default made from the training part */
  readonly preprocessing?: Preprocessing | undefined;
  /** Names of the classes of that model. @default those of the data */
  readonly classNames?: readonly string[] | undefined;
  /** Tensors of that model's targets. @default chosen by the data */
  readonly modelTargets?: readonly TensorSpec[] | undefined;
  /** Options of the data of that model's run. */
  readonly trainedWith?: ContentOptions | undefined;
  /** Whether all samples at the path are for testing, unless it has a test part. */
  readonly isTest?: boolean | undefined;
  /** gradcast's cache folder, for decoded images that memory has no room for. @default none */
  readonly cacheDir?: string | undefined;
  /** Limit of that cache; 0 for none. */
  readonly maxCacheBytes?: number | undefined;
}

/** Loaded data set, and lines to report about it. */
export interface Loaded {
  readonly dataset: Dataset;
  readonly lines: readonly string[];
}
export type About = Pick<Dataset, 'name' | 'description'>;

/** With several formats in a folder, the first one is taken. */
const FORMATS: readonly TableFormat[] = ['parquet', 'npz', 'npy', 'csv', 'tsv', 'text'];
const IMAGE = /\.(?:png|jpe?g|webp|bmp|gif|tiff?|avif)$/i;
const MAX_LISTED = 6;

/**
 * Finds tables, arrays or text at a path.
 *
 * @param path absolute path of a file, folder or archive
 * @param format format to take @default detected; a folder of IDX files or images has none of these
 * @param isTest whether all samples are for testing, so that files may be named so
 * @returns null if there is none, or something else
 * @throws DataError if it is not clear which file is for training
 */
export async function findTables(
  path: string,
  format: DataFormat | undefined,
  option: string,
  isTest = false,
): Promise<TableFiles | null> {
  if (format === 'idx' || format === 'images') return null;
  const stats = await stat(path).catch(() => null);
  if (stats === null) {
    const link = await readlink(path).catch(() => null);
    if (link === null) return null;
    throw new DataError(
      `${sanitizeForTerminal(path)} (from ${option}) is a link to ${sanitizeForTerminal(link)}, where nothing can be read. Correct the link, or name another file.`,
    );
  }
  if (stats.isFile()) {
    const found = format ?? (await formatOfFile(path, stats.size));
    if (found !== null)
      return { format: found, train: [plainFile(path, basename(path), stats.size)], test: null, unused: [] };
  }
  const files = (await findFiles(path, option)).filter(({ problem }) => problem === undefined);
  const found = format ?? formatOfFolder(files);
  if (found === null) return null;
  const named = files.filter(({ name }) => tableFormatOf(name) === found);
  if (named.length === 0) {
    throw new DataError(
      `${sanitizeForTerminal(path)} (from ${option}) has no ${found} file. Leave --format out, or name another folder.`,
    );
  }
  return found === 'npy'
    ? { format: found, train: named, test: null, unused: [] }
    : { format: found, ...chooseTables(named, found, path, isTest) };
}

/** Format of a single file, by its name or else by its contents; null for IDX files and folders in archives. */
export async function formatOfFile(path: string, bytes: number): Promise<TableFormat | null> {
  const byName = tableFormatOf(basename(path));
  if (byName !== null) return byName;
  const file = plainFile(path, basename(path), bytes);
  const head = await readHead(file);
  const start = Buffer.from(head).toString('latin1', 0, 6);
  if (start === '\x93NUMPY') return 'npy';
  if (start.startsWith('PAR1')) return 'parquet';
  const content = detectContent(head);
  if (isPacked(content) && content.kind === 'zip') {
    const entries = await zipOnDisk(path, '').catch(() => []);
    return entries.length > 0 && entries.every(({ name }) => name.endsWith('.npy')) ? 'npz' : null;
  }
  if (isPacked(content) || content.kind === 'idx' || parseRole(basename(path)) !== null) return null;
  return content.kind === 'csv' ? 'csv' : null;
}

async function readHead(file: DataFile): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of file.open()) {
    parts.push(chunk);
    length += chunk.length;
    if (length >= HEAD_BYTES) break;
  }
  return Buffer.concat(parts).subarray(0, HEAD_BYTES);
}

function formatOfFolder(files: readonly DataFile[]): TableFormat | null {
  const isImageOrIdx = ({ name }: DataFile): boolean => {
    const role = parseRole(name);
    return IMAGE.test(name) || (role !== null && role.kind !== 'table' && tableFormatOf(name) === null);
  };
  if (files.some(isImageOrIdx)) return null;
  const found = new Set(files.map(({ name }) => tableFormatOf(name)));
  return FORMATS.find((format) => found.has(format)) ?? null;
}

/** @throws DataError if there are several tables for one part, or none to train on */
function chooseTables(
  files: readonly DataFile[],
  format: TableFormat,
  path: string,
  isTest: boolean,
): Omit<TableFiles, 'format'> {
  const of = (split: string | null): DataFile[] => files.filter(({ name }) => splitNameOf(name) === split);
  const [train, test, val, unnamed] = [of('train'), of('test'), of('val'), of(null)];
  const forTest = test.length > 0 ? test : val;
  if (train.length === 0 && unnamed.length === 0 && !isTest) {
    throw new DataError(
      `${sanitizeForTerminal(path)} has only files named test or val: ${listFiles(files)}. Name a file with train in its name, or one alone.`,
    );
  }
  const named = train.length > 0 ? train : unnamed;
  const forTraining = named.length > 0 ? named : forTest;
  const unused = files.filter((file) => !forTraining.includes(file) && !forTest.includes(file));
  for (const part of [forTraining, forTest]) {
    // Texts are joined, whatever their names are.
    if (part.length < 2 || format === 'text' || areParts(part)) continue;
    throw new DataError(
      `${sanitizeForTerminal(path)} has several tables: ${listFiles(part)}. Name one of them, or give one train and another test in its name.`,
    );
  }
  return { train: forTraining, test: forTest.length > 0 ? forTest : null, unused };
}

/** Whether names differ in numbers and digests only, as train-00000-of-00002-0a1b2c3d4e5f6071.parquet does. */
function areParts(files: readonly DataFile[]): boolean {
  const stems = files.map(({ name }) => name.replaceAll(/[0-9a-f]{12,}|\d+/g, '#'));
  return stems.every((stem) => stem === stems[0]);
}

export function listFiles(files: readonly DataFile[]): string {
  const names = files.slice(0, MAX_LISTED).map(({ name }) => sanitizeForTerminal(name));
  return files.length > MAX_LISTED
    ? `${names.join(', ')} and ${files.length - MAX_LISTED} more`
    : names.join(', ');
}

/**
 * Opens a file of text or CSV.
 * @throws DataError if its contents are of another kind
 */
export async function openText(
  file: DataFile,
  expected: string,
): Promise<Awaited<ReturnType<typeof openContents>>> {
  const contents = await openContents(file);
  const { content } = contents;
  if (content.kind === 'csv' || (content.kind === 'other' && content.isText === true)) return contents;
  await contents.close();
  if (content.kind === 'other') throw invalidFileError(file.path, expected, content.found, content.remedy);
  throw invalidFileError(
    file.path,
    expected,
    content.kind === 'idx' ? 'bytes of an IDX file' : 'an empty file (0 bytes)',
  );
}
