import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Parser } from 'csv-parse';
import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../../shared/util/sanitize.ts';

/** Bytes of a file, in order. */
export type Chunks = AsyncIterable<Uint8Array>;

/** A row of 512 x 512 color pixels has 3 MB; a longer one is text with a quote that is not closed. */
const MAX_ROW_BYTES = 2 ** 24;
/** Bytes of the file that show its delimiter. */
const SAMPLE_BYTES = 2 ** 16;
const SAMPLE_LINES = 20;
const DELIMITERS = [',', ';', '\t', '|'] as const;
export type Delimiter = (typeof DELIMITERS)[number];

export interface ParseCsvOptions {
  /** Path for messages. */
  readonly path: string;
  /** @default detected */
  readonly delimiter?: Delimiter | undefined;
  /** Receives the delimiter before the first row. */
  readonly onDelimiter?: (delimiter: Delimiter) => void;
}

/**
 * Parses CSV as a stream, so that only a chunk of its text is in memory. Quotes, a byte order mark, empty lines and line breaks
 * of any kind are understood. Rows without any value are left out at the beginning and at the end.
 *
 * @param onRow receives the fields of each row, as they are in the file; its errors end the reading
 * @throws DataError if the text is not UTF-8, or if a quote is not closed; also the errors of onRow
 * @example
 * ```ts
 * await parseCsv(contents.chunks, { path: 'iris.csv' }, (fields) => rows.push(fields));
 * ```
 */
export async function parseCsv(
  chunks: Chunks,
  { path, delimiter: known, onDelimiter }: ParseCsvOptions,
  onRow: (fields: string[]) => void,
): Promise<void> {
  const { parse } = await import('csv-parse');
  const { head, all, close } = await takeHead(utf8Chunks(chunks, path));
  const delimiter = known ?? detectDelimiter(head.toString('utf8'));
  onDelimiter?.(delimiter);
  const parser = parse({
    delimiter,
    bom: true,
    relax_column_count: true,
    // A quote inside of a field without quotes, as in 5" disk, is part of it.
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW_BYTES,
  });
  // Spreadsheets end tables with rows without values. Those between others count, so that a row keeps its number.
  const empty: string[][] = [];
  let hasValues = false;
  const take = (row: string[]): void => {
    if (row.every((field) => field.trim() === '')) {
      if (hasValues) empty.push(row);
      return;
    }
    hasValues = true;
    for (const other of empty.splice(0)) onRow(other);
    onRow(row);
  };
  parser.on('readable', () => {
    try {
      for (let row = readRow(parser); row !== null; row = readRow(parser)) take(row);
    } catch (error) {
      parser.destroy(error as Error);
    }
  });
  try {
    await pipeline(Readable.from(all()), parser);
  } catch (error) {
    throw explainParseError(error, path);
  } finally {
    await close();
  }
}

const readRow = (parser: Parser): string[] | null => parser.read() as string[] | null;

/** The source's first bytes, and all of them from the first on. */
async function takeHead(
  source: AsyncGenerator<Buffer>,
): Promise<{ head: Buffer; all: () => AsyncGenerator<Buffer>; close: () => Promise<void> }> {
  const first: Buffer[] = [];
  let length = 0;
  while (length < SAMPLE_BYTES) {
    const next = await source.next();
    if (next.done === true) break;
    first.push(next.value);
    length += next.value.length;
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield* first;
    yield* source;
  }
  return {
    head: Buffer.concat(first).subarray(0, SAMPLE_BYTES),
    all,
    close: async () => void (await source.return(undefined)),
  };
}

/**
 * The delimiter that divides the first lines into the same number of fields, the largest one; without any, a comma.
 * @param text beginning of the file
 */
export function detectDelimiter(text: string): Delimiter {
  // Text in quotes may contain delimiters and line breaks. The last line may be cut.
  const lines = text.replaceAll(/"(?:[^"]|"")*"/g, '""').split(/\r\n|\n|\r/);
  if (lines.length > 1 && text.length >= SAMPLE_BYTES / 4) lines.pop();
  const sample = lines.filter((line) => line.trim() !== '').slice(0, SAMPLE_LINES);
  const rank = (delimiter: Delimiter): readonly [lines: number, fields: number] => {
    const counts = sample.map((line) => line.split(delimiter).length);
    const fields = counts[0] ?? 1;
    return fields < 2 ? [0, 0] : [counts.filter((count) => count === fields).length, fields];
  };
  const [best = ','] = DELIMITERS.toSorted((a, b) => {
    const [linesA, fieldsA] = rank(a);
    const [linesB, fieldsB] = rank(b);
    return linesB - linesA || fieldsB - fieldsA;
  });
  return best;
}

/**
 * Chunks of text in which no character is cut.
 * @throws DataError at the first byte sequence that is not UTF-8
 */
export async function* utf8Chunks(chunks: Chunks, path: string): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let lines = 1;
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? toBuffer(chunk) : Buffer.concat([rest, chunk]);
    const end = bytes.length - incompleteLength(bytes);
    const text = bytes.subarray(0, end);
    if (!isUtf8(text)) throw notUtf8Error(text, lines, path);
    lines += countLines(text);
    rest = bytes.subarray(end);
    if (text.length > 0) yield text;
  }
  if (rest.length > 0) throw notUtf8Error(rest, lines, path);
}

const toBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Number of bytes at the end that begin a character and do not complete it. */
function incompleteLength(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] as number;
    // A byte that continues a character.
    if (byte >= 0x80 && byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? back : 0;
  }
  return 0;
}

function countLines(text: Buffer): number {
  let count = 0;
  for (let at = text.indexOf(0x0a); at >= 0; at = text.indexOf(0x0a, at + 1)) count++;
  return count;
}

/** Error that shows the first line that is not UTF-8, read as Latin-1, which such files usually are. */
function notUtf8Error(text: Buffer, firstLine: number, path: string): DataError {
  let line = firstLine;
  let from = 0;
  for (;;) {
    const to = text.indexOf(0x0a, from);
    const bytes = to < 0 ? text.subarray(from) : text.subarray(from, to);
    if (to < 0 || !isUtf8(bytes)) {
      const at = Math.max(
        0,
        bytes.findIndex(
          (byte, i) => byte >= 0x80 && !isUtf8(bytes.subarray(0, i + 1)) && !startsCharacter(bytes, i),
        ),
      );
      const shown = sanitizeForTerminal(bytes.subarray(Math.max(0, at - 12), at + 12).toString('latin1'));
      return new DataError(
        `${path}: line ${line} is not UTF-8 text; read as Latin-1 it has "${shown}". ` +
          `Convert the file first: iconv -f LATIN1 -t UTF-8 FILE > NEW_FILE.`,
      );
    }
    line++;
    from = to + 1;
  }
}

/** Whether a whole character begins at a place. */
const startsCharacter = (bytes: Buffer, at: number): boolean =>
  [2, 3, 4].some((length) => at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)));

function explainParseError(error: unknown, path: string): unknown {
  const {
    code,
    lines = 1,
    records = 0,
  } = error as {
    readonly code?: unknown;
    readonly lines?: number;
    readonly records?: number;
  };
  if (code === 'CSV_QUOTE_NOT_CLOSED' || code === 'CSV_MAX_RECORD_SIZE') {
    return invalidFileError(
      path,
      `rows of at most ${MAX_ROW_BYTES} bytes with each quote closed`,
      `a quote in row ${records + 1} that is not closed, or a row that does not end`,
      'Close the quote, or double it where it is part of the text.',
    );
  }
  if (typeof code === 'string' && code.startsWith('CSV_')) {
    return invalidFileError(path, 'CSV text', `in line ${lines}: ${(error as Error).message}`);
  }
  return error;
}
