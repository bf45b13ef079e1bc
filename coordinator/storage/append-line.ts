import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { describeDiskError } from './disk-error.ts';

/** The part of an open file that appending to it needs. */
export interface AppendableFile {
  stat(): Promise<{ readonly size: number; isFile(): boolean }>;
  writeFile(text: string): Promise<void>;
  truncate(bytes: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

const APPEND_FLAGS =
  constants.O_WRONLY |
  constants.O_CREAT |
  constants.O_APPEND |
  ((constants.O_NONBLOCK as number | undefined) ?? 0);

/**
 * Appends a line to a file, or leaves the file as it is: a full disk may take a part of a line, which is cut off again.
 * @throws Error with a sentence that names the file and why
 */
export async function appendLine(
  path: string,
  line: string,
  openFile: (path: string, flags: number) => Promise<AppendableFile> = open,
): Promise<void> {
  try {
    const file = await openFile(path, APPEND_FLAGS);
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw new Error('it is no regular file');
      try {
        await file.writeFile(`${line}\n`);
        await file.sync();
      } catch (error) {
        await file.truncate(stats.size).catch(() => undefined);
        throw error;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new Error(`${path} could not be written: ${describeDiskError(error)}.`, { cause: error });
  }
}
