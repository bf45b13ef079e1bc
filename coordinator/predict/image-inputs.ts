import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PNG } from 'pngjs';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { readError } from '../data/data-file.ts';
import type { DataReporter } from '../data/data-reporter.ts';
import { decodeFile, describeImageError, MAX_IMAGE_FILE_BYTES } from '../data/image-source.ts';
import { decodeImage, readImageHeader, type ImageOptions } from '../data/images/decode-image.ts';
import { detectImageType, hasImageName } from '../data/images/image-type.ts';
import { rawPath } from '../data/images/raw-path.ts';
import { readRegularFile } from '../files/read-file.ts';
import { sampleFromPicture, takesDigits, type Picture } from './digit-image.ts';
import { otherKindError, type PredictingModel, type SampleSource } from './inputs.ts';

/** Channels that an image has. */
const CHANNELS = [1, 3, 4] as const;
/** Images that are decoded at once. */
const DECODES_AT_ONCE = 8;
/** A decoded image with more pixels could fill the memory. */
const MAX_PIXELS = 64 << 20;
const PNG_SIZE_AT = 16;
const PNG_INTERLACE_AT = 28;

/**
 * Way from an image to a sample of a model: as in training, else scaled to the size of its samples.
 * @param found the data, as subject and verb
 * @throws DataError if the model takes no images
 */
export function decodingOf(model: PredictingModel, found: string): ImageOptions {
  const [input, ...others] = model.job.inputs;
  const [height = 0, width = 0, depth] = input?.shape ?? [];
  const channels = CHANNELS.find((count) => count === depth);
  if (input?.dtype !== 'uint8' || input.shape.length !== 3 || others.length > 0 || channels === undefined)
    throw otherKindError(found, model);
  const { preprocessing } = model.metadata;
  return preprocessing?.kind === 'image' ? preprocessing : { size: [height, width], channels, fit: 'crop' };
}

/**
 * Images as samples: decoded as in training. A model of MNIST's digits without such settings gets them as digits of MNIST.
 * @param files paths as the person gave them
 * @throws DataError if the model takes no images
 */
export function imageInputs(
  files: readonly string[],
  model: PredictingModel,
  report: Pick<DataReporter, 'info'>,
): SampleSource {
  const { job, metadata } = model;
  const decoding = decodingOf(model, `${sanitizeForTerminal(files[0] ?? '')} is an image`);
  const { size: sides, channels } = decoding;
  const shape = [...sides, channels];
  const isTrainedOnFiles = metadata.preprocessing?.kind === 'image';
  const areDigits = !isTrainedOnFiles && takesDigits(job);
  if (!isTrainedOnFiles && !areDigits)
    report.info(`Images are scaled to ${sides.join(' x ')}; light and dark are taken as they are.`);
  const decode = async (file: string): Promise<Uint8Array> =>
    areDigits
      ? sampleFromPicture(await readPicture(file), shape)
      : decodeFile(rawPath(dirname(file)), rawPath(basename(file)), decoding);
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
