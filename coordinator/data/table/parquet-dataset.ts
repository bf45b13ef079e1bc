import { createHash } from 'node:crypto';
import { DataError } from '../../../shared/data/data-error.ts';
import type { Dataset, LazySplit, Split } from '../../../shared/data/dataset.ts';
import type { ImagePreprocessing, Preprocessing, Target } from '../../../shared/data/preprocessing.ts';
import { pickSamples } from '../../../shared/data/shard.ts';
import { BYTE_SCALE, type TensorSpec, type TensorValues } from '../../../shared/model/tensors.ts';
import { chooseTargetColumns, type ColumnChoice } from './choose-columns.ts';
import { shown } from './column-builder.ts';
import { toImageBytes, toNumber, toText, type ParquetColumn, type ParquetFile } from './parquet-file.ts';
import { listNames, TableBuilder, type Table, type TableOptions } from './read-table.ts';
import {
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

export interface ParquetOptions extends ColumnChoice {
  /** Height and width of images. @default their own, if it is the same for all */
  readonly size?: readonly [number, number] | undefined;
  readonly channels?: ImageOptions['channels'] | undefined;
  readonly fit?: ImageOptions['fit'] | undefined;
  /** Classes of the first target in the order of a model. @default those of the file */
  readonly classNames?: readonly string[] | undefined;
  readonly divide: Divide;
  readonly decoder: ImageDecoder;
  /** Images that need more bytes are decoded when they are needed. @default 1 GiB */
  readonly maxBytes?: number | undefined;
  readonly progress: (done: number, total: number) => void;
}

const MAX_BYTES = 2 ** 30;
/** Decoded samples that are kept, if not all are. */
const CACHE_BYTES = 2 ** 28;
/** Images whose headers are read. */
const MAX_HEADERS = 100;
/** Height and width of images of different sizes. */
const DEFAULT_SIDE = 64;
const DECODES_AT_ONCE = 8;

/** Columns of the first file that are not ignored. */
export function usedColumns(
  files: readonly ParquetFile[],
  { ignore = [] }: Pick<ColumnChoice, 'ignore'>,
): readonly ParquetColumn[] {
  return (files[0]?.columns ?? []).filter(({ name }) => !ignore.includes(name));
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
  const isRead = ({ name, kind }: ParquetColumn): boolean =>
    (names === undefined || names.includes(name)) &&
    (kind === 'number' || kind === 'text') &&
    options.ignore?.includes(name) !== true;
  const notes = all
    .filter(
      (column) => names === undefined && !isRead(column) && options.ignore?.includes(column.name) !== true,
    )
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
  for (const file of files) {
    const { columns, groups } = file;
    builder.beginFile(
      file.file.path,
      columns.map(({ name }) => name),
      1,
    );
    const read = columns.filter((column) => isRead(column));
    for (const { from, rows } of groups) {
      for (const row of await file.read(
        read.map(({ name }) => name),
        from,
        from + rows,
      )) {
        builder.addValues(
          columns.map((column) => (read.includes(column) ? toField(row[column.name], column) : '')),
        );
      }
    }
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
  const testRows = divided?.test ?? allRows(testTable.rows);
  const reader =
    input.kind === 'image'
      ? await imageReader(train, input, options, lines)
      : await vectorReader(train, input);
  const make = async (files: readonly ParquetFile[], from: Table, rows: Uint32Array): Promise<Split> =>
    makeSplit(
      files,
      input,
      reader,
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

/** Converts values of a column to samples. */
interface SampleReader {
  readonly spec: TensorSpec;
  /** Elements of a sample. */
  readonly size: number;
  readonly preprocessing?: Preprocessing;
  readonly create: (samples: number) => TensorValues;
  /** @param where for errors */
  readonly convert: (value: unknown, where: string) => Promise<ArrayLike<number>>;
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
  const count = Math.min(MAX_HEADERS, file?.groups[0]?.rows ?? 0);
  for (const [i, row] of ((await file?.read([name], 0, count)) ?? []).entries()) {
    const header = await named(`${file?.file.path}: row ${i + 1} of ${shown(name)}`, () =>
      decoder.header(requireBytes(row[name])),
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

async function vectorReader(files: readonly ParquetFile[], { name }: ParquetColumn): Promise<SampleReader> {
  const [file] = files;
  const [first] = (await file?.read([name], 0, 1)) ?? [];
  const size =
    Array.isArray(first?.[name]) || ArrayBuffer.isView(first?.[name])
      ? (first[name] as ArrayLike<unknown>).length
      : 0;
  if (size === 0)
    throw new DataError(
      `${file?.file.path}: row 1 of ${shown(name)} has an empty list. Fill it in, or remove the row.`,
    );
  return {
    size,
    spec: { name, shape: [size], dtype: 'float32' },
    create: (samples) => new Float32Array(samples * size),
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

interface Part {
  readonly rows: Uint32Array;
  readonly targets: readonly TensorValues[];
  readonly hasClass: boolean;
}

/** Samples in memory, or read by groups if they need too much of it. */
async function makeSplit(
  files: readonly ParquetFile[],
  input: ParquetColumn,
  reader: SampleReader,
  { rows, targets, hasClass }: Part,
  { maxBytes = MAX_BYTES, progress }: ParquetOptions,
): Promise<Split> {
  const count = rows.length;
  const { size, create } = reader;
  const sampleBytes = create(1).byteLength;
  const groups = locateGroups(files);
  if (count * sampleBytes <= maxBytes) {
    const values = create(count);
    await readRows(
      groups,
      input,
      rows,
      async (value, place, where) => values.set(await reader.convert(value, where), place * size),
      (done) => progress(done, count),
    );
    return { count, inputs: [values], targets };
  }
  const cache = new GroupCache(groups, input, reader, CACHE_BYTES);
  const hash = createHash('sha256').update(JSON.stringify(reader.preprocessing ?? reader.spec));
  for (const { file } of files) hash.update(file.stamp);
  for (const { buffer, byteOffset, byteLength } of [rows, ...targets])
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  const [labels] = targets;
  const lazy: LazySplit = {
    count,
    ...(hasClass && labels !== undefined && !(labels instanceof Float32Array) ? { labels } : {}),
    digest: hash.digest('hex'),
    async read(numbers) {
      const values = create(numbers.length);
      await cache.copy(
        Uint32Array.from(numbers, (number) => rows[number] ?? 0),
        values,
      );
      return { ...pickSamples({ inputs: [], targets, count }, numbers), inputs: [values] };
    },
  };
  return lazy;
}

/** Group of rows with its place among the rows of all files. */
interface LocatedGroup {
  readonly file: ParquetFile;
  /** Rows in the file. */
  readonly from: number;
  readonly rows: number;
  /** Number of the first row among those of all files. */
  readonly start: number;
}

function locateGroups(files: readonly ParquetFile[]): LocatedGroup[] {
  const located: LocatedGroup[] = [];
  let start = 0;
  for (const file of files) {
    for (const { from, rows } of file.groups) {
      located.push({ file, from, rows, start });
      start += rows;
    }
  }
  return located;
}

/** Reads rows group by group. @param use receives the value of a row and its place in `rows` */
async function readRows(
  groups: readonly LocatedGroup[],
  { name }: ParquetColumn,
  rows: Uint32Array,
  use: (value: unknown, place: number, where: string) => Promise<void>,
  progress: (done: number) => void,
): Promise<void> {
  const places = new Map(Array.from(rows, (row, place) => [row, place]));
  let done = 0;
  for (const { file, from, rows: count, start } of groups) {
    const wanted = Array.from({ length: count }, (_, i) => i).filter((i) => places.has(start + i));
    if (wanted.length === 0) continue;
    const values = await file.read([name], from, from + count);
    for (let at = 0; at < wanted.length; at += DECODES_AT_ONCE) {
      const part = wanted.slice(at, at + DECODES_AT_ONCE);
      await Promise.all(
        part.map((i) =>
          use(
            values[i]?.[name],
            places.get(start + i) ?? 0,
            `${file.file.path}: row ${from + i + 1} of ${shown(name)}`,
          ),
        ),
      );
      done += part.length;
      progress(done);
    }
  }
}

/** Samples of the groups that were used last. */
class GroupCache {
  readonly #groups: readonly LocatedGroup[];
  readonly #input: ParquetColumn;
  readonly #reader: SampleReader;
  readonly #maxBytes: number;
  readonly #cached = new Map<LocatedGroup, Promise<TensorValues>>();

  constructor(groups: readonly LocatedGroup[], input: ParquetColumn, reader: SampleReader, maxBytes: number) {
    this.#groups = groups;
    this.#input = input;
    this.#reader = reader;
    this.#maxBytes = maxBytes;
  }

  /** Copies the samples of rows in their order. */
  async copy(rows: Uint32Array, values: TensorValues): Promise<void> {
    const { size } = this.#reader;
    const byGroup = new Map<LocatedGroup, { row: number; place: number }[]>();
    for (const [place, row] of rows.entries()) {
      const group = this.#groups.findLast(({ start }) => start <= row) as LocatedGroup;
      byGroup.set(group, [...(byGroup.get(group) ?? []), { row, place }]);
    }
    for (const [group, wanted] of byGroup) {
      const samples = await this.#decode(group);
      for (const { row, place } of wanted) {
        const from = (row - group.start) * size;
        values.set(samples.subarray(from, from + size), place * size);
      }
    }
  }

  #decode(group: LocatedGroup): Promise<TensorValues> {
    const cached = this.#cached.get(group);
    // The group that was used last is the last one in the map.
    this.#cached.delete(group);
    const samples = cached ?? this.#read(group);
    this.#cached.set(group, samples);
    samples.catch(() => this.#cached.delete(group));
    const bytes = ({ rows }: LocatedGroup): number => this.#reader.create(1).byteLength * rows;
    let total = [...this.#cached.keys()].reduce((sum, other) => sum + bytes(other), 0);
    for (const other of this.#cached.keys()) {
      if (total <= this.#maxBytes || other === group) break;
      this.#cached.delete(other);
      total -= bytes(other);
    }
    return samples;
  }

  async #read(group: LocatedGroup): Promise<TensorValues> {
    const { size, create, convert } = this.#reader;
    const values = create(group.rows);
    const rows = Uint32Array.from({ length: group.rows }, (_, i) => group.start + i);
    await readRows(
      [group],
      this.#input,
      rows,
      async (value, place, where) => values.set(await convert(value, where), place * size),
      () => undefined,
    );
    return values;
  }
}
