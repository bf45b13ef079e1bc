import { join } from 'node:path';
import type { Dataset, LazySplit } from '../../shared/data/dataset.ts';
import { imageTensors } from '../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { openRegularFile, readRegularFile } from '../files/read-file.ts';
import { DEFAULT_VALIDATION_SPLIT, type DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { stratifiedSplit } from './validation-split.ts';
import { readImageHeader, type ImageHeader, type ImageOptions } from './images/decode-image.ts';
import {
  decodeFile,
  describeImageError,
  ImageSource,
  mixedOrder,
  MAX_IMAGE_FILE_BYTES,
} from './image-source.ts';
import { listImages, openable, type ImageFiles, type RawPath } from './list-images.ts';

export interface ImageFolderOptions extends Pick<
  DataOptions,
  'validationSplit' | 'seed' | 'imageSize' | 'channels' | 'fit'
> {
  /** Classes in the order of a model. @default by the names of the folders */
  readonly classNames?: readonly string[] | undefined;
  /** Whether all images are to test on. @default false */
  readonly isTest?: boolean | undefined;
  /** Absolute path. */
  readonly folder: string;
  /** Option or variable that named the folder, for example '--data'. */
  readonly option: string;
  /** Name of the data set. */
  readonly name: string;
  /** Absolute path of the images to test on, if they are not in the folder. */
  readonly testFolder?: string | undefined;
  readonly cacheDir: string;
  /** Limit of the cache of decoded images; 0 for no cache. */
  readonly maxCacheBytes?: number | undefined;
  readonly report: DataReporter;
  readonly signal?: AbortSignal | undefined;
}

/** A data set whose samples are decoded when they are needed. */
export interface LazyDataset extends Omit<Dataset, 'train' | 'test'> {
  readonly train: LazySplit;
  readonly test: LazySplit;
}

/** Images whose headers are read before the run, spread over all of them. */
const MAX_HEADERS = 1000;
/** Bytes that hold the header of most images. */
const HEADER_BYTES = 2 ** 16;
/** Images of equal red, green and blue may be stored as color; so many are decoded to see that. */
const MAX_COLORS_CHECKED = 24;
const COLOR_CHECK_SIDE = 64;
/** Height and width of images of different sizes, unless they are smaller or the person says otherwise. */
const DEFAULT_SIDE = 64;
/** Larger images are not kept at their size unless the person says so: a sample would have hundreds of kilobytes. */
const MAX_SIDE = 256;
const HEADERS_AT_ONCE = 16;

/**
 * Opens a data set of images, one folder a class. Files are listed, and the headers of some are read; images are decoded when they are
 * needed. Without a test part, some of the images are for validation.
 *
 * @throws DataError if the folders hold no such data set, or if an image whose header is read cannot be
 * @throws the signal's reason once it is aborted
 */
export async function openImageFolder(options: ImageFolderOptions): Promise<LazyDataset> {
  const { folder, option, name, testFolder, cacheDir, maxCacheBytes, report, signal } = options;
  const { progress, warn } = { progress: listProgress(report), warn: (line: string) => report.warn(line) };
  const { classNames, train, test, notes } = await listImages(folder, testFolder, {
    option,
    progress: progress.update,
    signal,
    classNames: options.classNames,
  });
  progress.end();
  const look = await lookAtImages(train, options);
  const { image } = look;
  const source = {
    image,
    classes: classNames.length,
    cacheFolder: join(cacheDir, 'samples'),
    maxCacheBytes,
    warn,
  };
  const trainSource = await ImageSource.open({ ...source, files: train });
  const order = mixedOrder(train);
  const whole = trainSource.split(order);
  const splits =
    options.isTest === true && test === null
      ? { train: whole, test: whole }
      : test === null || options.validationSplit !== undefined
        ? divide(trainSource, train, order, options)
        : {
            train: whole,
            test: (await ImageSource.open({ ...source, files: test })).split(mixedOrder(test)),
          };
  const [height, width] = image.size;
  report.info(
    `Images: ${splits.train.count} to train on, ${splits.test.count} to validate on, in ${classNames.length} classes; ${look.description}.`,
  );
  if (splits.train.count < train.paths.length) {
    const percent = Math.round((100 * splits.test.count) / train.paths.length);
    report.info(
      `${test === null ? 'The folder has no test part' : 'The test part is not used'}: ${percent}% of each class is to validate on (--validation-split).`,
    );
  }
  for (const line of notes) report.warn(line);
  if (maxCacheBytes !== 0 && trainSource.cachedCount < train.paths.length && trainSource.cachedCount > 0)
    report.info(
      `The disk has room for ${trainSource.cachedCount} of ${train.paths.length} decoded images; the others are decoded in every epoch.`,
    );
  return {
    name,
    description: `Images from ${sanitizeForTerminal(folder)}, one folder a class.`,
    ...imageTensors([height, width, image.channels], classNames.length),
    ...(classNames.length > 256
      ? { targets: [{ name: 'label', shape: [], dtype: 'int32', classes: classNames.length }] }
      : {}),
    classNames,
    preprocessing: { kind: 'image', ...image, size: [height, width] },
    ...splits,
  };
}

function divide(
  source: ImageSource,
  { labels }: ImageFiles,
  order: Uint32Array,
  { validationSplit = DEFAULT_VALIDATION_SPLIT, seed }: ImageFolderOptions,
): Pick<LazyDataset, 'train' | 'test'> {
  const parts = stratifiedSplit(
    Array.from(order, (file) => labels[file] as number),
    validationSplit,
    seed,
  );
  const pick = (samples: Uint32Array): Uint32Array => samples.map((sample) => order[sample] as number);
  return { train: source.split(pick(parts.train)), test: source.split(pick(parts.test)) };
}

/** Shows the number of listed files, a few times a second. */
function listProgress(report: DataReporter): { update: (files: number) => void; end: () => void } {
  let shown = 0;
  return {
    update(files) {
      if (files - shown < 5000) return;
      shown = files;
      report.progress('Listing images', files, undefined);
    },
    end() {
      if (shown > 0) report.progress('Listing images', shown, shown);
    },
  };
}

interface Look {
  readonly image: ImageOptions;
  /** Size and colors, as part of a sentence. */
  readonly description: string;
}

/** Chooses size and channels of the samples, by the headers of some images. @throws DataError if one is no image */
async function lookAtImages(
  { root, paths }: ImageFiles,
  { imageSize, channels, fit = 'crop', report }: ImageFolderOptions,
): Promise<Look> {
  const chosen = spread(paths, MAX_HEADERS);
  const headers: ImageHeader[] = [];
  for (let from = 0; from < chosen.length; from += HEADERS_AT_ONCE) {
    const part = chosen.slice(from, from + HEADERS_AT_ONCE);
    headers.push(...(await Promise.all(part.map((path) => readHeader(`${root}/${path}` as RawPath)))));
  }
  const size = imageSize ?? chooseSize(headers);
  const isGray =
    headers.every((header) => header.isGray) ||
    (channels === undefined && (await areAllGray(root, spread(paths, MAX_COLORS_CHECKED))));
  const image: ImageOptions = { size, channels: channels ?? (isGray ? 1 : 3), fit };
  const colors = { 1: 'gray', 3: 'color', 4: 'color and opacity' }[image.channels];
  if (image.channels !== 4 && headers.some(({ hasAlpha }) => hasAlpha))
    report.info('Some images are transparent; they are blended with white (--channels 4 keeps it).');
  return {
    image,
    description: `${size.join(' x ')} ${colors}${describeScaling(headers, image, imageSize === undefined)}`,
  };
}

/** How images become the samples' size: ', scaled from ...'. */
function describeScaling(
  headers: readonly ImageHeader[],
  { size, fit }: ImageOptions,
  isDefault: boolean,
): string {
  const [height, width] = size;
  if (headers.every((header) => header.height === height && header.width === width)) return '';
  const range = (values: readonly number[]): string => {
    const [min, max] = [Math.min(...values), Math.max(...values)];
    return min === max ? `${min}` : `${min} to ${max}`;
  };
  const heights = range(headers.map((header) => header.height));
  const widths = range(headers.map((header) => header.width));
  const hint = isDefault ? '; --image-size HEIGHTxWIDTH takes another size' : '';
  const fits = { crop: 'cut to the middle', pad: 'padded', stretch: 'distorted' };
  return `, scaled from ${heights} x ${widths} and ${fits[fit]} if of another shape${hint}`;
}

/** The common size of all images, else a square of at most DEFAULT_SIDE. */
function chooseSize(headers: readonly ImageHeader[]): [number, number] {
  const [{ height, width } = { height: DEFAULT_SIDE, width: DEFAULT_SIDE }] = headers;
  const isCommon = headers.every((header) => header.height === height && header.width === width);
  if (isCommon && Math.max(height, width) <= MAX_SIDE) return [height, width];
  const sides = headers.map((header) => Math.min(header.height, header.width)).toSorted((a, b) => a - b);
  const side = Math.min(DEFAULT_SIDE, sides[sides.length >> 1] ?? DEFAULT_SIDE);
  return [side, side];
}

/** Items spread evenly over a list, at most `count` of them. */
function spread<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)] as Item);
}

/** Whether images that are stored in color have none. */
async function areAllGray(root: RawPath, paths: readonly RawPath[]): Promise<boolean> {
  const options = { size: [COLOR_CHECK_SIDE, COLOR_CHECK_SIDE], channels: 3, fit: 'crop' } as const;
  for (const path of paths) {
    const pixels = await decodeFile(root, path, options);
    for (let at = 0; at < pixels.length; at += 3) {
      if (pixels[at] !== pixels[at + 1] || pixels[at] !== pixels[at + 2]) return false;
    }
  }
  return true;
}

async function readHeader(path: RawPath): Promise<ImageHeader> {
  const head = Buffer.alloc(HEADER_BYTES);
  let bytes: Buffer | null = null;
  try {
    const file = await openRegularFile(openable(path));
    try {
      const { bytesRead } = await file.read(head, 0, head.length, 0);
      bytes = head.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
    const isWhole = bytes.length < head.length;
    return await readImageHeader(bytes).catch(async (error: unknown) => {
      // Some cameras write a picture into the header, before the size.
      if (isWhole) throw error;
      return readImageHeader(await readRegularFile(openable(path), MAX_IMAGE_FILE_BYTES));
    });
  } catch (error) {
    throw describeImageError(path, error, bytes);
  }
}
