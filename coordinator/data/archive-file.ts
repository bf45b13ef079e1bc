import { createHash, randomInt } from 'node:crypto';
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError } from '../../shared/data/data-error.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';
import { plainFile } from './data-file.ts';
import type { DataReporter } from './data-reporter.ts';
import { download, withSpeed, type DownloadLimits } from './download.ts';
import type { PublishedArchive } from './named/data-sets.ts';

export interface ArchiveFileOptions {
  /** Name for messages, such as cifar-10. */
  readonly title: string;
  /** Folder of the archive. Made if it is missing. */
  readonly folder: string;
  readonly archive: PublishedArchive;
  /** Addresses of folders, each with a final slash, in the order in which they are tried. */
  readonly mirrors: readonly string[];
  readonly fetch: typeof globalThis.fetch;
  readonly limits: DownloadLimits;
  readonly report: DataReporter;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
}

export type ArchiveFileResult =
  | { readonly ok: true; readonly path: string; readonly downloaded: boolean }
  | { readonly ok: false; readonly failures: readonly string[] };

/** Slowest mirror that may take as long as it needs, in bytes a second. */
const MIN_SPEED = 50_000;
/** A download stalls for seconds at most, so a part that was written before that belongs to a killed process. */
const ABANDONED_MS = 60_000;
const PART = /\.\d{9,15}\.part$/;

/**
 * Finds an archive in the cache folder, or downloads it. A download that was stopped or that broke off is continued where it ended, also
 * from another mirror. The whole file is checked against its published SHA-256 before it gets its name.
 *
 * @throws DataError if the folder cannot be written
 * @throws the signal's reason once it is aborted
 */
export async function findArchive(options: ArchiveFileOptions): Promise<ArchiveFileResult> {
  const { archive, folder, report, title } = options;
  const path = join(folder, archive.name);
  const size = (await stat(path).catch(() => undefined))?.size;
  if (size !== undefined) {
    if (size === archive.bytes && (await hashFile(path, report)) === archive.sha256)
      return { ok: true, path, downloaded: false };
    report.warn(`${path}: expected ${title}'s ${archive.name}, found other contents. Downloading it again.`);
  }
  try {
    await makeFolder(folder);
    const part = `${path}.${randomInt(1e9, 1e14)}.part`;
    await adoptPart(path, part);
    return await downloadInto(part, path, options);
  } catch (error) {
    if (options.signal?.aborted === true || error instanceof DataError) throw error;
    throw new DataError(
      `${path} cannot be written: ${describeDiskError(error)}. Make room for ${archive.bytes} bytes in ${folder}, or put the data into a folder of your own and point --data at it.`,
    );
  }
}

async function downloadInto(
  part: string,
  path: string,
  options: ArchiveFileOptions,
): Promise<ArchiveFileResult> {
  const { archive, folder, report, title, signal } = options;
  const failures: string[] = [];
  const file = await open(part, 'a+');
  let isComplete = false;
  try {
    const { size } = await file.stat();
    report.info(
      size > 0
        ? `Continuing the download of ${title} to ${folder}, after ${size} of ${archive.bytes} bytes.`
        : `Downloading ${title} to ${folder}: ${Math.ceil(archive.bytes / 1e6)} MB.`,
    );
    for (const mirror of options.mirrors) {
      const failure = await downloadFrom(`${mirror}${archive.name}`, file, options);
      signal?.throwIfAborted();
      if (failure === null) {
        await file.sync();
        isComplete = true;
        break;
      }
      failures.push(failure);
      report.info(`${failure}.`);
    }
  } finally {
    await file.close();
    // The next download continues it.
    await rename(part, isComplete ? path : `${path}.part`).catch(() => undefined);
  }
  if (isComplete) return { ok: true, path, downloaded: true };
  return {
    ok: false,
    failures: failures.length > 0 ? failures : [`${archive.name}: no mirror to download it from`],
  };
}

/** Downloads the missing bytes. @returns null if the file is then whole, else the failure */
async function downloadFrom(
  url: string,
  file: FileHandle,
  { archive, report, fetch, limits, signal }: ArchiveFileOptions,
): Promise<string | null> {
  let writeError: unknown = null;
  // A second time from the start, if the first one continued a part of another file.
  for (;;) {
    const { size: from } = await file.stat();
    if (from < archive.bytes) {
      const result = await download({
        url,
        fetch,
        limits: { ...limits, totalMs: Math.max(limits.totalMs, (1000 * archive.bytes) / MIN_SPEED) },
        maxBytes: archive.bytes,
        onProgress: withSpeed(report, archive.name, from),
        signal,
        from,
        write: (chunk) =>
          file.appendFile(chunk).catch((error: unknown) => {
            writeError = error;
            throw error;
          }),
        restart: () => file.truncate(0),
      });
      if (writeError !== null) throw writeError as Error;
      if (!result.ok) return `${url}: ${result.reason}`;
    }
    const found = await hashOf(file.createReadStream({ start: 0, autoClose: false }));
    if (found === archive.sha256) return null;
    await file.truncate(0);
    if (from === 0) {
      return `${url}: not the published file (SHA-256: expected ${archive.sha256}, found ${found})`;
    }
  }
}

/** Renames a part that an ended download has left, so that no other process continues it too. */
async function adoptPart(path: string, part: string): Promise<void> {
  const folder = dirname(path);
  const name = basename(path);
  const found = await readdir(folder);
  for (const other of [
    `${name}.part`,
    ...found.filter((file) => file.startsWith(`${name}.`) && PART.test(file)),
  ]) {
    const left = join(folder, other);
    const modifiedMs = (await stat(left).catch(() => undefined))?.mtimeMs;
    if (modifiedMs === undefined) continue;
    const isAbandoned = other === `${name}.part` || Date.now() - modifiedMs > ABANDONED_MS;
    if (!isAbandoned) continue;
    const isAdopted = await rename(left, part).then(
      () => true,
      () => false,
    );
    if (isAdopted) break;
  }
  // Of several parts, one is continued.
  for (const other of found) {
    const left = join(folder, other);
    const modifiedMs = (await stat(left).catch(() => undefined))?.mtimeMs ?? Infinity;
    if (other.startsWith(`${name}.`) && PART.test(other) && Date.now() - modifiedMs > ABANDONED_MS)
      await rm(left, { force: true });
  }
}

/** SHA-256 of a file of the cache, with progress. */
async function hashFile(path: string, report: DataReporter): Promise<string> {
  const { size } = await stat(path);
  const label = `Checking ${basename(path)}`;
  let done = 0;
  const chunks = plainFile(path, basename(path), size).open();
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      done += chunk.length;
      report.progress(label, done, size);
      yield chunk;
    }
  }
  return hashOf(counted());
}

async function hashOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}
