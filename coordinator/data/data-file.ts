import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { DataError, GET_AGAIN } from '../../shared/data/data-error.ts';
import { readableText } from '../../shared/protocol/readable.ts';

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
    path: readableText(path),
    bytes,
    async *open(): Chunks {
      try {
        yield* createReadStream(path) as AsyncIterable<Buffer>;
      } catch (error) {
        throw unreadable(path, error);
      }
    },
  };
}

/** What was downloaded. @param path for messages */
export function memoryFile(contents: Uint8Array, path: string): DataFile {
  return {
    name: path,
    path,
    bytes: contents.length,
    open: () => Readable.from([contents]) as Chunks,
  };
}

/** Something by a data file's name that is no data file. */
export function unusable(path: string, name: string, problem: string): DataFile {
  const error = new DataError(`${readableText(path)} is ${problem}. ${GET_AGAIN}`);
  return {
    name,
    path: readableText(path),
    problem,
    open() {
      throw error;
    },
  };
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'you have no permission to read it',
  EPERM: 'you have no permission to read it',
  ENOENT: 'nothing is there any more',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is a file',
  ELOOP: 'its links lead in a circle',
  EIO: 'the disk reports an error',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
};

/** What a failed read means, in a sentence. */
export function unreadable(path: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  const { code = 'no reason given' } = error as NodeJS.ErrnoException;
  return new DataError(
    `${readableText(path)} cannot be read: ${REASONS[code] ?? code}. Make it readable, or point --data at another folder.`,
  );
}
