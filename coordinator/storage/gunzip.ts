import { promisify } from 'node:util';
import { gunzip as gunzipCallback } from 'node:zlib';
import { damaged } from '../../shared/data/idx.ts';

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
    const code = (error as NodeJS.ErrnoException).code;
    const found =
      code === 'Z_BUF_ERROR'
        ? `one that is cut short: it ends after ${bytes.length} bytes`
        : code === 'ERR_BUFFER_TOO_LARGE'
          ? 'one that unpacks to more bytes than it should'
          : `one that is damaged (${(error as Error).message})`;
    throw damaged(file, 'a whole gzip stream', found);
  }
}
