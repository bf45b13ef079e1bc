import { DataError } from '../../../shared/data/data-error.ts';
import { describeDiskError } from '../../files/disk-error.ts';
import { openRegularFile } from '../../files/read-file.ts';

/** Bytes that can be read in any order. */
export interface RandomAccess {
  /** Path for messages. */
  readonly path: string;
  readonly length: number;
  /** Identifies the contents: size and time of change of a file. */
  readonly stamp: string;
  /**
   * Reads bytes. Several calls may be in progress.
   * @throws DataError if the file has become another one, or cannot be read
   */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Opens a file for reading by position. It is opened for each read, so that nothing has to be closed in the end.
 * @param path for messages
 * @throws DataError if it cannot be read
 * @example
 * ```ts
 * const file = await openFile('/data/x.npy', 'x.npy');
 * const magic = await file.read(0, 6);
 * ```
 */
export async function openFile(diskPath: string, path: string): Promise<RandomAccess> {
  const first = await use(diskPath, path, (file) => file.stat());
  const stamp = `${first.size} ${first.mtimeMs}`;
  return {
    path,
    length: first.size,
    stamp,
    read: (offset, length) =>
      use(diskPath, path, async (file) => {
        const { size, mtimeMs } = await file.stat();
        if (`${size} ${mtimeMs}` !== stamp) {
          throw new DataError(
            `${path} was changed while it was in use. Start again with a file that stays as it is.`,
          );
        }
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length;) {
          const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
          if (bytesRead === 0)
            throw new DataError(`${path} ends before byte ${offset + length}. Get the file again.`);
          done += bytesRead;
        }
        return bytes;
      }),
  };
}

/** Bytes in memory, such as those of a file in an archive. @param stamp identifies them */
export function inMemory(bytes: Uint8Array, path: string, stamp: string): RandomAccess {
  return {
    path,
    length: bytes.length,
    stamp,
    // A copy: the slice of a Buffer is a view of all of it.
    read: (offset, length) => Promise.resolve(new Uint8Array(bytes.subarray(offset, offset + length))),
  };
}

async function use<Result>(
  diskPath: string,
  path: string,
  work: (file: Awaited<ReturnType<typeof openRegularFile>>) => Promise<Result>,
): Promise<Result> {
  try {
    const file = await openRegularFile(diskPath);
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(
      `${path} cannot be read: ${describeDiskError(error)}. Make it readable, or name another file.`,
    );
  }
}
