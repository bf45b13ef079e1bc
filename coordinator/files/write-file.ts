import { randomInt } from 'node:crypto';
import { rmSync, constants } from 'node:fs';
import { open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describeDiskError } from './disk-error.ts';

/** Methods of an open file that writing needs. */
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
  /** Permissions of a new file. */
  readonly mode?: number;
  /** Called when the new file is complete, before it replaces the old one. An error from it ends the write. */
  readonly beforeReplace?: () => Promise<void>;
  /** Opens the temporary file. Tests pass disks that are full or report wrong results. */
  readonly openFile?: (path: string, flags: string, mode: number) => Promise<WritableFile>;
}

const CHUNK_BYTES = 1 << 20;
/** Suffix of temporary files. A process that was killed while writing leaves such a file. */
export const TEMPORARY_NAME = /\.\d{9,15}$/;

/**
 * Writes a whole file, or leaves the old one unchanged: writes a temporary file beside it, reads that back, compares, and
 * renames.
 * @throws Error with a sentence that names the file and the reason, such as a full disk
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

/** File that is written part by part. It has its name, in the place of an older one, once it is complete. */
export interface GrowingFile {
  readonly append: (part: Uint8Array | string) => Promise<void>;
  readonly complete: () => Promise<void>;
  /** Removes what was written; the older file stays. Does nothing after complete(). */
  readonly abandon: () => Promise<void>;
}

/**
 * Opens a file that is too large to be in memory as a whole.
 * @throws Error with a sentence that names the file and the reason, as its methods do
 */
export async function openGrowingFile(path: string): Promise<GrowingFile> {
  const fail = (error: unknown): Error =>
    new Error(`${path} could not be written: ${describeDiskError(error)}.`, { cause: error });
  const target = await resolveTarget(path);
  const temporary = `${target}.${randomInt(1e9, 1e14)}`;
  const file = await open(temporary, 'wx', 0o666).catch((error: unknown) => {
    throw fail(error);
  });
  const removeAtExit = (): void => rmSync(temporary, { force: true });
  process.once('exit', removeAtExit);
  let isOpen = true;
  const abandon = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    process.off('exit', removeAtExit);
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
  };
  const orAbandon = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      await abandon();
      throw fail(error);
    }
  };
  return {
    append: (part) => orAbandon(() => file.writeFile(part)),
    complete: () =>
      orAbandon(async () => {
        await file.sync();
        await file.close();
        await rename(temporary, target);
        isOpen = false;
        process.off('exit', removeAtExit);
      }),
    abandon,
  };
}

/** Removes temporary files that killed processes have left. @param names names of the files that were written */
export async function removeTemporaryFiles(dir: string, names: readonly string[]): Promise<void> {
  const files = await readdir(dir).catch((): string[] => []);
  const temporary = files.filter(
    (file) => TEMPORARY_NAME.test(file) && names.includes(file.replace(TEMPORARY_NAME, '')),
  );
  await Promise.allSettled(temporary.map((file) => rm(join(dir, file), { force: true })));
}

/**
 * The file to replace, with links resolved.
 * @throws Error if the path is a pipe, a device or a folder, or a link to one
 */
async function resolveTarget(path: string): Promise<string> {
  const stats = await stat(path).catch(() => null);
  if (stats === null) return path;
  if (!stats.isFile()) throw new Error(`${path} could not be written: it is not a regular file.`);
  return realpath(path);
}

/** A write to an almost full disk succeeds for a part of the bytes, and reports that only in bytesWritten. */
async function writeAll(file: WritableFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, at);
    if (bytesWritten === 0) throw new Error(`the disk took ${at} of ${bytes.length} bytes`);
    at += bytesWritten;
  }
}

async function verifyContents(file: WritableFile, bytes: Uint8Array): Promise<void> {
  // One byte more than the contents, so that a file that is too long is noticed.
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

/** Methods of an open file that appending needs. */
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
 * Appends a line to a file, or leaves the file unchanged: if a full disk takes a part of the line, that part is removed.
 * @throws Error with a sentence that names the file and the reason
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
      if (!stats.isFile()) throw new Error('it is not a regular file');
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
