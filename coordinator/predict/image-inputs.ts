import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PNG } from 'pngjs';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { readError } from '../data/data-file.ts';
import { decodeFile, describeImageError, MAX_IMAGE_FILE_BYTES } from '../data/image-source.ts';
import { decodeImage, readImageHeader } from '../data/images/decode-image.ts';
import { detectImageType, hasImageName } from '../data/images/image-type.ts';
import { rawPath } from '../data/images/raw-path.ts';
import { readRegularFile } from '../files/read-file.ts';
import { sampleFromPicture, type Picture } from './digit-image.ts';
import { otherKindError, type PredictingModel, type SampleSource } from './inputs.ts';

/** Images that are decoded at once. */
const DECODES_AT_ONCE = 8;
/** A decoded image with more pixels could fill the memory. */
const MAX_PIXELS = 64 << 20;
const PNG_SIZE_AT = 16;
const PNG_INTERLACE_AT = 28;

/**
 * Images as samples: decoded as in training if the model has preprocessing of images, else treated like the digits of MNIST.
 * @param files paths as the person gave them
 * @throws DataError if the model takes no images
 */
export function imageInputs(files: readonly string[], model: PredictingModel): SampleSource {
  const { job, metadata } = model;
  const [input, ...others] = job.inputs;
  const shape = input?.shape ?? [];
  if (input?.dtype !== 'uint8' || shape.length !== 3 || others.length > 0) {
    throw otherKindError(`${sanitizeForTerminal(files[0] ?? '')} is an image`, model);
  }
  const { preprocessing } = metadata;
  const decode = async (file: string): Promise<Uint8Array> => {
    if (preprocessing?.kind === 'image')
      return decodeFile(rawPath(dirname(file)), rawPath(basename(file)), preprocessing);
    return sampleFromPicture(await readPicture(file), shape);
  };
  const size = shape.reduce((product, side) => product * side, 1);
  return {
    count: files.length,
    place: (number) => ({ file: sanitizeForTerminal(files[number] ?? '') }),
    async read(from, to) {
      const values = new Uint8Array((to - from) * size);
      for (let start = from; start < to; start += DECODES_AT_ONCE) {
        const part = files.slice(start, Math.min(to, start + DECODES_AT_ONCE));
        const samples = await Promise.all(part.map(decode));
        for (const [i, sample] of samples.entries()) values.set(sample, (start - from + i) * size);
      }
      return [values];
    },
  };
}

/** Images in a folder and the folders in it, in the order of their names. @throws DataError if there is none */
export async function imagesInFolder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    throw readError(folder, error);
  });
  const files = entries
    .filter((entry) => !entry.isDirectory() && hasImageName(entry.name) && !entry.name.startsWith('.'))
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted((a, b) => (a < b ? -1 : 1));
  if (files.length > 0) return files;
  throw new DataError(
    `${sanitizeForTerminal(folder)} has no images. Name a folder of images, or a file of another kind itself.`,
  );
}

/**
 * Reads an image with the pixels that it has. PNG needs no other package.
 * @throws DataError that names the file
 */
export async function readPicture(file: string): Promise<Picture> {
  const shown = sanitizeForTerminal(file);
  let bytes: Buffer | null = null;
  try {
    bytes = await readRegularFile(file, MAX_IMAGE_FILE_BYTES);
    if (isPlainPng(bytes)) return decodePng(bytes, shown);
    const { height, width } = await readImageHeader(bytes);
    const rgba = await decodeImage(bytes, { size: [height, width], channels: 4, fit: 'stretch' });
    return { width, height, rgba };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new DataError(`${shown}: the file does not exist. Check the path.`, { cause: error });
    throw describeImageError(rawPath(file), error, bytes);
  }
}

/**
 * Whether pngjs decodes an image with no more memory than its header says. It unpacks an interlaced image to any size, and follows the
 * last of several headers; such images are left to sharp.
 */
function isPlainPng(bytes: Buffer): boolean {
  return (
    detectImageType(bytes) === 'png' &&
    bytes[PNG_INTERLACE_AT] === 0 &&
    bytes.indexOf('IHDR', PNG_SIZE_AT) === -1
  );
}

function decodePng(bytes: Buffer, shown: string): Picture {
  const width = bytes.readUInt32BE(PNG_SIZE_AT);
  const height = bytes.readUInt32BE(PNG_SIZE_AT + 4);
  if (width * height > MAX_PIXELS)
    throw invalidFileError(
      shown,
      `an image of at most ${MAX_PIXELS} pixels`,
      `${width} x ${height}`,
      'Make it smaller.',
    );
  try {
    const { width: decodedWidth, height: decodedHeight, data } = PNG.sync.read(bytes);
    return { width: decodedWidth, height: decodedHeight, rgba: data };
  } catch (error) {
    throw invalidFileError(
      shown,
      'an image',
      `a damaged PNG (${sanitizeForTerminal(errorMessage(error))})`,
      'Save it again.',
    );
  }
}
