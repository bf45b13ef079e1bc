import type { ColumnChunk, FileMetaData, parquetRead, SchemaTree } from 'hyparquet';
import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import { errorMessage } from '../../../shared/util/error-message.ts';
import { sanitizeForTerminal } from '../../../shared/util/sanitize.ts';
import {
  listPages,
  loadUnpack,
  openPage,
  type Chunk,
  type OpenedPage,
  type Page,
  type Unpack,
} from './parquet-pages.ts';
import type { RandomAccess } from './random-access.ts';
import { MAX_CELLS } from './read-table.ts';
import { readThriftStruct } from './thrift.ts';

/** Kind of a column's values. */
export type ParquetKind = 'number' | 'text' | 'image' | 'vector' | 'date' | 'other';

export interface ParquetColumn {
  readonly name: string;
  readonly kind: ParquetKind;
  /** Names of the classes that Hugging Face writes beside class numbers. */
  readonly classNames?: readonly string[];
}

/** Rows that are stored together. */
export interface RowGroup {
  /** Number of its first row in the file. */
  readonly from: number;
  readonly rows: number;
}

/** Rows of a column that are decoded together: a page, or several small ones. */
export interface Block {
  /** Number of its first row in the file. */
  readonly from: number;
  readonly rows: number;
  /** Memory that its values take, about. */
  readonly bytes: number;
  /** Reads a value for each row. @throws DataError if they are damaged */
  read(): Promise<readonly unknown[]>;
}

/** Parquet file of which columns are read block by block. */
export interface ParquetFile {
  readonly file: RandomAccess;
  readonly rows: number;
  readonly columns: readonly ParquetColumn[];
  readonly groups: readonly RowGroup[];
  /**
   * Finds the blocks of a column in a row group.
   * @param group number of the row group
   * @throws DataError if they are damaged, or claim more values than they have
   */
  readonly blocks: (column: string, group: number) => Promise<readonly Block[]>;
}

const MAX_FOOTER_BYTES = 2 ** 28;
/** Numbers, texts, lists and structs in the footer. Each column of a row group has about 30. */
const MAX_FOOTER_VALUES = 2 ** 23;
/** Small pages are read together, up to so many values and bytes. */
const BLOCK_VALUES = 2 ** 16;
const BLOCK_BYTES = 2 ** 20;
/** Values of the pages that a single list of numbers goes over. */
const MAX_BLOCK_VALUES = 2 ** 25;

/** Decimal numbers have at most 76 digits. */
const MAX_DECIMAL_BYTES = 32;
/** Memory of a value in an array. */
const VALUE_BYTES = 16;

/**
 * Opens a Parquet file and reads its schema.
 * @throws DataError if it is damaged or encrypted
 * @example
 * ```ts
 * const { columns, blocks } = await openParquet(await openFile('/data/train.parquet', 'train.parquet'));
 * for (const block of await blocks('label', 0)) console.log(await block.read());
 * ```
 */
export async function openParquet(file: RandomAccess): Promise<ParquetFile> {
  const { path } = file;
  const footer = await readFooter(file);
  const [{ parquetMetadata, parquetRead: decode, parquetSchema }, unpack] = await Promise.all([
    import('hyparquet'),
    loadUnpack(),
  ]);
  const orDamaged = async <Result>(work: () => Result | Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      throw damagedError(path, error);
    }
  };
  const { metadata, schema } = await orDamaged(() => {
    readThriftStruct(footer, 0, MAX_FOOTER_VALUES);
    const parsed = parquetMetadata(footer.buffer);
    return { metadata: parsed, schema: parquetSchema(parsed) };
  });
  const columns = describeColumns(schema, metadata);
  const groups: RowGroup[] = [];
  let rows = 0;
  for (const group of metadata.row_groups) {
    const count = Number(group.num_rows);
    if (!(count >= 0 && rows + count <= MAX_CELLS)) {
      throw invalidFileError(
        path,
        `at most ${MAX_CELLS} rows`,
        `a group of ${count}`,
        'Write smaller files.',
      );
    }
    groups.push({ from: rows, rows: count });
    rows += count;
  }
  if (rows === 0)
    throw invalidFileError(path, 'a table with rows', 'none', 'Get the file again from where it came.');

  const reader = new ColumnReader({ file, metadata, schema, columns, groups, unpack, parquetRead: decode });
  return {
    file,
    rows,
    columns,
    groups,
    blocks: async (name, group) => {
      const blocks = await orDamaged(() => reader.listBlocks(name, group));
      return blocks.map((block) => ({ ...block, read: () => orDamaged(() => block.read()) }));
    },
  };
}

interface ColumnReaderOptions extends Pick<ParquetFile, 'file' | 'columns' | 'groups'> {
  readonly metadata: FileMetaData;
  readonly schema: SchemaTree;
  readonly unpack: Unpack;
  readonly parquetRead: typeof parquetRead;
}

/** Column in a row group, with the way to it through the schema. */
interface LocatedChunk extends Chunk {
  readonly leaf: readonly SchemaTree[];
}

/** Finds and reads blocks of columns. Its errors do not name the file. */
class ColumnReader {
  readonly #options: ColumnReaderOptions;
  readonly #kinds: ReadonlyMap<string, ParquetKind>;
  /** Columns of the row group that was used last, by their places in the schema. */
  #chunks: { readonly group: number; readonly byPlace: ReadonlyMap<string, ColumnChunk> } | null = null;

  constructor(options: ColumnReaderOptions) {
    this.#options = options;
    this.#kinds = new Map(options.columns.map(({ name, kind }) => [name, kind]));
  }

  async listBlocks(name: string, group: number): Promise<Block[]> {
    const { file, groups } = this.#options;
    const { from, rows } = groups[group] as RowGroup;
    const chunk = this.#findChunk(name, group);
    const pages = await listPages(file, chunk);
    const dictionary = pages.filter(({ kind }) => kind === 'dictionary').slice(0, 1);
    const blocks: Block[] = [];
    let start = from;
    for (const part of await this.#joinPages(pages, chunk)) {
      const { rows: count, bytes, values } = sizeOf(part);
      const all = [...dictionary, ...part.map(({ page }) => page)];
      const block = { from: start, rows: count, bytes: bytes + VALUE_BYTES * values };
      blocks.push({ ...block, read: () => this.#readPages(all, chunk) });
      start += count;
    }
    if (start - from === rows) return blocks;
    throw new RangeError(`${start - from} rows are stored in a group, and ${rows} are named`);
  }

  #findChunk(name: string, group: number): LocatedChunk {
    const { metadata, schema } = this.#options;
    if (this.#chunks?.group !== group) {
      const columns = metadata.row_groups[group]?.columns ?? [];
      const byPlace = new Map(
        columns.map((chunk) => [chunk.meta_data?.path_in_schema.join('\0') ?? '', chunk]),
      );
      this.#chunks = { group, byPlace };
    }
    const leaf = leafOf(schema, name, this.#kinds.get(name) ?? 'other');
    const places = leaf.slice(1).map(({ element }) => element);
    const { meta_data: meta, file_path: otherFile } =
      this.#chunks.byPlace.get(places.map((place) => place.name).join('\0')) ?? {};
    if (meta === undefined || otherFile !== undefined) {
      throw new RangeError(
        `the column ${sanitizeForTerminal(name.slice(0, 60))} is in another file, or missing`,
      );
    }
    const maxRepetition = places.filter((place) => place.repetition_type === 'REPEATED').length;
    const maxDefinition = places.filter((place) => place.repetition_type !== 'REQUIRED').length;
    return { meta, leaf, maxRepetition, maxDefinition };
  }

  /** Joins small pages, and those that share a row. */
  async #joinPages(pages: readonly Page[], chunk: LocatedChunk): Promise<PageRows[][]> {
    const parts: PageRows[][] = [];
    for (const page of pages) {
      if (page.kind === 'dictionary') continue;
      // How many lists begin in a page is in its levels.
      const { rows, beginsRow } =
        chunk.maxRepetition === 0 ? { rows: page.values, beginsRow: true } : await this.#load(page, chunk);
      const last = parts.at(-1) ?? [];
      const { values, bytes } = sizeOf(last);
      if (values > MAX_BLOCK_VALUES) throw new RangeError(`a row has more than ${MAX_BLOCK_VALUES} values`);
      if (last.length > 0 && !(beginsRow && (values >= BLOCK_VALUES || bytes >= BLOCK_BYTES))) {
        last.push({ page, rows });
      } else parts.push([{ page, rows }]);
    }
    return parts;
  }

  async #load(page: Page, chunk: Chunk): Promise<LoadedPage> {
    const { file, unpack } = this.#options;
    const bytes = await file.read(page.from, page.headerBytes + page.packedBytes);
    return { bytes, ...openPage(page, bytes.subarray(page.headerBytes), chunk, unpack) };
  }

  /** Decodes pages of one column as a file of their own. */
  async #readPages(pages: readonly Page[], chunk: LocatedChunk): Promise<unknown[]> {
    const { metadata, parquetRead: decode } = this.#options;
    const { leaf, meta } = chunk;
    const loaded: LoadedPage[] = [];
    for (const page of pages) loaded.push(await this.#load(page, chunk));
    const bytes = concat(loaded.map((page) => page.bytes));
    const count = loaded.reduce((sum, page) => sum + page.rows, 0);
    const unpacked = loaded.flatMap((page) => page.unpacked ?? []);
    const own = { ...meta, data_page_offset: 0n, total_compressed_size: BigInt(bytes.length) };
    delete own.dictionary_page_offset;
    const num_rows = BigInt(count);
    const values: unknown[] = [];
    await decode({
      file: { byteLength: bytes.length, slice: (from, to) => bytes.buffer.slice(from, to) },
      metadata: {
        ...metadata,
        schema: leaf.map(({ element: { num_children: _, ...element } }, depth) =>
          depth < leaf.length - 1 ? { ...element, num_children: 1 } : element,
        ),
        num_rows,
        row_groups: [{ columns: [{ file_offset: 0n, meta_data: own }], total_byte_size: 0n, num_rows }],
      },
      compressors: { [meta.codec]: () => unpacked.shift() as Uint8Array },
      utf8: false,
      onChunk: ({ columnData }) => {
        for (const value of columnData) values.push(value);
      },
    });
    if (values.length === count) return values;
    throw new RangeError(`${values.length} rows are stored, and ${count} are named`);
  }
}

/** Page with its bytes and its header. */
interface LoadedPage extends OpenedPage {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

interface PageRows {
  readonly page: Page;
  readonly rows: number;
}

function sizeOf(pages: readonly PageRows[]): { rows: number; values: number; bytes: number } {
  let rows = 0;
  let values = 0;
  let bytes = 0;
  for (const { page, rows: begun } of pages) {
    rows += begun;
    values += page.values;
    bytes += page.unpackedBytes;
  }
  return { rows, values, bytes };
}

function concat(parts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Way through the schema to a column's numbers, texts or bytes. */
function leafOf(schema: SchemaTree, name: string, kind: ParquetKind): SchemaTree[] {
  const way = [schema];
  let next = schema.children.find(({ element }) => element.name === name);
  while (next !== undefined) {
    way.push(next);
    const { children }: SchemaTree = next;
    next = kind === 'image' ? children.find(({ element }) => element.name === 'bytes') : children[0];
  }
  return way;
}

/** Reads the footer with its length and the signature after it. @throws DataError if the file is none, or cut short */
async function readFooter(file: RandomAccess): Promise<Uint8Array<ArrayBuffer>> {
  const { path, length } = file;
  const expected = 'a Parquet file';
  if (length < 12) throw invalidFileError(path, expected, `${length} bytes`);
  const first = Buffer.from(await file.read(0, 4)).toString('latin1');
  const ending = Buffer.from(await file.read(length - 8, 8));
  const last = ending.toString('latin1', 4);
  if (first === 'PARE' || last === 'PARE')
    throw invalidFileError(path, expected, 'an encrypted one', 'Write it without encryption.');
  if (first !== 'PAR1') {
    throw invalidFileError(
      path,
      expected,
      `bytes that begin with "${sanitizeForTerminal(first)}"`,
      'Check the format of the file.',
    );
  }
  const bytes = ending.readUInt32LE(0);
  if (last === 'PAR1' && bytes <= Math.min(length - 12, MAX_FOOTER_BYTES)) {
    return file.read(length - 8 - bytes, bytes + 8);
  }
  throw invalidFileError(
    path,
    'a whole Parquet file',
    'one that is cut short: its end is missing',
    'Copy or download it again.',
  );
}

function damagedError(path: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  const reason = sanitizeForTerminal(errorMessage(error))
    .replace(/^parquet /i, '')
    .replace(/\.$/, '')
    .slice(0, 200);
  return new DataError(
    `${path}: the Parquet file is damaged, or of a kind that cannot be read (${reason}). Write it again, for example with pandas' to_parquet().`,
  );
}

function describeColumns({ children }: SchemaTree, metadata: FileMetaData): ParquetColumn[] {
  const features = huggingFaceFeatures(metadata);
  return children.map((tree) => {
    const { name } = tree.element;
    const feature = features[name];
    const classNames = feature?._type === 'ClassLabel' ? feature.names : undefined;
    const kind = feature?._type === 'Image' ? 'image' : kindOf(tree);
    return {
      name,
      kind,
      ...(Array.isArray(classNames) && kind === 'number' ? { classNames: classNames.map(String) } : {}),
    };
  });
}

interface Feature {
  readonly _type?: unknown;
  readonly names?: unknown;
}

/** Features of the columns, which the library datasets writes under the key huggingface. */
function huggingFaceFeatures({
  key_value_metadata: entries,
}: FileMetaData): Readonly<Record<string, Feature | undefined>> {
  const text = entries?.find(({ key }) => key === 'huggingface')?.value;
  if (text === undefined) return {};
  try {
    const { info } = JSON.parse(text) as { info?: { features?: Record<string, Feature> } };
    return info?.features ?? {};
  } catch {
    // The columns can be read without it.
    return {};
  }
}

function kindOf({ element, children }: SchemaTree): ParquetKind {
  const { type, converted_type: converted, logical_type: logical, repetition_type: repetition } = element;
  if (children.length > 0) {
    if (children.some((child) => child.element.name === 'bytes' && child.element.type === 'BYTE_ARRAY'))
      return 'image';
    const isList = converted === 'LIST' || logical?.type === 'LIST';
    const leaf = children[0]?.children[0] ?? children[0];
    return isList && leaf?.children.length === 0 && kindOf(withoutRepetition(leaf)) === 'number'
      ? 'vector'
      : 'other';
  }
  if (repetition === 'REPEATED')
    return kindOf(withoutRepetition({ element, children, count: 0, path: [] })) === 'number'
      ? 'vector'
      : 'other';
  if (type === 'INT96' || /^(?:DATE|TIME|INTERVAL)/.test(logical?.type ?? converted ?? '')) return 'date';
  if (type === 'BOOLEAN') return 'text';
  if (type === 'INT32' || type === 'INT64' || type === 'FLOAT' || type === 'DOUBLE') return 'number';
  if (logical?.type === 'FLOAT16' || logical?.type === 'DECIMAL' || converted === 'DECIMAL')
    return (element.type_length ?? 0) <= MAX_DECIMAL_BYTES ? 'number' : 'other';
  if (type !== 'BYTE_ARRAY') return 'other';
  const isText =
    ['UTF8', 'ENUM', 'JSON'].includes(converted ?? '') ||
    ['STRING', 'ENUM', 'JSON'].includes(logical?.type ?? '');
  // Bytes without a type are images, or text of an early writer.
  return isText || !/image|img|picture|photo|bytes|content/i.test(element.name) ? 'text' : 'image';
}

const withoutRepetition = (tree: SchemaTree): SchemaTree => ({
  ...tree,
  element: { ...tree.element, repetition_type: 'REQUIRED' },
});

/** Number of a value; NaN if it is missing. */
export function toNumber(value: unknown): number {
  if (typeof value === 'number') return value;
  return typeof value === 'bigint' ? Number(value) : NaN;
}

/** Text of a value; '' if it is missing. */
export function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8');
  return typeof value === 'boolean' || typeof value === 'number' || typeof value === 'bigint'
    ? String(value)
    : '';
}

/** Bytes of an image: those of a column of bytes, or the field bytes; null if there are none. */
export function toImageBytes(value: unknown): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  if (typeof value !== 'object' || value === null || !('bytes' in value)) return null;
  return value.bytes instanceof Uint8Array ? value.bytes : null;
}
