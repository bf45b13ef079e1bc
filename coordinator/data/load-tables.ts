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
import { applicableOptions, refuseImageOptions, type SourceKind } from './option-uses.ts';
import { shown } from './table/column-builder.ts';
import { parquetDataset, readParquetTable, usedColumns } from './table/parquet-dataset.ts';
import { openParquet, type ParquetColumn, type ParquetFile } from './table/parquet-file.ts';
import { readCsvTable, type Table, type TableFile, type TableOptions } from './table/read-table.ts';
import {
  encodeLikeModel,
  tableDataset,
  typesOfModel,
  type TabularPreprocessing,
} from './table/table-dataset.ts';
import type { Divide } from './table/table-targets.ts';
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
  const found = await findTables(path, options.format, option, options.isTest);
  if (found === null) return null;
  const about = { name: datasetName(path), description: `Your own data, from ${sanitizeForTerminal(path)}.` };
  const target = options.target ?? options.trainedWith?.target;
  if (found.format === 'csv' && (await isImageTable(found, { target }))) {
    const used = applicableOptions('pixels', path, options);
    // Two files are read as those of IDX are, which may lie beside them.
    if (used.test === undefined && found.test !== null) return null;
    return loadImageTable(await withTestFiles(found, used, report), used, about, report);
  }
  const kind = await kindOf(found, options);
  const used = applicableOptions(kind, path, options);
  const files = await withTestFiles(found, used, report);
  if (files.unused.length > 0) report.info(`Not used: ${listFiles(files.unused)}.`);
  const { dataset, lines } = await load(kind, files, used, about, report);
  // Whether a table has a column of text to train on is known only now.
  if (kind === 'textTable' && dataset.preprocessing?.kind !== 'text')
    applicableOptions('table', path, options);
  if (dataset.preprocessing?.kind !== 'image') refuseImageOptions(path, options);
  for (const line of lines) report.info(line);
  if (dataset.preprocessing !== undefined) requireSavable(dataset.preprocessing, sanitizeForTerminal(path));
  return dataset;
}

type TableKind = Extract<SourceKind, 'textTable' | 'nested' | 'arrays' | 'text'>;

async function kindOf(
  { format, train }: TableFiles,
  { ignore, trainedWith }: TableLoadOptions,
): Promise<TableKind> {
  switch (format) {
    case 'text':
      return 'text';
    case 'npy':
    case 'npz':
      return 'arrays';
    case 'parquet': {
      const columns = usedColumns(await openAll(train), { ignore: ignore ?? trainedWith?.ignore });
      return columns.some(({ kind }) => kind === 'image' || kind === 'vector') ? 'nested' : 'textTable';
    }
    case 'csv':
    case 'tsv':
      return 'textTable';
  }
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
  const found = await findTables(path, undefined, '--test-data', true);
  if (found?.format === format) return found.test ?? found.train;
  throw new DataError(
    `${sanitizeForTerminal(path)} (from --test-data): expected a ${format} file like the training data, found ${found === null ? 'none' : `a ${found.format} file`}. Name a file of the same format.`,
  );
}

function load(
  kind: TableKind,
  files: TableFiles,
  options: TableLoadOptions,
  about: About,
  report: DataReporter,
): Promise<Loaded> {
  switch (kind) {
    case 'text':
      return loadText(files, options, about);
    case 'arrays':
      return loadArrays(files, options, about);
    case 'nested':
      return loadNested(files, options, about, report);
    case 'textTable':
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

/** Loads Parquet with a column of images or lists, with the targets and classes of a model that is measured. @throws DataError */
async function loadNested(
  files: TableFiles,
  options: TableLoadOptions,
  about: About,
  report: DataReporter,
): Promise<Loaded> {
  const train = await openAll(files.train);
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
  const test = files.test !== null ? await openAll(files.test) : isTest ? train : null;
  return parquetDataset(
    { train, test },
    {
      ...options,
      ...targetsOfModel(usedColumns(train, options), options),
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

/** Columns of a model's targets, and whether numbers in them are classes. */
function targetsOfModel(
  columns: readonly ParquetColumn[],
  { modelTargets = [], target, types, isTest = false }: TableLoadOptions,
): Pick<TableLoadOptions, 'target' | 'types'> {
  const found = modelTargets.flatMap(({ name, classes }) => {
    const column = columns.find((each) => each.name === name);
    return column === undefined ? [] : [{ ...column, isClass: classes !== undefined }];
  });
  if (found.length === 0 || found.length < modelTargets.length) return { target, types };
  const names = target ?? found.map(({ name }) => name);
  // The training data itself has to be divided as it was, by the types that it shows.
  if (!isTest) return { target: names, types };
  const numbers = found.filter(({ kind, classNames }) => kind === 'number' && classNames === undefined);
  const ofModel = numbers.map(({ name, isClass }) => [name, isClass ? 'category' : 'number'] as const);
  return { target: names, types: { ...Object.fromEntries(ofModel), ...types } };
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
  const { preprocessing } = options;
  if (preprocessing !== undefined && preprocessing.kind !== 'image') {
    return loadLikeModel(files, preprocessing, options, about, report);
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

/** Loads rows to measure a model on: those of the test part, unless it lacks the targets as that of a competition does. */
async function loadLikeModel(
  files: TableFiles,
  preprocessing: TabularPreprocessing,
  { seed, test: named, validationSplit = DEFAULT_VALIDATION_SPLIT, isTest = false }: TableLoadOptions,
  about: About,
  report: DataReporter,
): Promise<Loaded> {
  const read = (part: readonly DataFile[]): Promise<Table> =>
    readTable(part, files.format, typesOfModel(preprocessing), report);
  const test = files.test === null ? null : await read(files.test);
  const lacking = (preprocessing.targets ?? []).find(({ name }) => test?.names.includes(name) === false);
  if (test !== null && (lacking === undefined || named !== undefined))
    return encodeLikeModel(test, preprocessing, about, null);
  const note =
    test === null || lacking === undefined
      ? []
      : [`${test.path} has no column ${shown(lacking.name)}, which is the target, so it is not measured.`];
  const divide: Divide = (labels) => stratifiedSplit(labels, validationSplit, seed);
  const table = await read(files.train);
  const { dataset, lines } = await encodeLikeModel(table, preprocessing, about, isTest ? null : divide);
  return { dataset, lines: [...note, ...lines] };
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
