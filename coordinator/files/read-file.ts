import { constants, type PathLike } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/** Node reads at most this much into one buffer. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/**
 * Opens a regular file for reading. Rejects a pipe or a device: a read could wait or go on for ever.
 * @throws Error with a part of a sentence, or the system's error
 */
export async function openRegularFile(path: PathLike): Promise<FileHandle> {
  // Without O_NONBLOCK, opening a pipe waits for a process that writes to it. Windows has no O_NONBLOCK.
  const file = await open(path, constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0));
  try {
    const stats = await file.stat();
    if (stats.isDirectory()) throw new Error('it is a folder');
    if (!stats.isFile()) throw new Error('it is not a regular file');
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Reads a regular file.
 * @throws Error with a part of a sentence, or the system's error
 */
export async function readRegularFile(path: PathLike, maxBytes = MAX_FILE_BYTES): Promise<Buffer> {
  const file = await openRegularFile(path);
  try {
    const { size } = await file.stat();
    if (size > maxBytes) throw new Error(`it has ${size} bytes; at most ${maxBytes} are read`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
