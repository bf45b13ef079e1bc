import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import { createTensor, type DType, type TensorValues } from '../../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../../shared/util/sanitize.ts';
import type { RandomAccess } from './random-access.ts';

/** Array of NumPy on disk or in memory, in rows: [rows, ...shape]. */
export interface NpyArray {
  readonly file: RandomAccess;
  /** Type for messages: 'float64', '>i4'. */
  readonly type: string;
  readonly isFloat: boolean;
  readonly dimensions: readonly number[];
  /** Type of the values that rows() returns. */
  readonly dtype: Exclude<DType, 'bool'>;
  /** Whether single rows can be read: not of an array in Fortran order, whose rows are all over the file. */
  readonly canReadRows: boolean;
  /** Bytes of the array. */
  readonly bytes: number;
  /**
   * Reads rows, converted to `dtype`.
   * @throws DataError if an integer is out of the range of int32
   */
  rows(from: number, count: number): Promise<TensorValues>;
}

const MAGIC = '\x93NUMPY';
/** NumPy itself refuses longer headers, since they may be an attack. */
const MAX_HEADER_BYTES = 65_536;
const MAX_DIMENSIONS = 9;
const SMALL = 64;

interface Element {
  readonly name: string;
  readonly bytes: number;
  readonly dtype: NpyArray['dtype'];
  readonly read: (view: DataView, at: number, littleEndian: boolean) => number;
}

const element = (name: string, bytes: number, dtype: Element['dtype'], read: Element['read']): Element => ({
  name,
  bytes,
  dtype,
  read,
});

const ELEMENTS: Readonly<Record<string, Element>> = {
  b1: element('bool', 1, 'uint8', (view, at) => Number(view.getUint8(at) !== 0)),
  u1: element('uint8', 1, 'uint8', (view, at) => view.getUint8(at)),
  i1: element('int8', 1, 'int32', (view, at) => view.getInt8(at)),
  u2: element('uint16', 2, 'int32', (view, at, little) => view.getUint16(at, little)),
  i2: element('int16', 2, 'int32', (view, at, little) => view.getInt16(at, little)),
  u4: element('uint32', 4, 'int32', (view, at, little) => view.getUint32(at, little)),
  i4: element('int32', 4, 'int32', (view, at, little) => view.getInt32(at, little)),
  u8: element('uint64', 8, 'int32', (view, at, little) => Number(view.getBigUint64(at, little))),
  i8: element('int64', 8, 'int32', (view, at, little) => Number(view.getBigInt64(at, little))),
  f2: element('float16', 2, 'float32', (view, at, little) => float16(view.getUint16(at, little))),
  f4: element('float32', 4, 'float32', (view, at, little) => view.getFloat32(at, little)),
  f8: element('float64', 8, 'float32', (view, at, little) => view.getFloat64(at, little)),
};

/** IEEE 754 half precision. */
function float16(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * Opens an array that np.save() wrote, format versions 1 to 3.
 * @throws DataError if it is damaged, or has elements that are no numbers
 * @example
 * ```ts
 * const array = await openNpy(await openFile('/data/x.npy', 'x.npy'));
 * const first = await array.rows(0, 10);
 * ```
 */
export async function openNpy(file: RandomAccess): Promise<NpyArray> {
  const { path } = file;
  const { text, dataOffset } = await readHeader(file);
  const { descr, isFortran, dimensions } = parseHeader(text, path);
  const { type, isLittleEndian } = parseType(descr, path);
  const [count = 0, ...shape] = dimensions;
  if (dimensions.length === 0) {
    throw invalidFileError(
      path,
      'an array of samples',
      'a single number',
      'Save an array whose first dimension counts the samples.',
    );
  }
  const rowLength = shape.reduce((product, side) => product * side, 1);
  const bytes = count * rowLength * type.bytes;
  const found = file.length - dataOffset;
  if (found !== bytes) {
    throw invalidFileError(
      path,
      `${bytes} bytes of ${type.name} [${dimensions.join(', ')}]`,
      `${found}`,
      found < bytes ? 'The file is cut short: copy or download it again.' : 'Save one array in each file.',
    );
  }
  const convert = (data: Uint8Array, length: number, firstRow: number): TensorValues => {
    const values = createTensor(type, length);
    if (type.name === 'uint8') {
      values.set(data);
      return values;
    }
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    for (let i = 0; i < length; i++) {
      const value = type.read(view, i * type.bytes, isLittleEndian);
      if (type.dtype === 'int32' && (value > MAX_INT32 || value < -MAX_INT32 - 1)) {
        throw rangeError(value, type.name, firstRow + Math.floor(i / rowLength), path);
      }
      values[i] = value;
    }
    return values;
  };
  return {
    file,
    type: type.name,
    isFloat: type.dtype === 'float32',
    dimensions,
    dtype: type.dtype,
    canReadRows: !isFortran,
    bytes,
    async rows(from, wanted) {
      if (!isFortran || dimensions.length === 1) {
        const data = await file.read(
          dataOffset + from * rowLength * type.bytes,
          wanted * rowLength * type.bytes,
        );
        return convert(data, wanted * rowLength, from);
      }
      const all = toRowMajor(convert(await file.read(dataOffset, bytes), count * rowLength, 0), dimensions);
      return all.subarray(from * rowLength, (from + wanted) * rowLength);
    },
  };
}

const MAX_INT32 = 2 ** 31 - 1;

function rangeError(value: number, type: string, row: number, path: string): DataError {
  return new DataError(
    `${path}: sample ${row}, counted from 0, has the ${type} ${value}, which is beyond 32 bits. Save the array as float32, or smaller numbers.`,
  );
}

async function readHeader(file: RandomAccess): Promise<{ text: string; dataOffset: number }> {
  const { path, length } = file;
  const start = Buffer.from(await file.read(0, Math.min(12, length)));
  if (start.length < 10 || start.toString('latin1', 0, 6) !== MAGIC) {
    throw invalidFileError(
      path,
      'a NumPy array (.npy)',
      length < 10 ? `${length} bytes` : `bytes that begin with 0x${start.toString('hex', 0, 6)}`,
      'Save it with numpy.save().',
    );
  }
  const version = start[6] as number;
  if (version < 1 || version > 3) {
    throw invalidFileError(
      path,
      'version 1, 2 or 3 of the .npy format',
      `version ${version}`,
      'Save it with numpy.save().',
    );
  }
  const lengthEnd = version === 1 ? 10 : 12;
  const headerBytes = version === 1 ? start.readUInt16LE(8) : start.length < 12 ? 0 : start.readUInt32LE(8);
  if (headerBytes > MAX_HEADER_BYTES || lengthEnd + headerBytes > length) {
    throw invalidFileError(
      path,
      `a header of at most ${MAX_HEADER_BYTES} bytes`,
      `one of ${headerBytes} in a file of ${length}`,
    );
  }
  const header = Buffer.from(await file.read(lengthEnd, headerBytes));
  return { text: header.toString(version === 3 ? 'utf8' : 'latin1'), dataOffset: lengthEnd + headerBytes };
}

/** Parses the header, a Python dictionary with three keys. */
function parseHeader(
  text: string,
  path: string,
): { descr: string; isFortran: boolean; dimensions: number[] } {
  const descr = /['"]descr['"]\s*:\s*(?:'([^']*)'|"([^"]*)"|(\[))/.exec(text);
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  const shape = /['"]shape['"]\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (descr?.[3] !== undefined) {
    throw new DataError(
      `${path} is a structured array of NumPy with named fields. Save its columns as one array of numbers, or as CSV.`,
    );
  }
  const sides = shape
    ?.split(',')
    .map((side) => side.trim().replace(/L$/, ''))
    .filter((side) => side !== '')
    .map(Number);
  if (descr === null || order === undefined || sides === undefined) {
    const shown = sanitizeForTerminal(text.slice(0, SMALL));
    throw invalidFileError(path, "a header with 'descr', 'fortran_order' and 'shape'", `"${shown}"`);
  }
  const elements = sides.reduce((product, side) => product * side, 1);
  if (
    sides.length > MAX_DIMENSIONS ||
    sides.some((side) => !Number.isSafeInteger(side)) ||
    !Number.isSafeInteger(8 * elements)
  ) {
    throw invalidFileError(
      path,
      `at most ${MAX_DIMENSIONS} dimensions of a possible size`,
      `[${sides.slice(0, MAX_DIMENSIONS).join(', ')}]`,
    );
  }
  return { descr: descr[1] ?? descr[2] ?? '', isFortran: order === 'True', dimensions: sides };
}

/** Advice for arrays of other elements, by the letter of their type. */
const OTHER_TYPES: Readonly<Record<string, readonly [string, string]>> = {
  O: [
    'pickled Python objects, which can run code when they are read',
    'Save an array of numbers: numpy.save(NAME, a.astype("float32")).',
  ],
  U: ['text', 'Save class numbers: numpy.unique(y, return_inverse=True)[1].'],
  S: ['text', 'Save class numbers: numpy.unique(y, return_inverse=True)[1].'],
  a: ['text', 'Save class numbers: numpy.unique(y, return_inverse=True)[1].'],
  c: ['complex numbers', 'Save real and imaginary parts as two channels.'],
  M: ['dates', 'Save numbers, such as days since a date.'],
  m: ['time spans', 'Save numbers, such as seconds.'],
  V: ['raw bytes', 'Save an array of numbers.'],
};

function parseType(descr: string, path: string): { type: Element; isLittleEndian: boolean } {
  const [, order = '', code = ''] = /^([<>|=]?)(.*)$/s.exec(descr) ?? [];
  const type = Object.hasOwn(ELEMENTS, code) ? ELEMENTS[code] : undefined;
  if (type !== undefined) return { type, isLittleEndian: order !== '>' };
  const other = OTHER_TYPES[code.slice(0, 1)];
  const shown = sanitizeForTerminal(descr.slice(0, SMALL));
  throw other === undefined || code.startsWith('f')
    ? new DataError(
        `${path} has elements of type ${shown}, which gradcast does not read. Save it as float32.`,
      )
    : new DataError(`${path} has ${other[0]} (${shown}). ${other[1]}`);
}

/** Reorders an array in which the first dimension changes fastest. */
function toRowMajor(values: TensorValues, dimensions: readonly number[]): TensorValues {
  const ordered = values.slice();
  const strides: number[] = [];
  let stride = 1;
  for (const side of dimensions) {
    strides.push(stride);
    stride *= side;
  }
  const index = dimensions.map(() => 0);
  let from = 0;
  for (let to = 0; to < ordered.length; to++) {
    ordered[to] = values[from] as number;
    for (let axis = dimensions.length - 1; axis >= 0; axis--) {
      from += strides[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (dimensions[axis] as number)) break;
      from -= (dimensions[axis] as number) * (strides[axis] as number);
      index[axis] = 0;
    }
  }
  return ordered;
}
