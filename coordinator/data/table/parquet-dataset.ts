import { DataError } from '../../../shared/data/data-error.ts';
import type { Dataset, Split } from '../../../shared/data/dataset.ts';
import type { ImagePreprocessing, Target } from '../../../shared/data/preprocessing.ts';
import { BYTE_SCALE } from '../../../shared/model/tensors.ts';
import { chooseTargetColumns, type ColumnChoice } from './choose-columns.ts';
import { shown } from './column-builder.ts';
import { toImageBytes, toNumber, toText, type ParquetColumn, type ParquetFile } from './parquet-file.ts';
import { makeSplit, type SampleReader, type SplitOptions } from './parquet-samples.ts';
import { listNames, TableBuilder, type Table, type TableOptions } from './read-table.ts';
import {
  columnOf,
  divideSamples,
  encodeTargets,
  fitTargets,
  requireTargetValues,
  targetSpecs,
  type Divide,
} from './table-targets.ts';

/** Decoder of images and of their headers: those of images/decode-image.ts. */
export interface ImageDecoder {
  decode(bytes: Uint8Array, options: ImageOptions): Promise<Uint8Array>;
  header(
    bytes: Uint8Array,
  ): Promise<{ readonly height: number; readonly width: number; readonly isGray: boolean }>;
}
export type ImageOptions = Omit<ImagePreprocessing, 'kind'>;

export interface ParquetOptions extends ColumnChoice, SplitOptions {
  /** Height and width of images. @default their own, if it is the same for all */
  readonly size?: readonly [number, number] | undefined;
  readonly channels?: ImageOptions['channels'] | undefined;
  readonly fit?: ImageOptions['fit'] | undefined;
  /** Classes of the first target in the order of a model. @default those of the file */
  readonly classNames?: readonly string[] | undefined;
  readonly divide: Divide;
  readonly decoder: ImageDecoder;
}

/** Images whose headers are read. */
const MAX_HEADERS = 100;
/** Height and width of images of different sizes. */
const DEFAULT_SIDE = 64;

/** Columns of the first file that are not ignored. */
export function usedColumns(
  files: readonly ParquetFile[],
  { ignore = [] }: Pick<ColumnChoice, 'ignore'>,
): readonly ParquetColumn[] {
  const ignored = new Set(ignore);
  return (files[0]?.columns ?? []).filter(({ name }) => !ignored.has(name));
}

/**
 * Reads columns of numbers and text of Parquet files as one table. Other columns have no values.
 * @param names columns to read @default all
 * @throws DataError with file, row and reason
 */
export async function readParquetTable(
  files: readonly ParquetFile[],
  options: TableOptions,
  names?: readonly string[],
): Promise<Table> {
  const all = files[0]?.columns ?? [];
  const only = names === undefined ? null : new Set(names);
  const ignored = new Set(options.ignore);
  const isRead = ({ name, kind }: ParquetColumn): boolean =>
    (only === null || only.has(name)) && (kind === 'number' || kind === 'text') && !ignored.has(name);
  const notes = all
    .filter((column) => names === undefined && !isRead(column) && !ignored.has(column.name))
    .map(({ name, kind }) => `Left out: ${shown(name)}, ${UNREAD[kind] ?? kind}.`);
  const types = Object.fromEntries(
    all
      .filter(({ kind, classNames }) => kind === 'number' && classNames === undefined)
      .map(({ name }) => [name, 'number' as const]),
  );
  const ignore = all.filter((column) => !isRead(column)).map(({ name }) => name);
  const builder = new TableBuilder(
    all.map(({ name }) => name),
    { ignore, types: { ...types, ...options.types }, hasCommas: true },
  );
  for (const { file, rows, columns, groups, blocks } of files) {
    builder.beginFile(
      file.path,
      columns.map(({ name }) => name),
      1,
    );
    builder.requireRoom(rows);
    for (const column of columns.filter((other) => isRead(other))) {
      for (const group of groups.keys()) {
        for (const block of await blocks(column.name, group)) {
          const values = await block.read();
          builder.addValues(
            column.name,
            values.map((value) => toField(value, column)),
            block.from,
          );
        }
      }
    }
    builder.addRows(rows);
  }
  return builder.finish(notes);
}

const UNREAD: Readonly<Record<string, string>> = {
  date: 'which has dates',
  other: 'which has nested values',
  vector: 'which has lists',
  image: 'which has images',
};

/** Value of a column; a class by its name. */
function toField(value: unknown, { kind, classNames }: ParquetColumn): string | number {
  if (kind !== 'number') return toText(value);
  const number = toNumber(value);
  return classNames === undefined ? number : (classNames[number] ?? '');
}

/**
 * Data set of Parquet files with a column of images or of lists of numbers, and a target.
 * @returns also lines about what was chosen and left out
 * @throws DataError with file, row and reason
 */
export async function parquetDataset(
  { train, test }: { readonly train: readonly ParquetFile[]; readonly test: readonly ParquetFile[] | null },
  options: ParquetOptions,
  about: Pick<Dataset, 'name' | 'description'>,
): Promise<{ dataset: Dataset; lines: string[] }> {
  const columns = usedColumns(train, options);
  const input = chooseInput(columns, train[0]?.file.path ?? about.name);
  const labels = columns.filter(({ kind }) => kind === 'number' || kind === 'text');
  // A class of Hugging Face comes before the names that targets usually have.
  const classLabel = labels.find(({ classNames }) => classNames !== undefined);
  const table = await readParquetTable(
    train,
    options,
    labels.map(({ name }) => name),
  );
  const { targets: chosen, lines } = chooseTargetColumns(table, {
    ...options,
    target: options.target ?? classLabel?.name,
  });
  for (const { column } of chosen) requireTargetValues(column, table);
  const others = columns.filter(
    (column) => column !== input && !chosen.some((target) => target.column.name === column.name),
  );
  if (others.length > 0)
    lines.push(
      `Left out: ${listNames(others.map(({ name }) => name))}, beside the ${input.kind === 'image' ? 'images' : 'lists'} of ${shown(input.name)}.`,
    );
  const divided = test === null ? divideSamples(table, chosen, options.divide, lines) : null;
  const trainRows = divided?.train ?? allRows(table.rows);
  const targets = fitTargets(chosen, trainRows).map((target, i): Target => {
    const ofFile = columns.find(({ name }) => name === target.name)?.classNames;
    const classNames = (i === 0 ? options.classNames : undefined) ?? ofFile;
    return target.type === 'category' && classNames !== undefined
      ? { ...target, values: [...classNames] }
      : target;
  });
  const testTable =
    test === null
      ? table
      : await readParquetTable(
          test,
          { types: {} },
          targets.map(({ name }) => name),
        );
  if (test !== null)
    for (const { name } of targets) requireTargetValues(columnOf(testTable, name), testTable);
  const testRows = divided?.test ?? allRows(testTable.rows);
  const reader =
    input.kind === 'image'
      ? await imageReader(train, input, options, lines)
      : await vectorReader(train, input);
  const make = (files: readonly ParquetFile[], from: Table, rows: Uint32Array): Promise<Split> =>
    makeSplit(
      { files, column: input.name, reader },
      {
        rows,
        targets: encodeTargets({ table: from, rows }, targets),
        hasClass: targets[0]?.type === 'category',
      },
      options,
    );
  const [first] = targets;
  const dataset: Dataset = {
    ...about,
    inputs: [reader.spec],
    targets: targetSpecs(targets),
    ...(first?.type === 'category' ? { classNames: first.values } : {}),
    train: await make(train, table, trainRows),
    test: await make(test ?? train, testTable, testRows),
    ...(reader.preprocessing === undefined ? {} : { preprocessing: reader.preprocessing }),
  };
  return { dataset, lines };
}

const allRows = (count: number): Uint32Array => Uint32Array.from({ length: count }, (_, row) => row);

/** @throws DataError if there are several columns of images or lists */
function chooseInput(columns: readonly ParquetColumn[], path: string): ParquetColumn {
  const images = columns.filter(({ kind }) => kind === 'image');
  const inputs = images.length > 0 ? images : columns.filter(({ kind }) => kind === 'vector');
  const [input, another] = inputs;
  if (input !== undefined && another === undefined) return input;
  throw new DataError(
    `${path} has several columns of ${images.length > 0 ? 'images' : 'lists'}: ${listNames(inputs.map(({ name }) => name))}. Leave all but one out with --ignore.`,
  );
}

async function imageReader(
  files: readonly ParquetFile[],
  { name }: ParquetColumn,
  options: ParquetOptions,
  lines: string[],
): Promise<SampleReader> {
  const { decoder, fit = 'crop' } = options;
  const [file] = files;
  const found = new Set<string>();
  let isGray = true;
  for (const [i, value] of (await firstValues(file, name, MAX_HEADERS)).entries()) {
    const header = await named(`${file?.file.path}: row ${i + 1} of ${shown(name)}`, () =>
      decoder.header(requireBytes(value)),
    );
    found.add(`${header.height} ${header.width}`);
    isGray &&= header.isGray;
  }
  const [height = DEFAULT_SIDE, width = DEFAULT_SIDE] =
    options.size ?? (found.size === 1 ? [...found][0]?.split(' ').map(Number) : undefined) ?? [];
  const image: ImageOptions = { size: [height, width], channels: options.channels ?? (isGray ? 1 : 3), fit };
  const size = height * width * image.channels;
  lines.push(
    `Images: ${height} x ${width}, ${image.channels === 1 ? 'gray' : `${image.channels} channels`}${found.size === 1 && options.size === undefined ? '' : ` (${fit})`}.`,
  );
  return {
    size,
    spec: { name: 'image', shape: [height, width, image.channels], dtype: 'uint8', scale: BYTE_SCALE },
    preprocessing: { kind: 'image', ...image },
    create: (samples) => new Uint8Array(samples * size),
    isSlow: true,
    convert: (value, where) => named(where, () => decoder.decode(requireBytes(value), image)),
  };
}

function requireBytes(value: unknown): Uint8Array {
  const bytes = toImageBytes(value);
  if (bytes !== null) return bytes;
  throw new DataError(
    'There is no image, perhaps only its path. Write the images into the file: Hugging Face calls it embed_external_files.',
  );
}

/** Adds the place to the errors of a decoder. */
async function named<Result>(where: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DataError) throw new DataError(`${where}: ${error.message}`);
    throw error;
  }
}

/** First values of a column. */
async function firstValues(file: ParquetFile | undefined, name: string, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  for (const group of file?.groups.keys() ?? []) {
    for (const block of (await file?.blocks(name, group)) ?? []) {
      values.push(...(await block.read()).slice(0, count - values.length));
      if (values.length >= count) return values;
    }
  }
  return values;
}

async function vectorReader(files: readonly ParquetFile[], { name }: ParquetColumn): Promise<SampleReader> {
  const [file] = files;
  const [first] = await firstValues(file, name, 1);
  const size = Array.isArray(first) || ArrayBuffer.isView(first) ? (first as ArrayLike<unknown>).length : 0;
  if (size === 0)
    throw new DataError(
      `${file?.file.path}: row 1 of ${shown(name)} has an empty list. Fill it in, or remove the row.`,
    );
  return {
    size,
    spec: { name, shape: [size], dtype: 'float32' },
    create: (samples) => new Float32Array(samples * size),
    isSlow: false,
    convert(value, where) {
      const list =
        Array.isArray(value) || ArrayBuffer.isView(value)
          ? Array.from(value as ArrayLike<unknown>, toNumber)
          : [];
      if (list.length !== size)
        throw new DataError(
          `${where} has ${list.length} numbers, and row 1 has ${size}. Write lists of one length.`,
        );
      if (list.some((number) => !Number.isFinite(number)))
        throw new DataError(
          `${where} has a number that is missing or not finite. Fill it in, or remove the row.`,
        );
      return Promise.resolve(list);
    },
  };
}
