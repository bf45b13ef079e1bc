import { sizeOf } from '../model/layout.ts';

/** Data that cannot be used. Its message is for the person: which file, what is wrong with it, what to do. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/** What to do about a damaged file, wherever it lies. */
export const REPLACE_FILE =
  'Delete it and start without a data folder to let gradcast download MNIST again, or point --data at another folder.';

/** A data file that is not what it should be, in the one form all such messages have. */
export function damaged(file: string, expected: string, found: string): DataError {
  return new DataError(`${file}: expected ${expected}, found ${found}. ${REPLACE_FILE}`);
}

export interface IdxImages {
  readonly count: number;
  /** [height, width, channels]; three-dimensional files have one channel. */
  readonly sampleShape: readonly number[];
  /** [count, ...sampleShape], row-major; a view of the file's bytes, not a copy. */
  readonly images: Uint8Array;
}

// Magic numbers: two zero bytes, 0x08 for unsigned bytes, then the number of dimensions.
const LABELS_MAGIC = 0x00000801;
const IMAGES_MAGIC = 0x00000803;
const COLOUR_IMAGES_MAGIC = 0x00000804;

/**
 * The images of an IDX file of unsigned bytes, [n, h, w] or [n, h, w, c]. The format is described on
 * http://yann.lecun.com/exdb/mnist/: a big-endian magic number, the dimensions as uint32, the bytes.
 *
 * @param file name for error messages
 * @throws DataError if the header is another, or if it does not agree with the number of bytes
 */
export function parseIdxImages(bytes: Uint8Array, file: string): IdxImages {
  const { dimensions, body } = parseIdx(bytes, file, 'images', [IMAGES_MAGIC, COLOUR_IMAGES_MAGIC]);
  const [count = 0, height = 0, width = 0, channels = 1] = dimensions;
  return { count, sampleShape: [height, width, channels], images: body };
}

/**
 * The labels of an IDX file of unsigned bytes, [n]; a view of the file's bytes, not a copy.
 *
 * @param file name for error messages
 * @throws DataError if the header is another, or if it does not agree with the number of bytes
 */
export function parseIdxLabels(bytes: Uint8Array, file: string): Uint8Array {
  return parseIdx(bytes, file, 'labels', [LABELS_MAGIC]).body;
}

function parseIdx(
  bytes: Uint8Array,
  file: string,
  what: string,
  magics: readonly number[],
): { dimensions: number[]; body: Uint8Array } {
  const expected = `an IDX file of ${what} (it begins with ${magics.map(hex).join(' or ')})`;
  if (bytes.length < 4) throw damaged(file, expected, `${bytes.length} bytes in all`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0);
  if (!magics.includes(magic)) throw damaged(file, expected, `${hex(magic)}${meaning(bytes, magic)}`);

  const rank = magic & 0xff;
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) {
    throw damaged(file, `a header of ${headerBytes} bytes`, `${bytes.length} bytes in all: it is cut short`);
  }
  const dimensions = Array.from({ length: rank }, (_, index) => view.getUint32(4 + 4 * index));
  const shape = dimensions.join(' x ');
  if (dimensions.includes(0)) throw damaged(file, `at least one byte of ${what}`, `${shape} in its header`);

  // Beyond 2^53 the product is rounded, but then no file is as long either.
  const expectedBytes = headerBytes + sizeOf(dimensions);
  if (bytes.length !== expectedBytes) {
    const difference =
      bytes.length < expectedBytes
        ? `it is cut short by ${expectedBytes - bytes.length}`
        : `${bytes.length - expectedBytes} too many at its end`;
    throw damaged(
      file,
      `${expectedBytes} bytes (its header says ${shape})`,
      `${bytes.length} bytes: ${difference}`,
    );
  }
  return { dimensions, body: bytes.subarray(headerBytes) };
}

function hex(magic: number): string {
  return `0x${magic.toString(16).padStart(8, '0')}`;
}

/** Names the mix-ups that happen: images and labels exchanged, or a web page saved as the file. */
function meaning(bytes: Uint8Array, magic: number): string {
  if (magic === LABELS_MAGIC) return ', which is a file of labels';
  if (magic === IMAGES_MAGIC || magic === COLOUR_IMAGES_MAGIC) return ', which is a file of images';
  const start = bytes.subarray(0, 12);
  const printable = start.every((byte) => byte >= 0x20 && byte < 0x7f);
  return printable ? `: text that begins with "${String.fromCharCode(...start)}"` : '';
}
