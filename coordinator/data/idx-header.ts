import { invalidFileError } from '../../shared/data/data-error.ts';
import type { NumberArray } from './data-array.ts';

export interface ElementType {
  readonly name: string;
  readonly bytes: number;
  readonly isFloat: boolean;
  /** Reads the elements of a body, which are big-endian. */
  read(body: DataView, count: number): NumberArray;
}

/** Element types of http://yann.lecun.com/exdb/mnist/, by the third byte of a file. */
const TYPES: ReadonlyMap<number, ElementType> = new Map([
  [
    0x08,
    {
      name: 'uint8',
      bytes: 1,
      isFloat: false,
      read: ({ buffer, byteOffset }, count) => new Uint8Array(buffer, byteOffset, count),
    },
  ],
  [0x09, elementType('int8', 1, false, Int8Array, (view, at) => view.getInt8(at))],
  [0x0b, elementType('int16', 2, false, Int16Array, (view, at) => view.getInt16(at))],
  [0x0c, elementType('int32', 4, false, Int32Array, (view, at) => view.getInt32(at))],
  [0x0d, elementType('float32', 4, true, Float32Array, (view, at) => view.getFloat32(at))],
  [0x0e, elementType('float64', 8, true, Float64Array, (view, at) => view.getFloat64(at))],
]);

/** One for the samples and those of a sample, of which a tensor has at most seven. */
const MAX_RANK = 8;

export interface IdxHeader {
  readonly type: ElementType;
  readonly dimensions: readonly number[];
  readonly headerBytes: number;
  /** Size of header and body; may be more than any file can have. */
  readonly fileBytes: number;
  /** The same, with the dimensions read in the other byte order. */
  readonly swappedFileBytes: number;
}

/**
 * Parses the header of an IDX file: two zero bytes, the type, the number of dimensions, and the dimensions as big-endian
 * uint32.
 *
 * @param head first bytes of the file: 20, or all of a shorter file
 * @throws DataError if the header is not valid
 */
export function parseIdxHeader(head: Uint8Array, path: string): IdxHeader {
  const expected = 'an IDX file (it begins with 0, 0, the type and the number of dimensions)';
  if (head.length < 4) throw invalidFileError(path, expected, `${head.length} bytes in all: it is cut short`);
  const [first = 0, second = 0, typeCode = 0, rank = 0] = head;
  if (first !== 0 || second !== 0) {
    const found = 'a header in reverse order, as if written little-endian';
    throw invalidFileError(path, expected, found, WRITE_BIG_ENDIAN);
  }
  const type = TYPES.get(typeCode);
  if (type === undefined) {
    throw invalidFileError(
      path,
      expected,
      `type 0x${typeCode.toString(16).padStart(2, '0')}, which no IDX file has`,
    );
  }
  if (rank < 1 || rank > MAX_RANK) {
    const found = `${rank} of ${type.name}`;
    throw invalidFileError(
      path,
      `1 to ${MAX_RANK} dimensions`,
      found,
      'Write images as [n, height, width, channels].',
    );
  }
  const headerBytes = 4 + 4 * rank;
  if (head.length < headerBytes) {
    throw invalidFileError(
      path,
      `a header of ${headerBytes} bytes`,
      `${head.length} bytes in all: it is cut short`,
    );
  }
  const view = new DataView(head.buffer, head.byteOffset, headerBytes);
  const sizes = (littleEndian: boolean): number[] =>
    Array.from({ length: rank }, (_, index) => view.getUint32(4 + 4 * index, littleEndian));
  // Above 2^53 the product is rounded, but no file is that long.
  const fileBytes = (dimensions: readonly number[]): number =>
    headerBytes + dimensions.reduce((product, size) => product * size, type.bytes);
  const dimensions = sizes(false);
  return {
    type,
    dimensions,
    headerBytes,
    fileBytes: fileBytes(dimensions),
    swappedFileBytes: fileBytes(sizes(true)),
  };
}

export const WRITE_BIG_ENDIAN =
  'Write its header big-endian, in Python with struct.pack and a format that begins with >.';

function elementType(
  name: string,
  bytes: number,
  isFloat: boolean,
  Values: new (length: number) => NumberArray,
  get: (view: DataView, at: number) => number,
): ElementType {
  return {
    name,
    bytes,
    isFloat,
    read(body, count) {
      const values = new Values(count);
      for (let i = 0; i < count; i++) values[i] = get(body, i * bytes);
      return values;
    },
  };
}
