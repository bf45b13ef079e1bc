import { openRegularFile, readRegularFile } from '../files/read-file.ts';
import type { DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { decodeFile, describeImageError, MAX_IMAGE_FILE_BYTES } from './image-source.ts';
import type { ImageFiles } from './list-images.ts';
import { readImageHeader, type ImageHeader, type ImageOptions } from './images/decode-image.ts';
import { joinRaw, openable, type RawPath } from './images/raw-path.ts';

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

export interface ImageLook {
  readonly image: ImageOptions;
  /** Size and colors, as part of a sentence. */
  readonly description: string;
}

/** Chooses size and channels of the samples, by the headers of some images. @throws DataError if one is no image */
export async function lookAtImages(
  { root, paths }: ImageFiles,
  { imageSize, channels, fit = 'crop' }: Pick<DataOptions, 'imageSize' | 'channels' | 'fit'>,
  report: DataReporter,
): Promise<ImageLook> {
  const chosen = spread(paths, MAX_HEADERS);
  const headers: ImageHeader[] = [];
  for (let from = 0; from < chosen.length; from += HEADERS_AT_ONCE) {
    const part = chosen.slice(from, from + HEADERS_AT_ONCE);
    headers.push(...(await Promise.all(part.map((path) => readHeader(joinRaw(root, path))))));
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
