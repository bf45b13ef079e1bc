import { invalidFileError, type DataError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';
import { parseIdxHeader, WRITE_BIG_ENDIAN, type IdxHeader } from './idx-header.ts';
import type { Contents } from './unpack.ts';

/** Memory is taken in steps, as bytes arrive, where a header promises more than this: it can promise anything. */
const FIRST_BYTES = 2 ** 26;
/** Images pack to a part of their size that is not smaller. What is in proportion is taken in one step, without a copy. */
const MAX_PACKING_RATIO = 64;
/** How many bytes too many are counted before the rest is left unread. */
const MAX_EXTRA_BYTES = 2 ** 20;

/**
 * Reads an IDX file of any type of elements. It takes memory for what the header says only in proportion to what
 * the file has, and never for more.
 *
 * A file that is longer than its header says is refused, even by one byte: where the byte came in is not known, and if it
 * was in the middle (a text-mode transfer inserts them), all images behind it are shifted.
 *
 * @throws DataError if the header is damaged, promises more than maxBytes, or disagrees with the number of bytes
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
  const likelyBytes = Math.max(FIRST_BYTES, MAX_PACKING_RATIO * (storedBytes ?? 0));
  let held = new Uint8Array(Math.min(fileBytes, likelyBytes));
  let total = 0;
  for await (const chunk of chunks) {
    const kept = chunk.subarray(0, Math.max(0, fileBytes - total));
    if (total + kept.length > held.length) held = grow(held, total + kept.length, fileBytes);
    if (kept.length > 0) held.set(kept, total);
    total += chunk.length;
    if (total > fileBytes + MAX_EXTRA_BYTES) break;
  }
  if (total !== fileBytes) throw wrongLengthError(header, total, path);
  const { type, dimensions, headerBytes } = header;
  const count = (fileBytes - headerBytes) / type.bytes;
  const values = type.read(new DataView(held.buffer, headerBytes), count);
  return {
    path,
    dimensions,
    type: type.name,
    isFloat: type.isFloat,
    values,
    ...(values instanceof Uint8Array ? { bytes: values } : {}),
    contents: held,
  };
}

function grow(held: Uint8Array, least: number, most: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(most, Math.max(least, 2 * held.length)));
  larger.set(held);
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
    ? invalidFileError(
        path,
        expected,
        `${found} bytes: were its sizes written little-endian?`,
        WRITE_BIG_ENDIAN,
      )
    : invalidFileError(path, expected, `${found} bytes: ${difference}`);
}

function tooLargeError(header: IdxHeader, path: string, maxBytes: number): DataError {
  const expected = `at most ${maxBytes} bytes`;
  const promised = `${formatShape(header)} of ${header.type.name} in its header`;
  return header.swappedFileBytes <= maxBytes
    ? invalidFileError(path, expected, `${promised}: were its sizes written little-endian?`, WRITE_BIG_ENDIAN)
    : invalidFileError(path, expected, promised, 'Point --data at a folder with fewer or smaller images.');
}
