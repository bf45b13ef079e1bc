import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import type { ImagePreprocessing } from '../../../shared/data/preprocessing.ts';
import { detectImageType, imageTypeName, isReadableType, TYPE_BYTES, type ImageType } from './image-type.ts';

/**
 * The way from an image to a sample. Channels: 1 is gray (luma of Rec. 601), 3 color on white, 4 color and opacity. An image of another
 * shape is cut to its middle (crop), put on black (pad) or distorted (stretch).
 */
export interface ImageOptions extends Omit<ImagePreprocessing, 'kind' | 'size'> {
  /** Height and width. */
  readonly size: readonly [number, number];
}

export interface ImageHeader {
  /** As seen: after the turn that a camera noted (EXIF). */
  readonly height: number;
  readonly width: number;
  readonly isGray: boolean;
  readonly hasAlpha: boolean;
}

/** Reason why an image cannot be decoded, without its name: see nameImageError. */
export class ImageError extends DataError {
  readonly found: string;
  readonly remedy: string;
  /** Whether the file is of a kind that is not known here. */
  readonly isOther: boolean;

  constructor(found: string, remedy: string, isOther = false) {
    super(`Expected an image, found ${found}. ${remedy}`);
    this.found = found;
    this.remedy = remedy;
    this.isOther = isOther;
  }
}

/** Same error for a file. @param path for messages */
export function nameImageError(path: string, error: unknown): unknown {
  return error instanceof ImageError ? invalidFileError(path, 'an image', error.found, error.remedy) : error;
}

/** Images of more pixels are refused: a small file can unpack to gigabytes. */
const MAX_PIXELS = 2 ** 26;

const FITS = { crop: 'cover', pad: 'contain', stretch: 'fill' } as const;

const SAVE_AGAIN = 'Save it as PNG or JPEG, or take it out of the folder.';

type OpenImage = (input: Buffer, options: SharpOptions) => Sharp;

let library: Promise<OpenImage> | null = null;

/** @throws DataError if sharp is not installed */
function loadSharp(): Promise<OpenImage> {
  library ??= import('sharp').then(
    ({ default: sharp }) => {
      // Each image is opened once, so a cache of opened ones only takes memory.
      sharp.cache(false);
      return sharp;
    },
    () => {
      library = null;
      throw new DataError(
        'Images are decoded by the package sharp, which is not installed. Install it beside gradcast: npm install sharp.',
      );
    },
  );
  return library;
}

/**
 * Decodes a PNG, JPEG, WebP, GIF (the first frame), TIFF or AVIF image to a sample. The format is detected from the contents. A
 * turn that a camera noted (EXIF) is applied; opacity is blended with white, or kept as the fourth channel; 16 bits become 8.
 * Other sizes are scaled with antialiased bilinear interpolation.
 *
 * @param bytes contents of the file
 * @returns [height, width, channels], row-major, 0 to 255
 * @throws ImageError if it is damaged, of another format, or of more than 2^26 pixels
 * @throws DataError if sharp is not installed
 * @example
 * ```ts
 * const pixels = await decodeImage(await readFile('cat.jpg'), { size: [64, 64], channels: 3, fit: 'crop' });
 * ```
 */
export async function decodeImage(bytes: Uint8Array, options: ImageOptions): Promise<Uint8Array> {
  const { size, channels, fit } = options;
  const [height, width] = size;
  const { image, type } = await openImage(bytes);
  const colors = channels === 4 ? image.ensureAlpha() : image.flatten({ background: '#fff' });
  const background = { r: 0, g: 0, b: 0, alpha: channels === 4 ? 0 : 1 };
  const scaled = colors.resize({ width, height, fit: FITS[fit], background, kernel: 'linear' });
  const { data, info } = await scaled
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch((error: unknown) => {
      throw describeFailure(error, type);
    });
  return pickChannels(data, info.channels, channels);
}

/**
 * Reads size and colors from the beginning of an image, without decoding it.
 * @param bytes contents of the file; some kilobytes from its beginning are enough for most
 * @throws ImageError, DataError like decodeImage
 */
export async function readImageHeader(bytes: Uint8Array): Promise<ImageHeader> {
  const { image, type } = await openImage(bytes);
  const { autoOrient, space, channels, hasAlpha } = await image
    .metadata()
    .catch((error: unknown): Metadata => {
      throw describeFailure(error, type);
    });
  const { height, width } = autoOrient;
  if (height * width > MAX_PIXELS) throw tooManyPixels(`${height} x ${width} pixels`);
  return { height, width, hasAlpha, isGray: space === 'b-w' || space === 'grey16' || channels < 3 };
}

async function openImage(bytes: Uint8Array): Promise<{ image: Sharp; type: ImageType }> {
  const type = detectImageType(bytes.subarray(0, TYPE_BYTES));
  if (type === null) {
    const isEmpty = bytes.length === 0;
    throw new ImageError(
      isEmpty ? 'an empty file (0 bytes)' : 'a file of another kind',
      SAVE_AGAIN,
      !isEmpty,
    );
  }
  if (!isReadableType(type)) {
    const found = `an image of the format ${imageTypeName(type)}, which gradcast does not read`;
    throw new ImageError(
      found,
      type === 'heic'
        ? 'Convert it to JPEG: heif-convert in.heic out.jpg, or sips -s format jpeg in.heic --out out.jpg on a Mac.'
        : SAVE_AGAIN,
    );
  }
  const open = await loadSharp();
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Not 'warning': cameras and scanners write files that break rules without damage.
  return { type, image: open(input, { autoOrient: true, failOn: 'error', limitInputPixels: MAX_PIXELS }) };
}

const tooManyPixels = (found: string): ImageError =>
  new ImageError(found, `Make it smaller: images may have ${MAX_PIXELS} pixels.`);

/** Reason why the library cannot decode an image. Its messages repeat themselves, once a part that it tried. */
function describeFailure(error: unknown, type: ImageType): ImageError {
  const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
  if (reason.includes('pixel limit')) return tooManyPixels(`more than ${MAX_PIXELS} pixels`);
  const name = imageTypeName(type);
  const isCut = /premature end|end of (stream|file|data)|truncated|unexpected EOF|read error/i.test(reason);
  const words = reason.replace(/^Input buffer (has|contains) /, '').replace(/[.\s]+$/, '');
  const what = isCut ? 'cut short or damaged' : `damaged (${words})`;
  return new ImageError(
    `a ${name} image that is ${what}`,
    'Get the file again from where it came, or take it out of the folder.',
  );
}

/** Copy of an image with other channels: the same, its luma, or gray as color. */
function pickChannels(data: Uint8Array, found: number, wanted: 1 | 3 | 4): Uint8Array {
  if (found === wanted) return data;
  const pixels = data.length / found;
  const picked = new Uint8Array(pixels * wanted);
  for (let i = 0; i < pixels; i++) {
    const red = data[i * found] as number;
    // Gray with opacity has two channels.
    const green = found < 3 ? red : (data[i * found + 1] as number);
    const blue = found < 3 ? red : (data[i * found + 2] as number);
    if (wanted === 1) {
      // PIL's integer weights of Rec. 601, which sum to 2^16: gray stays exactly as it is.
      picked[i] = (red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16;
      continue;
    }
    picked[i * wanted] = red;
    picked[i * wanted + 1] = green;
    picked[i * wanted + 2] = blue;
    if (wanted === 4)
      picked[i * 4 + 3] = found === 4 || found === 2 ? (data[(i + 1) * found - 1] as number) : 255;
  }
  return picked;
}
