import { closeSync, constants, open, readv, writev } from 'node:fs';
import { readdir, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 } from 'node:zlib';
import { describeDiskError } from '../../files/disk-error.ts';
import { makeFolder } from '../../files/make-folder.ts';

const openFile = promisify(open);
const readParts = promisify(readv);
const writeParts = promisify(writev);

/** Samples of one part of a data set. */
export interface CachedPart {
  /** Identifies the samples: files, and how they become samples. Letters and digits. */
  readonly key: string;
  readonly count: number;
}

export interface SampleCacheOptions {
  /** Folder of all caches. Made if it is missing. */
  readonly folder: string;
  /** Bytes of one sample. */
  readonly sampleBytes: number;
  /** Limit for all caches together. @default 20 GB, or a quarter of the disk if that is less */
  readonly maxBytes?: number | undefined;
  /** Called at most once, if the cache cannot be used. */
  readonly warn: (line: string) => void;
}

const DEFAULT_MAX_BYTES = 20e9;
/** Fraction of the free disk that all caches together may take. */
const MAX_DISK_FRACTION = 0.25;
const EXTENSION = '.samples';
/** A record is the number of the sample plus 1, the checksum of its bytes, and its bytes. */
const HEADER_BYTES = 8;

/** Closes files of caches that are in use no more: a data set has no end of its own. */
const openFiles = new FinalizationRegistry((fd: number) => closeSync(fd));

/**
 * Decoded samples in a file with one record a sample. A record has a checksum, so a record that was never written, or written in part
 * when a process ended, counts as missing. Several processes may fill one cache: they write the same bytes to the same places.
 */
export class SampleCache {
  readonly #fd: number;
  readonly #recordBytes: number;
  readonly #warn: (line: string) => void;
  readonly #path: string;
  #canWrite = true;
  /** Number of samples that the cache has room for. */
  readonly count: number;

  private constructor(fd: number, path: string, count: number, { sampleBytes, warn }: SampleCacheOptions) {
    this.#fd = fd;
    this.#path = path;
    this.#recordBytes = HEADER_BYTES + sampleBytes;
    this.#warn = warn;
    this.count = count;
    openFiles.register(this, fd);
  }

  /**
   * Opens the caches of a data set, one a part, and removes those of others that were not used for longest if these have no room beside
   * them. The parts share one limit; the first of them are kept first.
   *
   * @returns null for a part that has no room, or whose file cannot be written
   * @example
   * ```ts
   * const [train, test] = await SampleCache.open([{ key: 'a1', count: 6000 }, { key: 'b2', count: 1000 }], options);
   * ```
   */
  static async open(
    parts: readonly CachedPart[],
    options: SampleCacheOptions,
  ): Promise<(SampleCache | null)[]> {
    const { folder, sampleBytes, warn } = options;
    const recordBytes = HEADER_BYTES + sampleBytes;
    const pathOf = ({ key }: CachedPart): string => join(folder, `${key}${EXTENSION}`);
    let free: number;
    try {
      await makeFolder(folder);
      free = await limitOfCaches(folder, options.maxBytes);
      const wanted = recordBytes * parts.reduce((sum, { count }) => sum + count, 0);
      await removeOldest(folder, new Set(parts.map(pathOf)), free - Math.min(free, wanted));
    } catch (error) {
      warn(cannotKeep(folder, error));
      return parts.map(() => null);
    }
    const caches: (SampleCache | null)[] = [];
    for (const part of parts) {
      const kept = Math.min(part.count, Math.floor(free / recordBytes));
      free -= kept * recordBytes;
      caches.push(kept === 0 ? null : await SampleCache.#openFile(pathOf(part), kept, options));
    }
    return caches;
  }

  static async #openFile(
    path: string,
    count: number,
    options: SampleCacheOptions,
  ): Promise<SampleCache | null> {
    try {
      const fd = await openFile(path, constants.O_RDWR | constants.O_CREAT, 0o666);
      const now = new Date();
      // For the order in which caches are removed.
      await utimes(path, now, now).catch(() => undefined);
      return new SampleCache(fd, path, count, options);
    } catch (error) {
      options.warn(cannotKeep(path, error));
      return null;
    }
  }

  /**
   * Reads a sample.
   * @param target receives its bytes, or any bytes if the cache does not have it
   * @returns whether the cache has it
   */
  async read(number: number, target: Uint8Array): Promise<boolean> {
    if (number >= this.count) return false;
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    try {
      const { bytesRead } = await readParts(this.#fd, [header, target], number * this.#recordBytes);
      return (
        bytesRead === this.#recordBytes &&
        header.readUInt32LE(0) === number + 1 &&
        header.readUInt32LE(4) === crc32(target)
      );
    } catch {
      return false;
    }
  }

  /** Keeps a sample. A full disk ends writing, with a warning. */
  async write(number: number, sample: Uint8Array): Promise<void> {
    if (number >= this.count || !this.#canWrite) return;
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32LE(number + 1, 0);
    header.writeUInt32LE(crc32(sample), 4);
    try {
      const { bytesWritten } = await writeParts(this.#fd, [header, sample], number * this.#recordBytes);
      if (bytesWritten < this.#recordBytes) throw Object.assign(new Error(), { code: 'ENOSPC' });
    } catch (error) {
      this.#endWriting(error);
    }
  }

  #endWriting(error: unknown): void {
    // Of several writes at once, the first that fails is reported.
    if (!this.#canWrite) return;
    this.#canWrite = false;
    this.#warn(
      `${this.#path} takes no more decoded images: ${describeDiskError(error)}. The others are decoded in every epoch.`,
    );
  }
}

const cannotKeep = (path: string, error: unknown): string =>
  `${path} cannot keep decoded images: ${describeDiskError(error)}. Every epoch decodes them again.`;

/** Bytes that all caches together may take. */
async function limitOfCaches(folder: string, maxBytes = DEFAULT_MAX_BYTES): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  const used = (await listCaches(folder)).reduce((sum, { bytes }) => sum + bytes, 0);
  return Math.min(maxBytes, (bavail * bsize + used) * MAX_DISK_FRACTION);
}

/** Removes other caches, those first that were not used for longest, until they take at most `bytes`. */
async function removeOldest(folder: string, except: ReadonlySet<string>, bytes: number): Promise<void> {
  const others = (await listCaches(folder)).filter(({ path }) => !except.has(path));
  let used = others.reduce((sum, cache) => sum + cache.bytes, 0);
  for (const cache of others.toSorted((a, b) => a.usedMs - b.usedMs)) {
    if (used <= bytes) return;
    // A process that has it open keeps its file until it ends; on Windows, the file stays.
    await rm(cache.path, { force: true }).catch(() => undefined);
    used -= cache.bytes;
  }
}

/** Caches with their bytes on the disk: a file has holes where samples are missing. */
async function listCaches(folder: string): Promise<{ path: string; bytes: number; usedMs: number }[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(EXTENSION));
  const caches = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const stats = await stat(path).catch(() => null);
      return stats === null ? null : { path, bytes: stats.blocks * 512, usedMs: stats.mtimeMs };
    }),
  );
  return caches.filter((cache) => cache !== null);
}
