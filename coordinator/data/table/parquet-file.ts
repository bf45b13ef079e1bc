import type { AsyncBuffer, Compressors, FileMetaData, SchemaTree } from 'hyparquet';
import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import { errorMessage } from '../../../shared/util/error-message.ts';
import { sanitizeForTerminal } from '../../../shared/util/sanitize.ts';
import type { RandomAccess } from './random-access.ts';

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

/** Parquet file of which rows are read by their numbers. */
export interface ParquetFile {
  readonly file: RandomAccess;
  readonly rows: number;
  readonly columns: readonly ParquetColumn[];
  readonly groups: readonly RowGroup[];
  /**
   * Reads values of columns.
   * @returns a row as an object with the columns' names
   * @throws DataError if they are damaged
   */
  read(columns: readonly string[], from: number, to: number): Promise<Record<string, unknown>[]>;
}

/** A part of a file that unpacks to more is an attack, or of no use: a run holds its data in memory. */
const MAX_PAGE_BYTES = 2 ** 30;
/** Rows of a group that are read at once. */
const MAX_GROUP_ROWS = 2 ** 26;
const MAX_FOOTER_BYTES = 2 ** 28;

/**
 * Opens a Parquet file and reads its schema.
 * @throws DataError if it is damaged or encrypted
 * @example
 * ```ts
 * const { columns, read } = await openParquet(await openFile('/data/train.parquet', 'train.parquet'));
 * const rows = await read(['label'], 0, 100);
 * ```
 */
export async function openParquet(file: RandomAccess): Promise<ParquetFile> {
  const { path, length } = file;
  await requireSignature(file);
  const [{ parquetMetadataAsync, parquetRead, parquetSchema }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  const buffer: AsyncBuffer = {
    byteLength: length,
    slice: async (start, end = length) => {
      const from = start < 0 ? length + start : start;
      if (from < 0 || end > length || from > end)
        throw new Error(`bytes ${from} to ${end} of ${length} are named`);
      return (await file.read(from, end - from)).buffer;
    },
  };
  const metadata = await parquetMetadataAsync(buffer).catch((error: unknown) => {
    throw damagedError(path, error);
  });
  const columns = describeColumns(parquetSchema(metadata), metadata);
  const groups: RowGroup[] = [];
  let rows = 0;
  for (const group of metadata.row_groups) {
    const count = Number(group.num_rows);
    if (!(count >= 0 && count <= MAX_GROUP_ROWS)) {
      throw invalidFileError(
        path,
        `groups of at most ${MAX_GROUP_ROWS} rows`,
        `one of ${count}`,
        'Write it with smaller row groups.',
      );
    }
    groups.push({ from: rows, rows: count });
    rows += count;
  }
  if (rows === 0)
    throw invalidFileError(path, 'a table with rows', 'none', 'Get the file again from where it came.');
  const bounded = boundCompressors(compressors, path);
  return {
    file,
    rows,
    columns,
    groups,
    read: (names, from, to) =>
      new Promise((resolve, reject) => {
        const options = {
          file: buffer,
          metadata,
          columns: [...names],
          rowStart: from,
          rowEnd: to,
          compressors: bounded,
        };
        parquetRead({
          ...options,
          utf8: false,
          rowFormat: 'object',
          onComplete: (found) => resolve(found),
        }).catch((error: unknown) => reject(damagedError(path, error)));
      }),
  };
}

async function requireSignature(file: RandomAccess): Promise<void> {
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
  const footer = ending.readUInt32LE(0);
  if (last === 'PAR1' && footer <= Math.min(length - 12, MAX_FOOTER_BYTES)) return;
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

/** Refuses pages that unpack to more memory than data can have. */
function boundCompressors(compressors: Compressors, path: string): Compressors {
  return Object.fromEntries(
    Object.entries(compressors).map(([codec, unpack]) => [
      codec,
      (input: Uint8Array, outputLength: number): Uint8Array => {
        if (outputLength > MAX_PAGE_BYTES) {
          throw invalidFileError(
            path,
            `pages of at most ${MAX_PAGE_BYTES} bytes`,
            `one of ${outputLength}`,
            'Write it with smaller pages.',
          );
        }
        return unpack(input, outputLength);
      },
    ]),
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
  if (logical?.type === 'FLOAT16' || logical?.type === 'DECIMAL' || converted === 'DECIMAL') return 'number';
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
