import { promisify } from 'node:util';
import { constants, createGunzip, gunzip as gunzipCallback, gunzipSync } from 'node:zlib';
import { damaged, DataError } from '../../shared/data/idx.ts';

const gunzipAsync = promisify(gunzipCallback);

/** Told by the first two bytes, not by the name: some browsers decompress what they save and keep '.gz'. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * The bytes themselves, decompressed if they are gzip.
 *
 * @param file name for error messages
 * @param maxBytes refuse to unpack more than this
 * @throws DataError if the stream is cut short or damaged
 */
export async function unpack(bytes: Uint8Array, file: string, maxBytes?: number): Promise<Uint8Array> {
  if (!isGzip(bytes)) return bytes;
  try {
    const contents = await gunzipAsync(bytes, maxBytes === undefined ? {} : { maxOutputLength: maxBytes });
    // Not a Buffer, whose slice() is a view where a Uint8Array's is a copy.
    return new Uint8Array(contents.buffer, contents.byteOffset, contents.byteLength);
  } catch (error) {
    throw gzipFault(error, bytes, file);
  }
}

/** A deflate stream grows at most so much when it is unpacked (RFC 1951: 258 bytes by two bits). */
const MAX_GROWTH = 1_032;
/** Enough for the gzip header and for the header of an IDX file in most files, and in any. */
const PREFIX_BYTES = [1_024, 131_072];
/** Of four dimensions. */
const MAX_IDX_HEADER_BYTES = 20;

/**
 * The bytes of an IDX file, decompressed if they are gzip. Memory is bounded by the size that the IDX header gives: a small
 * file that unpacks to gigabytes is refused after its first bytes.
 * @param file name for error messages
 * @returns the whole contents; of what is no IDX file, only the beginning
 * @throws DataError if the stream is cut short, damaged or longer than its header says
 */
export async function unpackIdx(bytes: Uint8Array, file: string): Promise<Uint8Array> {
  if (!isGzip(bytes)) return bytes;
  const beginning = unpackBeginning(bytes, file);
  const expectedBytes = idxBytes(beginning);
  if (expectedBytes === null) return beginning;
  if (expectedBytes > bytes.length * MAX_GROWTH) {
    const found = `${bytes.length} bytes of gzip, which hold less`;
    throw damaged(file, `${expectedBytes} bytes (its header says so)`, found);
  }
  const contents = new Uint8Array(expectedBytes);
  let at = 0;
  try {
    const stream = createGunzip();
    stream.end(bytes);
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (at + chunk.length > expectedBytes) {
        throw damaged(file, `${expectedBytes} bytes (its header says so)`, 'more of them in the gzip stream');
      }
      contents.set(chunk, at);
      at += chunk.length;
    }
  } catch (error) {
    throw error instanceof DataError ? error : gzipFault(error, bytes, file);
  }
  return contents.subarray(0, at);
}

/** The first bytes of what a gzip stream holds: at least an IDX header, if it is that long. */
function unpackBeginning(bytes: Uint8Array, file: string): Uint8Array {
  let beginning: Uint8Array = new Uint8Array();
  try {
    for (const length of PREFIX_BYTES) {
      beginning = gunzipSync(bytes.subarray(0, length), { finishFlush: constants.Z_SYNC_FLUSH });
      if (beginning.length >= MAX_IDX_HEADER_BYTES) break;
    }
  } catch (error) {
    throw gzipFault(error, bytes, file);
  }
  return beginning.slice(0, MAX_IDX_HEADER_BYTES);
}

/** The length of an IDX file of bytes by its header, or null if it is none. */
function idxBytes(header: Uint8Array): number | null {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  if (header.length < 4 || view.getUint32(0) >>> 8 !== 8) return null;
  const headerBytes = 4 + 4 * (header[3] ?? 0);
  if (header.length < headerBytes) return null;
  let size = 1;
  for (let at = 4; at < headerBytes; at += 4) size *= view.getUint32(at);
  return headerBytes + size;
}

function gzipFault(error: unknown, bytes: Uint8Array, file: string): DataError {
  const code = (error as NodeJS.ErrnoException).code;
  const found =
    code === 'Z_BUF_ERROR'
      ? `one that is cut short: it ends after ${bytes.length} bytes`
      : code === 'ERR_BUFFER_TOO_LARGE'
        ? 'one that unpacks to more bytes than it should'
        : `one that is damaged (${(error as Error).message})`;
  return damaged(file, 'a whole gzip stream', found);
}
