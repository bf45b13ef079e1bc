/** Formats of image files, by their first bytes. */
export type ImageType =
  'png' | 'jpeg' | 'webp' | 'gif' | 'tiff' | 'avif' | 'heic' | 'bmp' | 'jpeg2000' | 'jpegxl' | 'svg' | 'psd';

/** Number of bytes that detectImageType reads. */
export const TYPE_BYTES = 64;

/** Formats that are decoded. Others are refused by name. */
const READABLE: ReadonlySet<ImageType> = new Set(['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif']);

const TYPE_NAMES: Readonly<Record<ImageType, string>> = {
  png: 'PNG',
  jpeg: 'JPEG',
  webp: 'WebP',
  gif: 'GIF',
  tiff: 'TIFF',
  avif: 'AVIF',
  heic: 'HEIC',
  bmp: 'BMP',
  jpeg2000: 'JPEG 2000',
  jpegxl: 'JPEG XL',
  svg: 'SVG',
  psd: 'Photoshop',
};

/** Extensions of files that are taken for images, without the dot, in lower case. */
const IMAGE_EXTENSIONS =
  /\.(png|apng|jpe?g|jfif|jpe|webp|gif|tiff?|avif|heic|heif|bmp|dib|jp2|j2k|jxl|svg|psd)$/i;

/** First bytes of formats, as text of one character a byte; '?' stands for any byte. */
const SIGNATURES: readonly (readonly [string, ImageType])[] = [
  ['\x89PNG\r\n\x1a\n', 'png'],
  ['\xff\xd8\xff', 'jpeg'],
  ['RIFF????WEBP', 'webp'],
  ['GIF8', 'gif'],
  ['II*\0', 'tiff'],
  ['MM\0*', 'tiff'],
  ['II+\0', 'tiff'],
  ['MM\0+', 'tiff'],
  ['????ftypavif', 'avif'],
  ['????ftypavis', 'avif'],
  ['????ftyphei', 'heic'],
  ['????ftyphev', 'heic'],
  ['????ftypmif1', 'heic'],
  ['????ftypmsf1', 'heic'],
  ['BM', 'bmp'],
  ['????jP  \r\n', 'jpeg2000'],
  ['\xff\x4f\xff\x51', 'jpeg2000'],
  ['\xff\x0a', 'jpegxl'],
  ['????JXL ', 'jpegxl'],
  ['8BPS', 'psd'],
  ['<svg', 'svg'],
];

/** Format of an image by its contents, since names can be wrong; null if it is none. @param head its first TYPE_BYTES, or all */
export function detectImageType(head: Uint8Array): ImageType | null {
  const text = String.fromCharCode(...head.subarray(0, TYPE_BYTES));
  const found = SIGNATURES.find(([signature]) =>
    Array.from(signature).every((character, i) =>
      character === '?' ? i < text.length : text[i] === character,
    ),
  );
  // HEIF's common brand does not say how pixels are coded: the compatible brands after it do.
  if (found?.[0] === '????ftypmif1' && text.includes('avif')) return 'avif';
  return found?.[1] ?? null;
}

export const isReadableType = (type: ImageType): boolean => READABLE.has(type);

export const imageTypeName = (type: ImageType): string => TYPE_NAMES[type];

/** Whether a file is taken for an image, by its name. */
export const hasImageName = (name: string): boolean => IMAGE_EXTENSIONS.test(name);
