import { Readable } from 'node:stream';
import { DataError, DOWNLOAD_AGAIN } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { openRegularFile } from '../files/read-file.ts';

export type Chunks = AsyncIterable<Uint8Array>;

/** File in a data folder or in a zip archive, not yet opened. */
export interface DataFile {
  /** Path below the data folder, with '/' between folders. */
  readonly name: string;
  /** Path for messages. */
  readonly path: string;
  /** Size on disk; undefined for a file in an archive. */
  readonly bytes?: number | undefined;
  /** Path on disk; undefined for a file in an archive. */
  readonly diskPath?: string | undefined;
  /** Reason why it cannot be read, if that is known before opening it. */
  readonly problem?: string | undefined;
  /** Whether it is known to hold images and labels in one table, whatever its name says. */
  readonly isTable?: boolean | undefined;
  /** Reads the stored bytes. @throws DataError, at once or while iterating */
  open(): Chunks;
}

/** File on disk. */
export function plainFile(path: string, name: string, bytes: number): DataFile {
  return {
    name,
    path: sanitizeForTerminal(path),
    bytes,
    diskPath: path,
    async *open(): Chunks {
      try {
        const file = await openRegularFile(path);
        // The stream closes the file, even if it is not read to its end.
        yield* file.createReadStream() as AsyncIterable<Buffer>;
      } catch (error) {
        throw readError(path, error);
      }
    },
  };
}

/** File in memory, such as a downloaded one. @param path path for messages */
export function memoryFile(contents: Uint8Array, path: string): DataFile {
  return {
    name: path,
    path,
    bytes: contents.length,
    open: () => Readable.from([contents]) as Chunks,
  };
}

/** Placeholder for a path that has the name of a data file and cannot be read. */
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

/** DataError for a failed read. */
export function readError(path: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  return new DataError(
    `${sanitizeForTerminal(path)} cannot be read: ${describeDiskError(error)}. Make it readable, or point --data at another folder.`,
  );
}
