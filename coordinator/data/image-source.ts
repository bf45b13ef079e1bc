import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { LazySplit } from '../../shared/data/dataset.ts';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import { readError } from './data-file.ts';
import { HEAD_BYTES, detectContent } from './detect-content.ts';
import { decodeImage, ImageError, nameImageError, type ImageOptions } from './images/decode-image.ts';
import { joinRaw, openable, rawPath, readable, type RawPath } from './images/raw-path.ts';
import { SampleCache } from './images/sample-cache.ts';
import type { ImageFiles } from './list-images.ts';

/** Raised whenever the same file would be decoded to other values. */
const DECODER_VERSION = 1;
/** Images that are read and decoded at once. sharp decodes in the threads of libuv, of which there are four. */
const DECODES_AT_ONCE = 8;
/** A photograph has some megabytes. */
export const MAX_IMAGE_FILE_BYTES = 2 ** 28;

export interface ImageSourceOptions {
  readonly image: ImageOptions;
  /** Number of classes. */
  readonly classes: number;
  /** Folder of decoded samples. */
  readonly cacheFolder: string;
  /** See SampleCacheOptions; 0 for no cache. */
  readonly maxCacheBytes?: number | undefined;
  readonly warn: (line: string) => void;
}

/** Image files that are decoded when they are read for the first time, and kept on disk for the next epoch. */
export class ImageSource {
  readonly #files: ImageFiles;
  readonly #image: ImageOptions;
  readonly #labels: Uint8Array | Int32Array;
  readonly #cache: SampleCache | null;
  readonly #sampleBytes: number;

  private constructor(files: ImageFiles, { image, classes }: ImageSourceOptions, cache: SampleCache | null) {
    this.#files = files;
    this.#image = image;
    this.#labels = classes <= 256 ? Uint8Array.from(files.labels) : Int32Array.from(files.labels);
    this.#cache = cache;
    this.#sampleBytes = bytesOf(image);
  }

  /**
   * Opens the parts of a data set. Their decoded samples share the limit of the disk.
   * @returns a source for each part
   */
  static async open(parts: readonly ImageFiles[], options: ImageSourceOptions): Promise<ImageSource[]> {
    const { image, cacheFolder: folder, maxCacheBytes: maxBytes, warn } = options;
    const cached = await Promise.all(
      parts.map(async (files) => ({ key: await cacheKey(files, image), count: files.paths.length })),
    );
    const caches =
      maxBytes === 0
        ? []
        : await SampleCache.open(cached, { folder, sampleBytes: bytesOf(image), maxBytes, warn });
    return parts.map((files, i) => new ImageSource(files, options, caches[i] ?? null));
  }

  /** Number of files whose samples the cache has room for. */
  get cachedCount(): number {
    return this.#cache?.count ?? 0;
  }

  /** Split of some of the files. @param files numbers of the files, in the order of the samples */
  split(files: Uint32Array): LazySplit {
    const createLabels = (count: number): Uint8Array | Int32Array =>
      this.#labels instanceof Uint8Array ? new Uint8Array(count) : new Int32Array(count);
    const labels = createLabels(files.length);
    files.forEach((file, sample) => (labels[sample] = this.#labels[file] as number));
    return {
      count: files.length,
      labels,
      digest: filesDigest(this.#files, this.#image, files),
      read: async (sampleNumbers) => {
        const size = this.#sampleBytes;
        const images = new Uint8Array(sampleNumbers.length * size);
        const classes = createLabels(sampleNumbers.length);
        await Promise.all(
          Array.from(sampleNumbers, (sample, i) => {
            classes[i] = labels[sample] as number;
            return this.#read(files[sample] as number, images.subarray(i * size, (i + 1) * size));
          }),
        );
        return { sampleNumbers, inputs: [images], targets: [classes] };
      },
    };
  }

  async #read(file: number, target: Uint8Array): Promise<void> {
    if ((await this.#cache?.read(file, target)) === true) return;
    await decodes.acquire();
    try {
      target.set(await decodeFile(this.#files.root, this.#files.paths[file] as RawPath, this.#image));
      await this.#cache?.write(file, target);
    } finally {
      decodes.release();
    }
  }
}

/**
 * Decodes an image file.
 * @throws DataError that names the file
 */
export async function decodeFile(root: RawPath, path: RawPath, options: ImageOptions): Promise<Uint8Array> {
  const whole = joinRaw(root, path);
  let bytes: Buffer | null = null;
  try {
    bytes = await readRegularFile(openable(whole), MAX_IMAGE_FILE_BYTES);
    return await decodeImage(bytes, options);
  } catch (error) {
    throw describeImageError(whole, error, bytes);
  }
}

/**
 * Decodes an image file, as decodeImage does.
 * @throws DataError that names the file
 */
export const decodeImageFile = (path: string, options: ImageOptions): Promise<Uint8Array> =>
  decodeFile(rawPath(dirname(resolve(path))), rawPath(basename(path)), options);

/** Error for an image file that names it, and what it is instead. @param bytes its first ones; null if it could not be read */
export function describeImageError(path: RawPath, error: unknown, bytes: Uint8Array | null): DataError {
  const shown = readable(path);
  if (error instanceof ImageError && error.isOther && bytes !== null) {
    const content = detectContent(bytes.subarray(0, HEAD_BYTES));
    if (content.kind === 'other') return invalidFileError(shown, 'an image', content.found, content.remedy);
  }
  const named = nameImageError(shown, error);
  return named instanceof DataError ? named : readError(shown, error);
}

/** Order of samples in which classes are mixed, so that the first of them are of all classes. It depends on the names alone. */
export function mixedOrder({ paths }: ImageFiles): Uint32Array {
  const keys = paths.map((path) => createHash('md5').update(path).digest('base64'));
  return Uint32Array.from(paths.keys()).toSorted((a, b) =>
    (keys[a] as string) < (keys[b] as string) ? -1 : 1,
  );
}

const bytesOf = ({ size: [height, width], channels }: ImageOptions): number => height * width * channels;

/**
 * Name of the cache of decoded files. Beside what the digest of a data set has, which is the same for a copy of the folder, it has the
 * folder and the times that no program can set: images of another folder may have equal names, sizes and times of change.
 */
async function cacheKey(files: ImageFiles, options: ImageOptions): Promise<string> {
  const order = Uint32Array.from(files.paths.keys());
  const root = await realpath(openable(files.root), { encoding: 'buffer' }).catch((error: unknown) => {
    throw readError(readable(files.root), error);
  });
  return createHash('sha256')
    .update(filesDigest(files, options, order))
    .update(root)
    .update(Float64Array.from(files.statusTimes))
    .digest('hex')
    .slice(0, 32);
}

/** SHA-256 of how images are decoded, and of names, sizes, times of change and classes of files. */
function filesDigest(
  { paths, sizes, times, labels }: ImageFiles,
  options: ImageOptions,
  order: Uint32Array,
): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([DECODER_VERSION, options.size, options.channels, options.fit]));
  for (const file of order) {
    hash.update(`\0${paths[file] ?? ''}\0${sizes[file] ?? 0} ${times[file] ?? 0} ${labels[file] ?? 0}`);
  }
  return hash.digest('hex');
}

/** Limits what is done at once. */
class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async acquire(): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}

/** Shared by all sources, since memory and threads are. */
const decodes = new Semaphore(DECODES_AT_ONCE);
