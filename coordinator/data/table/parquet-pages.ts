import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import type { ColumnMetaData } from 'hyparquet';
import type { RandomAccess } from './random-access.ts';
import { readThriftStruct, zigzag } from './thrift.ts';

/** Page of a column: its values, or the dictionary that those are numbers of. */
export interface Page {
  readonly kind: 'data' | 'data-v2' | 'dictionary';
  /** Place of its header in the file. */
  readonly from: number;
  readonly headerBytes: number;
  readonly packedBytes: number;
  readonly unpackedBytes: number;
  /** Missing ones too. */
  readonly values: number;
  /** Missing ones, as version 2 names them. */
  readonly missing: number;
  readonly encoding: number;
  /** Bytes of the levels before the values, which version 2 does not pack. */
  readonly repetitionBytes: number;
  readonly definitionBytes: number;
  readonly arePacked: boolean;
}

/** Column in a row group. */
export interface Chunk {
  readonly meta: ColumnMetaData;
  /** Deepest list, and deepest value that may be missing, of the column's place in the schema. */
  readonly maxRepetition: number;
  readonly maxDefinition: number;
}

/** A page that unpacks to more is an attack, or of no use: a run holds its data in memory. */
const MAX_PAGE_BYTES = 2 ** 30;
/** A run of equal values has some bytes, however many they are. */
const MAX_PAGE_VALUES = 2 ** 24;
/** Bytes that are read at once to find headers, and that a header with long statistics may have. */
const WINDOW_BYTES = 2 ** 14;
const MAX_HEADER_BYTES = 2 ** 24;
const MAX_HEADER_VALUES = 100;
/** Blocks of the encodings that store differences have about a hundred values. */
const MAX_BLOCK_VALUES = 2 ** 16;

const KINDS: Readonly<Record<number, Page['kind']>> = { 0: 'data', 2: 'dictionary', 3: 'data-v2' };
/** Encodings by their numbers. */
const PLAIN_DICTIONARY = 2;
const RLE = 3;
const DELTA_BINARY_PACKED = 5;
const DELTA_LENGTH_BYTE_ARRAY = 6;
const DELTA_BYTE_ARRAY = 7;
const RLE_DICTIONARY = 8;
const BYTE_STREAM_SPLIT = 9;
const ENCODINGS = new Set([
  0,
  PLAIN_DICTIONARY,
  RLE,
  DELTA_BINARY_PACKED,
  DELTA_LENGTH_BYTE_ARRAY,
  DELTA_BYTE_ARRAY,
  RLE_DICTIONARY,
  BYTE_STREAM_SPLIT,
]);

/**
 * Finds the pages of a column in a row group by their headers.
 * @throws RangeError if they claim more than their bytes or a computer's memory can have
 */
export async function listPages(file: RandomAccess, { meta }: Chunk): Promise<Page[]> {
  const first = Number(meta.dictionary_page_offset ?? 0n) || Number(meta.data_page_offset);
  const end = first + Number(meta.total_compressed_size);
  if (!(first >= 0 && end <= file.length && first <= end)) {
    throw new RangeError(`bytes ${first} to ${end} of ${file.length} are named`);
  }
  const pages: Page[] = [];
  let window: Uint8Array = new Uint8Array(0);
  let windowFrom = first;
  const total = Number(meta.num_values);
  let values = 0;
  for (let from = first; from < end && values < total;) {
    if (from + 1 > windowFrom + window.length - MAX_SHORT_HEADER) {
      windowFrom = from;
      window = await file.read(from, Math.min(WINDOW_BYTES, end - from));
    }
    let header = tryReadHeader(window, from - windowFrom);
    // Statistics of texts may be long.
    header ??= readHeader(await file.read(from, Math.min(MAX_HEADER_BYTES, end - from)), 0);
    const page = { ...header, from };
    from += page.headerBytes + page.packedBytes;
    if (from > end) throw new RangeError(`a page ends at byte ${from}, and its column at byte ${end}`);
    if (page.kind !== 'dictionary') values += page.values;
    if (page.values > 0) pages.push(page);
  }
  if (values !== total) throw new RangeError(`${values} values are stored, and ${total} are named`);
  return pages;
}

/** Bytes of a header without statistics. */
const MAX_SHORT_HEADER = 128;

/** null if the header may go on after the bytes. */
function tryReadHeader(bytes: Uint8Array, from: number): Omit<Page, 'from'> | null {
  try {
    return readHeader(bytes, from);
  } catch {
    return null;
  }
}

function readHeader(bytes: Uint8Array, from: number): Omit<Page, 'from'> {
  const { numbers, end } = readThriftStruct(bytes, from, MAX_HEADER_VALUES);
  const read = (path: string, limit: number): number => {
    const value = numbers.get(path) ?? 0;
    if (!(value >= 0 && value <= limit))
      throw new RangeError(`a page has ${value} in place of at most ${limit}`);
    return value;
  };
  const kind = KINDS[numbers.get('1') ?? -1];
  if (kind === undefined) throw new RangeError('a page is of an unknown kind');
  const fields = { data: '5', dictionary: '7', 'data-v2': '8' }[kind];
  const isSecond = kind === 'data-v2';
  const unpackedBytes = read('2', MAX_PAGE_BYTES);
  const encoding = read(isSecond ? '8.4' : `${fields}.2`, 255);
  if (!ENCODINGS.has(encoding)) throw new RangeError(`the encoding ${encoding} is unknown`);
  const definitionBytes = isSecond ? read('8.5', unpackedBytes) : 0;
  return {
    kind,
    headerBytes: end - from,
    packedBytes: read('3', MAX_PAGE_BYTES),
    unpackedBytes,
    values: read(`${fields}.1`, MAX_PAGE_VALUES),
    missing: isSecond ? read('8.2', MAX_PAGE_VALUES) : 0,
    encoding,
    definitionBytes,
    repetitionBytes: isSecond ? read('8.6', unpackedBytes - definitionBytes) : 0,
    arePacked: numbers.get('8.7') !== 0,
  };
}

export type Unpack = (codec: string, input: Uint8Array, length: number) => Uint8Array;

/**
 * Loads the functions that unpack pages, each into at most `length` bytes.
 * @example
 * ```ts
 * const bytes = (await loadUnpack())('ZSTD', packed, 1000);
 * ```
 */
export async function loadUnpack(): Promise<Unpack> {
  const { compressors, decompressZstd } = await import('hyparquet-compressors');
  return (codec, input, length) => {
    const bytes = ((): Uint8Array => {
      switch (codec) {
        case 'UNCOMPRESSED':
          return input;
        case 'GZIP':
          return gunzipSync(input, { maxOutputLength: Math.max(1, length) });
        case 'BROTLI':
          return brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) });
        case 'ZSTD':
          return decompressZstd(input, new Uint8Array(length));
        default: {
          const unpack = compressors[codec as keyof typeof compressors];
          if (unpack === undefined) throw new RangeError(`the compression ${codec} is unknown`);
          return unpack(input, length);
        }
      }
    })();
    if (bytes.length === length) return bytes;
    throw new RangeError(`a page of ${length} bytes unpacks to ${bytes.length}`);
  };
}

/** Page whose levels and numbers were checked. */
export interface OpenedPage {
  /** Unpacked bytes that a decoder asks for; null if nothing in the page is packed. */
  readonly unpacked: Uint8Array | null;
  /** Rows that begin in the page. */
  readonly rows: number;
  /** Whether its first value begins a row. */
  readonly beginsRow: boolean;
}

/**
 * Unpacks a page, and checks the numbers in it that a decoder would believe: lengths of runs and of texts.
 * @param body bytes of the page after its header
 * @throws RangeError if the page claims more values than it has
 */
export function openPage(page: Page, body: Uint8Array, chunk: Chunk, unpack: Unpack): OpenedPage {
  const { kind, unpackedBytes, repetitionBytes, definitionBytes } = page;
  const { codec } = chunk.meta;
  if (kind === 'dictionary') {
    const bytes = unpack(codec, body, unpackedBytes);
    return { unpacked: codec === 'UNCOMPRESSED' ? null : bytes, rows: 0, beginsRow: true };
  }
  if (kind === 'data') {
    const bytes = unpack(codec, body, unpackedBytes);
    const repetition = sectionOf(bytes, 0, chunk.maxRepetition);
    const definition = sectionOf(bytes, repetition.end, chunk.maxDefinition);
    const rows = checkPage(page, chunk, repetition.bytes, definition.bytes, bytes.subarray(definition.end));
    return { unpacked: codec === 'UNCOMPRESSED' ? null : bytes, ...rows };
  }
  const levels = repetitionBytes + definitionBytes;
  if (levels > body.length) throw new RangeError('levels are longer than their page');
  const isPacked = page.arePacked && unpackedBytes > levels && codec !== 'UNCOMPRESSED';
  const packed = body.subarray(levels);
  const bytes = isPacked ? unpack(codec, packed, unpackedBytes - levels) : packed;
  const repetition = body.subarray(0, repetitionBytes);
  const rows = checkPage(page, chunk, repetition, body.subarray(repetitionBytes, levels), bytes);
  return { unpacked: isPacked ? bytes : null, ...rows };
}

/** Levels with their length before them; there are none if all are 0. */
function sectionOf(bytes: Uint8Array, from: number, max: number): { bytes: Uint8Array; end: number } {
  if (max === 0) return { bytes: bytes.subarray(0, 0), end: from };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = from + 4 + view.getUint32(from, true);
  if (end > bytes.length) throw new RangeError('levels are longer than their page');
  return { bytes: bytes.subarray(from + 4, end), end };
}

function checkPage(
  { kind, values, missing, encoding }: Page,
  { meta, maxRepetition, maxDefinition }: Chunk,
  repetition: Uint8Array,
  definition: Uint8Array,
  bytes: Uint8Array,
): Omit<OpenedPage, 'unpacked'> {
  const rows =
    maxRepetition === 0
      ? { count: values, isFirst: true }
      : checkRuns(repetition, bitsOf(maxRepetition), values, 0);
  const { count: present } =
    maxDefinition === 0
      ? { count: values }
      : checkRuns(definition, bitsOf(maxDefinition), values, maxDefinition);
  if (kind === 'data-v2' && present !== values - missing) {
    throw new RangeError(`${values - present} values are missing, and ${missing} are named`);
  }
  const isDictionary = encoding === PLAIN_DICTIONARY || encoding === RLE_DICTIONARY;
  if ((isDictionary || encoding === RLE) && (encoding === RLE) !== (meta.type === 'BOOLEAN')) {
    throw new RangeError('the encoding is none of its type');
  }
  if (present > 0 && encoding === RLE) {
    checkRuns(sectionOf(bytes, 0, 1).bytes, 1, present, 0);
  } else if (present > 0 && isDictionary) {
    const width = bytes[0] ?? 0;
    if (width > 0) checkRuns(bytes.subarray(1), width, present, 0);
  } else if (encoding >= DELTA_BINARY_PACKED && encoding <= DELTA_BYTE_ARRAY) {
    checkDifferences(bytes, present, encoding === DELTA_BYTE_ARRAY);
  }
  return { rows: rows.count, beginsRow: rows.isFirst };
}

const bitsOf = (max: number): number => 32 - Math.clz32(max);

/**
 * Checks runs of equal and of packed numbers, which name their lengths.
 * @param width bits of a number
 * @param counted number that is counted
 * @returns how often it occurs, and whether it is the first one
 */
function checkRuns(
  bytes: Uint8Array,
  width: number,
  values: number,
  counted: number,
): { count: number; isFirst: boolean } {
  if (width > 32) throw new RangeError(`numbers of ${width} bits`);
  const reader = new BitReader(bytes);
  let count = 0;
  let isFirst = false;
  for (let seen = 0; seen < values;) {
    const head = reader.readVarint();
    const isPacked = head % 2 === 1;
    const length = isPacked ? 4 * (head - 1) : head / 2;
    // The last packed ones are filled up to eight.
    if (length > values - seen + (isPacked ? 7 : 0)) {
      throw new RangeError(`a run of ${length} numbers, and ${values - seen} are left`);
    }
    const used = Math.min(length, values - seen);
    const end = reader.at + (isPacked ? (length / 8) * width : (width + 7) >> 3);
    const isMatch = isPacked ? false : reader.readBits(8 * ((width + 7) >> 3)) === counted;
    if (isMatch) count += used;
    if (seen === 0) isFirst = isMatch;
    for (let i = 0; isPacked && i < used; i++) {
      if (reader.readBits(width) !== counted) continue;
      count++;
      if (seen + i === 0) isFirst = true;
    }
    reader.seek(end);
    seen += used;
  }
  return { count, isFirst };
}

/**
 * Checks numbers that are stored as differences, which are the lengths of texts too.
 * @param arePrefixes whether they are lengths of the text before, which is copied
 */
function checkDifferences(bytes: Uint8Array, values: number, arePrefixes: boolean): void {
  const reader = new BitReader(bytes);
  const blockValues = reader.readVarint();
  const parts = reader.readVarint();
  if (blockValues > MAX_BLOCK_VALUES || parts === 0 || blockValues % parts !== 0) {
    throw new RangeError(`blocks of ${blockValues} numbers in ${parts} parts`);
  }
  if (!arePrefixes) return;
  reader.readVarint();
  let value = zigzag(reader.readVarint());
  let total = value;
  for (let seen = 1; seen < values;) {
    const min = zigzag(reader.readVarint());
    const widths = Array.from({ length: parts }, () => reader.readBits(8));
    for (let part = 0; part < parts && seen < values; part++) {
      const width = widths[part] ?? 0;
      const end = reader.at + (blockValues / parts / 8) * width;
      for (let i = 0; i < blockValues / parts && seen < values; i++, seen++) {
        value = (value + min + reader.readBits(width)) | 0;
        total += value;
        if (value < 0 || total > MAX_PAGE_BYTES) {
          throw new RangeError(`texts of more than ${MAX_PAGE_BYTES} bytes`);
        }
      }
      reader.seek(end);
    }
    if (blockValues === 0) throw new RangeError('blocks without numbers');
  }
}

/** Reads numbers of any width, the lowest bits first. */
class BitReader {
  private readonly bytes: Uint8Array;
  private bit = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Place of the byte that is read next. */
  get at(): number {
    return Math.ceil(this.bit / 8);
  }

  seek(at: number): void {
    this.bit = 8 * at;
  }

  readBits(count: number): number {
    let value = 0;
    for (let done = 0; done < count;) {
      const byte = this.bytes[Math.floor(this.bit / 8)];
      if (byte === undefined) throw new RangeError('a run that does not end');
      const offset = this.bit % 8;
      const taken = Math.min(8 - offset, count - done);
      value += ((byte >> offset) & ((1 << taken) - 1)) * 2 ** done;
      this.bit += taken;
      done += taken;
    }
    return value;
  }

  readVarint(): number {
    let value = 0;
    for (let i = 0; i < 5; i++) {
      const byte = this.readBits(8);
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new RangeError('a number of more than 5 bytes');
  }
}
