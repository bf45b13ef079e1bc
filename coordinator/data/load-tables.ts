import { join, resolve } from 'node:path';
import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { requireSavable } from '../../shared/data/preprocessing.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { DataFile } from './data-file.ts';
import { DEFAULT_VALIDATION_SPLIT } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { datasetName } from './file-names.ts';
import {
  findTables,
  listFiles,
  openText,
  type About,
  type Loaded,
  type TableFiles,
  type TableLoadOptions,
} from './find-tables.ts';
import { decodeImage, readImageHeader } from './images/decode-image.ts';
import { loadArrays, openBytes, refuseOther } from './load-arrays.ts';
import { isImageTable, loadImageTable } from './load-image-table.ts';
import { loadText, readTokenizer } from './load-text.ts';
import { parquetDataset, readParquetTable, usedColumns } from './table/parquet-dataset.ts';
import { openParquet, type ParquetFile } from './table/parquet-file.ts';
import { readCsvTable, type Table, type TableFile, type TableOptions } from './table/read-table.ts';
import { encodeLikeModel, tableDataset, typesOfModel } from './table/table-dataset.ts';
import { stratifiedSplit, type SplitNumbers } from './validation-split.ts';

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
  const files = await withTestFiles(found, options, report);
  const about = { name: datasetName(path), description: `Your own data, from ${sanitizeForTerminal(path)}.` };
  if (files.format === 'csv' && (await isImageTable(files, options))) {
    // Two files are read as those of IDX are, which may lie beside them.
    return options.test === undefined && found.test !== null
      ? null
      : loadImageTable(files, options, about, report);
  }
  if (files.unused.length > 0) report.info(`Not used: ${listFiles(files.unused)}.`);
  const loaded = await load(files, options, about, report);
  for (const line of loaded.lines) report.info(line);
  const { preprocessing } = loaded.dataset;
  if (preprocessing !== undefined) requireSavable(preprocessing, sanitizeForTerminal(path));
  return loaded.dataset;
}

/** Files of both parts: those of --test-data, or no test part if a part of the training samples is asked for. */
async function withTestFiles(
  found: TableFiles,
  { test, validationSplit }: TableLoadOptions,
  report: DataReporter,
): Promise<TableFiles> {
  if (test !== undefined) return { ...found, test: await findTestFiles(test, found) };
  if (validationSplit === undefined || found.test === null) return found;
  report.info(`Not used: ${listFiles(found.test)}, because of --validation-split.`);
  return { ...found, test: null };
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

async function load(
  files: TableFiles,
  options: TableLoadOptions,
  about: About,
  report: DataReporter,
): Promise<Loaded> {
  switch (files.format) {
    case 'text':
      return loadText(files, options, about);
    case 'npy':
    case 'npz':
      return loadArrays(files, options, about);
    case 'parquet':
      return (await loadNested(files, options, about, report)) ?? loadTable(files, options, about, report);
    case 'csv':
    case 'tsv':
      return loadTable(files, options, about, report);
  }
}

function openAll(files: readonly DataFile[]): Promise<ParquetFile[]> {
  const memory = { used: 0 };
  return Promise.all(
    files.map(async (file) => {
      const bytes = await openBytes(file, memory);
      await refuseOther(bytes, 'PAR', 'a Parquet file');
      return openParquet(bytes);
    }),
  );
}

/** Parquet with a column of images or lists; null if it is a table. @throws DataError */
async function loadNested(
  files: TableFiles,
  options: TableLoadOptions,
  about: About,
  report: DataReporter,
): Promise<Loaded | null> {
  const train = await openAll(files.train);
  if (!usedColumns(train, options).some(({ kind }) => kind === 'image' || kind === 'vector')) return null;
  const {
    seed,
    validationSplit = DEFAULT_VALIDATION_SPLIT,
    imageSize,
    channels,
    fit,
    isTest = false,
  } = options;
  const image =
    options.preprocessing?.kind === 'image' ? options.preprocessing : { size: imageSize, channels, fit };
  const test = isTest ? train : files.test === null ? null : await openAll(files.test);
  return parquetDataset(
    { train, test },
    {
      ...options,
      ...image,
      divide: (labels) => stratifiedSplit(labels, validationSplit, seed),
      decoder: { decode: decodeImage, header: readImageHeader },
      cacheFolder: options.cacheDir === undefined ? undefined : join(options.cacheDir, 'samples'),
      progress: (done, total) => report.progress(`Reading ${listFiles(files.train)}`, done, total),
      warn: (line) => report.warn(line),
    },
    about,
  );
}

async function loadTable(
  files: TableFiles,
  options: TableLoadOptions,
  about: About,
  report: DataReporter,
): Promise<Loaded> {
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

/**
 * Reads the files of one table.
 * @throws DataError with file, row and reason
 */
export async function readTable(
  files: readonly DataFile[],
  format: TableFiles['format'],
  options: TableOptions,
  report: Pick<DataReporter, 'progress'>,
): Promise<Table> {
  if (format === 'parquet') return readParquetTable(await openAll(files), options, options.only);
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
