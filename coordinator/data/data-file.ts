import { Readable } from 'node:stream';
import { DataError, DOWNLOAD_AGAIN } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { openRegularFile } from '../files/read-file.ts';

export type Chunks = AsyncIterable<Uint8Array>;

/** A file of a data folder, or in a zip archive of it, that has not been opened yet. */
export interface DataFile {
  /** Path below the data folder, with '/' between folders. */
  readonly name: string;
  /** The path that the person knows the file by. */
  readonly path: string;
  /** As it lies on the disk; undefined for a file in an archive. */
  readonly bytes?: number | undefined;
  /** Why it cannot be read, if that is known before opening it. */
  readonly problem?: string | undefined;
  /** Whether it is known to hold images and labels in one table, whatever its name says. */
  readonly isTable?: boolean | undefined;
  /** Its bytes as stored. @throws DataError, at once or while iterating */
  open(): Chunks;
}

/** A regular file. */
export function plainFile(path: string, name: string, bytes: number): DataFile {
  return {
    name,
    path: sanitizeForTerminal(path),
    bytes,
    async *open(): Chunks {
      try {
        const file = await openRegularFile(path);
        // The stream closes the file, also where it is not read to its end.
        yield* file.createReadStream() as AsyncIterable<Buffer>;
      } catch (error) {
        throw readError(path, error);
      }
    },
  };
}

/** A downloaded file. @param path for messages */
export function memoryFile(contents: Uint8Array, path: string): DataFile {
  return {
    name: path,
    path,
    bytes: contents.length,
    open: () => Readable.from([contents]) as Chunks,
  };
}

/** Something by a data file's name that is no data file. */
export function unusableFile(path: string, name: string, problem: string): DataFile {
  const error = new DataError(`${sanitizeForTerminal(path)} is ${problem}. ${DOWNLOAD_AGAIN}`);
  return {
    name,
    path: sanitizeForTerminal(path),
    problem,
    open() {
      throw error;
    },
  };
}

/** The error for the person of a read that failed. */
export function readError(path: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  return new DataError(
    `${sanitizeForTerminal(path)} cannot be read: ${describeDiskError(error)}. Make it readable, or point --data at another folder.`,
  );
}
