import { basename } from 'node:path';
import type { Dataset, Split } from '../../shared/data/dataset.ts';
import { damaged, DataError, parseIdxImages, parseIdxLabels, REPLACE_FILE } from '../../shared/data/idx.ts';
import { readableText } from '../../shared/protocol/readable.ts';
import { diskProblem } from './disk-error.ts';
import { unpackIdx } from './gunzip.ts';
import { locate } from './locate.ts';
import { isPublished, MNIST_FILES, ROLES, type ByRole } from './mnist-files.ts';
import { readRegularFile } from './read-file.ts';

/** Data sets of this kind have up to 200 classes (Tiny ImageNet); a higher label marks damage or "no class". */
const MAX_CLASSES = 200;

/** A file's contents, uncompressed, with the name that the person knows it by. */
export interface NamedBytes {
  readonly file: string;
  readonly bytes: Uint8Array;
}

/**
 * The data set in a folder of four IDX files, each bare or gzipped. Its name is 'mnist' only if all four have
 * the published contents, else 'idx:<folder name>'.
 *
 * @param folder an absolute path
 * @param said how the person named the folder, for example '--data'
 * @throws DataError if a file is missing or damaged, or if the four do not go together
 */
export async function readFolder(folder: string, said: string): Promise<Dataset> {
  const paths = await locate(folder, said);
  const files: ByRole<NamedBytes> = {
    trainImages: await readUnpacked(paths.trainImages),
    trainLabels: await readUnpacked(paths.trainLabels),
    testImages: await readUnpacked(paths.testImages),
    testLabels: await readUnpacked(paths.testLabels),
  };
  if (ROLES.every((role) => isPublished(files[role].bytes, MNIST_FILES[role]))) {
    return assemble(files, 'mnist', `MNIST handwritten digits, from ${folder}.`);
  }
  // A job's name of data has a bound, a folder's name a higher one.
  return assemble(
    files,
    `idx:${readableText(basename(folder)).slice(0, 150)}`,
    `The IDX files in ${folder}, which are not MNIST.`,
  );
}

/** @throws DataError if the file cannot be read, or is gzip and damaged */
export async function readUnpacked(path: string): Promise<NamedBytes> {
  let packed: Buffer;
  try {
    packed = await readRegularFile(path);
  } catch (error) {
    throw new DataError(`${path}: cannot be read (${diskProblem(error)}). ${REPLACE_FILE}`);
  }
  const bytes = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  return { file: path, bytes: await unpackIdx(bytes, path) };
}

/** @throws DataError if a file is not IDX, or if the four do not go together */
export function assemble(files: ByRole<NamedBytes>, name: string, description: string): Dataset {
  const train = split(files.trainImages, files.trainLabels);
  const test = split(files.testImages, files.testLabels);
  const trainShape = train.sampleShape.join(' x ');
  const testShape = test.sampleShape.join(' x ');
  if (trainShape !== testShape) {
    throw damaged(files.testImages.file, `images of ${trainShape} like the training images`, testShape);
  }
  return {
    name,
    description,
    sampleShape: train.sampleShape,
    classes: Math.max(2, classesOf(files.trainLabels.file, train), classesOf(files.testLabels.file, test)),
    train: { images: train.images, labels: train.labels, count: train.count },
    test: { images: test.images, labels: test.labels, count: test.count },
  };
}

function split(imageFile: NamedBytes, labelFile: NamedBytes): Split & { sampleShape: readonly number[] } {
  const images = parseIdxImages(imageFile.bytes, imageFile.file);
  const labels = parseIdxLabels(labelFile.bytes, labelFile.file);
  if (labels.length !== images.count) {
    throw damaged(
      labelFile.file,
      `${images.count} labels, one for each image in ${basename(imageFile.file)}`,
      `${labels.length}`,
    );
  }
  return { ...images, labels };
}

function classesOf(file: string, { labels }: Split): number {
  const classes = labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  if (classes > MAX_CLASSES) {
    throw damaged(file, `labels from 0 to at most ${MAX_CLASSES - 1}`, `label ${classes - 1}`);
  }
  return classes;
}
