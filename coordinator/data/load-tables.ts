import { createHash } from 'node:crypto';
import { basename, resolve } from 'node:path';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Preprocessing, Tokenizer } from '../../shared/data/preprocessing.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import { assembleDataset } from './assemble.ts';
import { MAX_DATA_BYTES } from './data-array.ts';
import type { DataFile } from './data-file.ts';
import { DEFAULT_SEQUENCE_LENGTH, DEFAULT_VALIDATION_SPLIT, type DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { datasetName } from './file-names.ts';
import { findTables, listFiles, openText, type TableFiles } from './find-tables.ts';
import { readArray } from './read-array.ts';
import {
  hasPixelNames,
  isLabelName,
  isSquareImage,
  splitLabeled,
  takeRows,
  type TableParts,
} from './split-table.ts';
import { arraysDataset, roleOfArray, type NamedArray } from './table/arrays-dataset.ts';
import { openNpy } from './table/npy.ts';
import { inMemory, openFile, type RandomAccess } from './table/random-access.ts';
import { readCsvTable, type Table, type TableFile, type TableOptions } from './table/read-table.ts';
import { encodeLikeModel, tableDataset, typesOfModel } from './table/table-dataset.ts';
import { parseCsv, utf8Chunks } from './table/parse-csv.ts';
import { textDataset, type TextSource } from './text/text-dataset.ts';
import { parseTokenizer } from './text/tokenizer.ts';
import { toLabels } from './to-labels.ts';
import { openContents } from './unpack.ts';
import { zipInMemory, zipOnDisk } from './zip-entries.ts';
import { stratifiedSplit, type SplitNumbers } from './validation-split.ts';

export interface TableLoadOptions extends Omit<
  DataOptions,
  'source' | 'limit' | 'transpose' | 'imageSize' | 'channels' | 'fit'
> {
  /** Preprocessing of a saved model, which is measured. @default made from the training part */
  readonly preprocessing?: Preprocessing | undefined;
  /** Whether all samples at the path are for testing. */
  readonly isTest?: boolean | undefined;
}

/**
 * Loads the table, arrays or text at a path.
 *
 * @param path absolute path of a file, folder or archive
 * @param option option or variable that named it, for example '--data'
 * @returns null if it has none of these, but perhaps images
 * @throws DataError with file, row and reason
 */
export async function loadTables(
  path: string,
  options: TableLoadOptions,
  report: DataReporter,
  option: string,
): Promise<Dataset | null> {
  const found = await findTables(path, options.format, option);
  if (found === null) return null;
  const files =
    options.test === undefined ? found : { ...found, test: await findTestFiles(options.test, found) };
  if (files.format === 'csv' && (await isImageTable(files, options))) {
    // Two files are read as those of IDX are, which may lie beside them.
    return options.test === undefined && found.test !== null
      ? null
      : loadImageTable(files, options, path, report);
  }
  const about = { name: datasetName(path), description: `Your own data, from ${sanitizeForTerminal(path)}.` };
  if (files.unused.length > 0) report.info(`Not used: ${listFiles(files.unused)}.`);
  const loaded = await load(files, options, about, report);
  for (const line of loaded.lines) report.info(line);
  return loaded.dataset;
}

/** @throws DataError if the path of --test-data has no file of the format of the training data */
async function findTestFiles(test: string, { format }: TableFiles): Promise<readonly DataFile[]> {
  const path = resolve(test);
  const found = await findTables(path, undefined, '--test-data');
  if (found?.format === format) return found.test ?? found.train;
  throw new DataError(
    `${sanitizeForTerminal(path)} (from --test-data): expected a ${format} file like the training data, found ${found === null ? 'none' : `a ${found.format} file`}. Name a file of the same format.`,
  );
}

function load(files: TableFiles, options: TableLoadOptions, about: About, report: DataReporter): Loaded {
  switch (files.format) {
    case 'text':
      return loadText(files, options, about);
    case 'npy':
    case 'npz':
      return loadArrays(files, options, about);
    default:
      return loadTable(files, options, about, report);
  }
}

type Loaded = Promise<{ dataset: Dataset; lines: string[] }>;
type About = Pick<Dataset, 'name' | 'description'>;

async function loadTable(
  files: TableFiles,
  options: TableLoadOptions,
  about: About,
  report: DataReporter,
): Loaded {
  const { target, ignore, types, seed, sequenceLength, validationSplit = DEFAULT_VALIDATION_SPLIT } = options;
  const { test } = files;
  const divide = (labels: ArrayLike<number>): SplitNumbers => stratifiedSplit(labels, validationSplit, seed);
  const { preprocessing, isTest = false } = options;
  if (preprocessing !== undefined && preprocessing.kind !== 'image') {
    const measured = await readTable(test ?? files.train, files.format, typesOfModel(preprocessing), report);
    return encodeLikeModel(measured, preprocessing, about, isTest || test !== null ? null : divide);
  }
  const table = await readTable(files.train, files.format, { ignore, types }, report);
  return tableDataset(
    table,
    {
      target,
      ignore,
      types,
      sequenceLength,
      tokenizer: await readTokenizer(options.tokenizer),
      divide,
      readTest: test === null ? null : (columns) => readTable(test, files.format, columns, report),
      isTestNamed: options.test !== undefined,
    },
    about,
  );
}

/** @throws DataError with file, row and reason */
function readTable(
  files: readonly DataFile[],
  format: TableFiles['format'],
  options: TableOptions,
  report: DataReporter,
): Promise<Table> {
  const sizes = files.map(({ bytes }) => bytes);
  const total = sizes.reduce<number | undefined>(
    (sum, bytes) => (sum === undefined || bytes === undefined ? undefined : sum + bytes),
    0,
  );
  const label = `Reading ${listFiles(files)}`;
  let done = 0;
  const opened = files.map((file): TableFile => {
    return { path: file.path, open: () => openText(file, 'CSV text') };
  });
  return readCsvTable(opened, { ...options, delimiter: format === 'tsv' ? '\t' : undefined }, (bytes) => {
    done += bytes;
    // A packed file has more bytes than are stored.
    report.progress(label, done, total !== undefined && done <= total ? total : undefined);
  });
}

async function loadArrays(files: TableFiles, options: TableLoadOptions, about: About): Loaded {
  const { seed, types, validationSplit = DEFAULT_VALIDATION_SPLIT } = options;
  if (options.target !== undefined || options.ignore !== undefined) {
    throw new DataError(`${files.train[0]?.path}: arrays have no columns. Leave --target and --ignore out.`);
  }
  const divide = (labels: ArrayLike<number>): SplitNumbers => stratifiedSplit(labels, validationSplit, seed);
  const arrays = await openArrays(files.train, files.format);
  const testFiles = options.isTest === true ? files.train : files.test;
  const test = testFiles === null ? null : await openArrays(testFiles, files.format);
  return arraysDataset(arrays, test, { divide, types }, about);
}

/** Opens arrays on disk, or reads those in an archive. @throws DataError */
async function openArrays(files: readonly DataFile[], format: TableFiles['format']): Promise<NamedArray[]> {
  const arrays: NamedArray[] = [];
  for (const file of files) {
    const entries = format === 'npz' ? await listArchive(file) : [file];
    for (const entry of entries) {
      const name = (entry.name.split('/').pop() ?? '').replace(/\.npy.*$/i, '');
      // Other arrays may be of any type.
      if (roleOfArray(name) === null && entries.length > 1) continue;
      arrays.push({ name, array: await openNpy(await openBytes(entry)) });
    }
  }
  return arrays;
}

async function listArchive(file: DataFile): Promise<DataFile[]> {
  const { path, name } = file;
  const entries =
    file.diskPath === undefined
      ? await zipInMemory(await readBytes(file), path)
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

/** Bytes of a file on disk by position; those of a packed one are in memory. */
async function openBytes(file: DataFile): Promise<RandomAccess> {
  if (file.diskPath !== undefined && !/\.(?:gz|gzip|bz2|zip)$/i.test(file.name))
    return openFile(file.diskPath, file.path);
  const bytes = await readBytes(file);
  return inMemory(bytes, file.path, createHash('sha256').update(bytes).digest('hex'));
}

/** @throws DataError if the unpacked file is larger than a run holds in memory */
async function readBytes(file: DataFile): Promise<Uint8Array> {
  const isNamedPacked = /\.(?:gz|gzip|bz2|zip)$/i.test(file.name);
  const contents = isNamedPacked ? await openContents(file) : null;
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of contents?.chunks ?? file.open()) {
    parts.push(chunk);
    length += chunk.length;
    if (length > MAX_DATA_BYTES) {
      throw invalidFileError(
        file.path,
        `at most ${MAX_DATA_BYTES} unpacked bytes`,
        'more',
        'Unpack it first.',
      );
    }
  }
  return Buffer.concat(parts);
}

async function loadText(files: TableFiles, options: TableLoadOptions, about: About): Loaded {
  const { sequenceLength: length = DEFAULT_SEQUENCE_LENGTH, validationSplit = DEFAULT_VALIDATION_SPLIT } =
    options;
  if (options.target !== undefined || options.ignore !== undefined) {
    throw new DataError(
      `${files.train[0]?.path}: a text has no columns. Leave --target and --ignore out, or use --format csv.`,
    );
  }
  const source = (parts: readonly DataFile[]): TextSource => ({
    path: listFiles(parts),
    chunks: readText(parts),
  });
  return textDataset(
    { train: source(files.train), test: files.test === null ? null : source(files.test) },
    { length, validationSplit, tokenizer: await readTokenizer(options.tokenizer) },
    about,
  );
}

/** Text of files, one after the other, with line breaks as \n and without byte order marks. */
async function* readText(files: readonly DataFile[]): AsyncGenerator<string> {
  for (const file of files) {
    const contents = await openText(file, 'text');
    try {
      let isFirst = true;
      let carriageReturn = '';
      for await (const bytes of utf8Chunks(contents.chunks, file.path)) {
        let text = carriageReturn + bytes.toString('utf8');
        if (isFirst) text = text.replace(/^\ufeff/, '');
        isFirst = false;
        // A line break may be cut between two chunks.
        carriageReturn = text.endsWith('\r') ? '\r' : '';
        yield (carriageReturn === '' ? text : text.slice(0, -1)).replaceAll(/\r\n?/g, '\n');
      }
      if (carriageReturn !== '') yield '\n';
    } finally {
      await contents.close();
    }
  }
}

/** A tokenizer.json of a large model has 20 MB. */
const MAX_TOKENIZER_BYTES = 2 ** 27;

async function readTokenizer(path: string | undefined): Promise<Tokenizer | undefined> {
  if (path === undefined) return undefined;
  const shown = sanitizeForTerminal(path);
  let bytes: Buffer;
  try {
    bytes = await readRegularFile(path, MAX_TOKENIZER_BYTES);
  } catch (error) {
    throw invalidFileError(
      shown,
      'a tokenizer.json of Hugging Face',
      `none: ${describeDiskError(error)}`,
      `Name the file itself with --tokenizer: ${basename(shown)} cannot be read.`,
    );
  }
  return parseTokenizer(bytes.toString('utf8'), shown);
}

/** Rows and bytes that show whether a table has pixels. */
const FIRST_ROWS = 2;
const MAX_FIRST_BYTES = 2 ** 20;

async function isImageTable({ train }: TableFiles, { target }: TableLoadOptions): Promise<boolean> {
  const [file] = train;
  if (file === undefined || (target !== undefined && !isLabelName([target].flat().join(' ')))) return false;
  const contents = await openText(file, 'CSV text');
  async function* first(): AsyncGenerator<Uint8Array> {
    let bytes = 0;
    let lines = 0;
    for await (const chunk of contents.chunks) {
      yield chunk;
      bytes += chunk.length;
      for (const byte of chunk) if (byte === 0x0a) lines++;
      if (bytes >= MAX_FIRST_BYTES || lines > FIRST_ROWS) return;
    }
  }
  const rows: string[][] = [];
  try {
    await parseCsv(first(), { path: file.path }, (row) => void (rows.length < FIRST_ROWS && rows.push(row)));
  } catch {
    // What is wrong is said when the whole file is read.
    return false;
  } finally {
    await contents.close();
  }
  const [names = [], values = []] = rows;
  return (
    hasPixelNames(names) ||
    (names.every(isByteText) && values.every(isByteText) && isSquareImage(names.length - 1))
  );
}

const isByteText = (text: string): boolean => /^\s*\d{1,3}\s*$/.test(text) && Number(text) <= 255;

/** Images of a table, of which a part is for testing if there is no test file. */
async function loadImageTable(
  { train: [file], test }: TableFiles,
  { validationSplit = DEFAULT_VALIDATION_SPLIT, seed }: TableLoadOptions,
  path: string,
  report: DataReporter,
): Promise<Dataset> {
  const note = (line: string): void => report.info(line);
  const about = { name: datasetName(path), description: `Your own data, from ${sanitizeForTerminal(path)}.` };
  const arrays = splitLabeled(await readArray(file));
  if (test?.[0] !== undefined) {
    return assembleDataset({ train: arrays, test: splitLabeled(await readArray(test[0])) }, about, note);
  }
  const numbers = stratifiedSplit(toLabels(arrays.labels).labels, validationSplit, seed);
  note(
    `Validation: ${numbers.test.length} of ${numbers.train.length + numbers.test.length} rows, chosen at random with the same part of each class (--validation-split, --test-data).`,
  );
  const take = (part: Uint32Array): TableParts => ({
    images: takeRows(arrays.images, part),
    labels: takeRows(arrays.labels, part),
  });
  return assembleDataset({ train: take(numbers.train), test: take(numbers.test) }, about, note);
}
