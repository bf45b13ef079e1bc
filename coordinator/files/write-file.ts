import { randomInt } from 'node:crypto';
import { rmSync, constants } from 'node:fs';
import { open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeDiskError } from './disk-error.ts';

/** The part of an open file that writing it needs. */
export interface WritableFile {
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesWritten: number }>;
  read(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface WriteOptions {
  /** Permissions of the file, if it is new. */
  readonly mode?: number;
  /** Called when the new file is complete, before it takes the place of the old one. What it throws ends the write. */
  readonly beforeReplace?: () => Promise<void>;
  /** Opens the temporary file; tests hand in disks that are full or lie. */
  readonly openFile?: (path: string, flags: string, mode: number) => Promise<WritableFile>;
}

const CHUNK_BYTES = 1 << 20;
/** Digits behind a name: a file that a killed process has not finished. */
export const TEMPORARY_NAME = /\.\d{9,15}$/;

/**
 * Writes a whole file, or leaves the one that is there as it is: the bytes go to a temporary file beside it, are read back
 * and compared, and take its place in one rename.
 * @throws Error with a sentence that names the file and why, such as a full disk
 */
export async function writeFileAtomic(
  path: string,
  contents: Uint8Array | string,
  { mode = 0o666, beforeReplace, openFile = open }: WriteOptions = {},
): Promise<void> {
  const bytes = typeof contents === 'string' ? Buffer.from(contents) : contents;
  const target = await resolveTarget(path);
  const temporary = `${target}.${randomInt(1e9, 1e14)}`;
  const removeAtExit = (): void => rmSync(temporary, { force: true });
  process.once('exit', removeAtExit);
  let file: WritableFile | null = null;
  try {
    file = await openFile(temporary, 'wx+', mode);
    await writeAll(file, bytes);
    await file.sync();
    await verifyContents(file, bytes);
    const opened = file;
    file = null;
    await opened.close();
    await beforeReplace?.();
    await rename(temporary, target);
  } catch (error) {
    await file?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new Error(`${path} could not be written: ${describeDiskError(error)}.`, { cause: error });
  } finally {
    process.off('exit', removeAtExit);
  }
}

/** Removes what killed processes have left of writing these files. @param names of files in the folder */
export async function removeTemporaryFiles(dir: string, names: readonly string[]): Promise<void> {
  const found = await readdir(dir).catch((): string[] => []);
  const unfinished = found.filter(
    (name) => TEMPORARY_NAME.test(name) && names.includes(name.replace(TEMPORARY_NAME, '')),
  );
  await Promise.allSettled(unfinished.map((name) => rm(join(dir, name), { force: true })));
}

/**
 * The file that a path stands for. What is no file, such as a device or a pipe, is not replaced by one, also where a link
 * points to it.
 */
async function resolveTarget(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found === null) return path;
  if (!found.isFile()) throw new Error(`${path} could not be written: it is no regular file.`);
  return realpath(path);
}

/** A disk that is almost full takes a part of what it is given, and says so only in the number of bytes. */
async function writeAll(file: WritableFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, at);
    if (bytesWritten === 0) throw new Error(`the disk took ${at} of ${bytes.length} bytes`);
    at += bytesWritten;
  }
}

async function verifyContents(file: WritableFile, bytes: Uint8Array): Promise<void> {
  // One byte more than a file of this length has: a longer one is wrong, too.
  const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, bytes.length + 1));
  let at = 0;
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) break;
    if (!chunk.subarray(0, bytesRead).equals(bytes.subarray(at, at + bytesRead))) {
      throw new Error('the disk holds other bytes than were written');
    }
    at += bytesRead;
  }
  if (at !== bytes.length) throw new Error(`the disk holds ${at} of ${bytes.length} bytes`);
}

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
