import { invalidFileError, type DataError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';
import { parseIdxHeader, WRITE_BIG_ENDIAN, type IdxHeader } from './idx-header.ts';
import type { Contents } from './unpack.ts';

/** Allocated at once whatever the file's size. A header can claim any size, so more is allocated only as bytes arrive. */
const INITIAL_BYTES = 2 ** 26;
/** Highest compression ratio of images. A size within this ratio of the stored bytes is allocated at once. */
const MAX_PACKING_RATIO = 64;
/** Limit for counting surplus bytes; the rest is not read. */
const MAX_EXTRA_BYTES = 2 ** 20;

/**
 * Reads an IDX file with any type of elements. It allocates memory in proportion to the stored bytes, whatever size the
 * header claims.
 *
 * A file that is longer than its header says is rejected, even by one byte: if that byte was inserted in the middle, as a
 * text-mode transfer does, all images after it are shifted.
 *
 * @throws DataError if the header is damaged, claims more than maxBytes, or does not match the number of bytes
 */
export async function readIdx(
  { head, chunks, isPacked, storedBytes }: Contents,
  path: string,
  maxBytes: number,
): Promise<DataArray> {
  const header = parseIdxHeader(head, path);
  const { fileBytes } = header;
  if (header.dimensions.includes(0)) {
    throw invalidFileError(
      path,
      'at least one sample',
      `a header that says ${formatShape(header)}: the file is empty`,
    );
  }
  if (!isPacked && storedBytes !== undefined && storedBytes !== fileBytes) {
    throw wrongLengthError(header, storedBytes, path);
  }
  if (fileBytes > maxBytes) throw tooLargeError(header, path, maxBytes);
  const likelyBytes = Math.max(INITIAL_BYTES, MAX_PACKING_RATIO * (storedBytes ?? 0));
  let buffer = new Uint8Array(Math.min(fileBytes, likelyBytes));
  let total = 0;
  for await (const chunk of chunks) {
    const used = chunk.subarray(0, Math.max(0, fileBytes - total));
    if (total + used.length > buffer.length) buffer = growBuffer(buffer, total + used.length, fileBytes);
    if (used.length > 0) buffer.set(used, total);
    total += chunk.length;
    if (total > fileBytes + MAX_EXTRA_BYTES) break;
  }
  if (total !== fileBytes) throw wrongLengthError(header, total, path);
  const { type, dimensions, headerBytes } = header;
  const count = (fileBytes - headerBytes) / type.bytes;
  const values = type.read(new DataView(buffer.buffer, headerBytes), count);
  return {
    path,
    dimensions,
    type: type.name,
    isFloat: type.isFloat,
    values,
    ...(values instanceof Uint8Array ? { bytes: values } : {}),
    contents: buffer,
  };
}

function growBuffer(buffer: Uint8Array, minBytes: number, maxBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(maxBytes, Math.max(minBytes, 2 * buffer.length)));
  larger.set(buffer);
  return larger;
}

const formatShape = ({ dimensions }: IdxHeader): string => dimensions.join(' x ');

function wrongLengthError(header: IdxHeader, found: number, path: string): DataError {
  const { fileBytes, swappedFileBytes, type } = header;
  const elements = type.name === 'uint8' ? '' : ` of ${type.name}`;
  const difference =
    found < fileBytes
      ? `it is cut short by ${fileBytes - found}`
      : `${found > fileBytes + MAX_EXTRA_BYTES ? 'at least ' : ''}${found - fileBytes} too many`;
  const expected = `${fileBytes} bytes (its header says ${formatShape(header)}${elements})`;
  return swappedFileBytes === found
    ? littleEndianError(header, path)
    : invalidFileError(path, expected, `${found} bytes: ${difference}`);
}

function tooLargeError(header: IdxHeader, path: string, maxBytes: number): DataError {
  if (header.swappedFileBytes <= maxBytes) return littleEndianError(header, path);
  return invalidFileError(
    path,
    `at most ${maxBytes} bytes`,
    `${formatShape(header)} of ${header.type.name} in its header`,
    'Point --data at a folder with fewer or smaller images.',
  );
}

const littleEndianError = (header: IdxHeader, path: string): DataError =>
  invalidFileError(
    path,
    'sizes that are written big-endian',
    `little-endian ones, which would say ${formatShape(header)}`,
    WRITE_BIG_ENDIAN,
  );
