import { createHash } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { DataError } from '../../shared/data/data-error.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';
import { writeFileAtomic } from '../files/write-file.ts';
import type { DataArray } from './data-array.ts';
import { memoryFile, plainFile, type DataFile } from './data-file.ts';
import type { DataReporter } from './data-reporter.ts';
import { downloadToMemory, withSpeed, type DownloadLimits } from './download.ts';
import { matchesPublished, ROLES, sha256, type ByRole, type PublishedFile } from './named/data-sets.ts';
import { readArray } from './read-array.ts';
import { HEAD_BYTES, detectContent } from './detect-content.ts';

export interface IdxFilesOptions {
  /** Name for messages, such as MNIST. */
  readonly title: string;
  /** Folder of the four files, gzipped. Made if it is missing. */
  readonly folder: string;
  /** Addresses of folders, each with a final slash, in the order in which they are tried. */
  readonly mirrors: readonly string[];
  readonly fetch: typeof globalThis.fetch;
  readonly limits: DownloadLimits;
  readonly report: DataReporter;
  /** Expected contents. */
  readonly files: ByRole<PublishedFile>;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
}

export type IdxFilesResult =
  | { readonly ok: true; readonly files: ByRole<DataArray>; readonly downloaded: boolean }
  | { readonly ok: false; readonly failures: readonly string[] };

/** Age at which a temporary file belongs to a killed process. */
const STALE_MS = 60 * 60 * 1000;

/**
 * Loads a data set of four IDX files from the cache folder, and downloads files that are missing or damaged. The contents of every file are checked
 * against the published SHA-256 before use. Several processes may do this at once: a file gets its name when it is whole.
 * @throws the signal's reason once it is aborted
 */
export async function loadIdxFiles(options: IdxFilesOptions): Promise<IdxFilesResult> {
  const { report, title, files: published } = options;
  const session: Session = { ...options, mirrors: [...options.mirrors] };
  const arrays: Partial<Record<keyof typeof published, DataArray>> = {};
  let downloaded = false;
  for (const role of ROLES) {
    const file = published[role];
    const path = join(options.folder, `${file.name}.gz`);
    const cached = await readCached(path, file, options);
    if (cached === undefined) {
      if (!downloaded) report.info(`Downloading ${title} to ${options.folder}.`);
      downloaded = true;
    }
    const array = cached ?? (await fetchFile(path, file, session));
    if (Array.isArray(array)) return { ok: false, failures: array };
    arrays[role] = array;
  }
  if (downloaded) await removeStale(options.folder, published);
  return { ok: true, files: arrays as ByRole<DataArray>, downloaded };
}

interface Session extends IdxFilesOptions {
  /** Failed mirrors move to the end, so that a mirror that does not answer costs its timeout once, not once a file. */
  mirrors: string[];
}

async function readCached(
  path: string,
  file: PublishedFile,
  { report, title }: IdxFilesOptions,
): Promise<DataArray | undefined> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return undefined;
  try {
    const array = await readPublished(plainFile(path, file.name, stats.size), file);
    if (typeof array !== 'string') return array;
    report.warn(`${path}: expected ${title}'s ${file.name}, found other contents. Downloading it again.`);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    report.warn(`${path}: expected ${title}'s ${file.name}, found a damaged file. Downloading it again.`);
  }
  return undefined;
}

/**
 * Reads a file that should be a published one.
 * @returns its array, or the SHA-256 of its contents if they differ
 * @throws DataError if it is not a whole IDX file, or a longer one
 */
async function readPublished(file: DataFile, published: PublishedFile): Promise<DataArray | string> {
  if (published.isPacked === true) return readPackedPublished(file, published);
  const array = await readArray(file, published.bytes);
  const contents = array.contents ?? new Uint8Array();
  return matchesPublished(contents, published) ? array : sha256(contents);
}

/** The same for a file whose published hash is that of the packed bytes, which are hashed as they are read. */
async function readPackedPublished(file: DataFile, published: PublishedFile): Promise<DataArray | string> {
  const hash = createHash('sha256');
  let bytes = 0;
  const array = await readArray({
    ...file,
    async *open() {
      for await (const chunk of file.open()) {
        hash.update(chunk);
        bytes += chunk.length;
        yield chunk;
      }
    },
  });
  const found = hash.digest('hex');
  return bytes === published.bytes && found === published.sha256 ? array : found;
}

/** Downloads a file from the first mirror that has it. @returns its array, or the failure of each mirror */
async function fetchFile(path: string, file: PublishedFile, session: Session): Promise<DataArray | string[]> {
  const failures: string[] = [];
  for (const mirror of session.mirrors) {
    const url = `${mirror}${file.name}.gz`;
    const result = await downloadToMemory({
      url,
      fetch: session.fetch,
      limits: session.limits,
      // gzip makes even random bytes longer by far less than this.
      maxBytes: file.bytes + 65_536,
      onProgress: withSpeed(session.report, file.name),
      signal: session.signal,
    });
    session.signal?.throwIfAborted();
    if (result.ok) {
      const array = await readPublished(memoryFile(result.bytes, url), file).catch(
        (error: unknown) => error as DataError,
      );
      if (!(array instanceof Error) && typeof array !== 'string') {
        await saveToCache(path, result.bytes, session.report);
        return array;
      }
      failures.push(
        array instanceof Error
          ? `${url}: ${result.bytes.length} bytes that are not a whole gzip file of IDX data`
          : `${url}: not the published file (SHA-256 of the contents: expected ${file.sha256}, found ${array})`,
      );
    } else {
      failures.push(`${url}: ${result.reason}`);
    }
    session.mirrors = [...session.mirrors.filter((other) => other !== mirror), mirror];
    session.report.info(`${failures.at(-1) ?? ''}.`);
  }
  return failures.length > 0 ? failures : [`${file.name}.gz: no mirror to download it from`];
}

/** Warns if the cache cannot be written: the run continues, and the next one downloads the file again. */
async function saveToCache(path: string, bytes: Uint8Array, report: DataReporter): Promise<void> {
  const packed = detectContent(bytes.subarray(0, HEAD_BYTES)).kind === 'gzip' ? bytes : gzipSync(bytes);
  try {
    await makeFolder(dirname(path));
    await writeFileAtomic(path, packed);
  } catch (error) {
    report.warn(`${path}: cannot be saved (${describeDiskError(error)}). The next run downloads it again.`);
  }
}

async function removeStale(folder: string, published: ByRole<PublishedFile>): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const prefixes = ROLES.map((role) => `${published[role].name}.gz.`);
  for (const name of names) {
    if (!prefixes.some((prefix) => name.startsWith(prefix))) continue;
    const path = join(folder, name);
    const modifiedMs = (await stat(path).catch(() => undefined))?.mtimeMs ?? Infinity;
    if (Date.now() - modifiedMs > STALE_MS) await rm(path, { force: true });
  }
}
