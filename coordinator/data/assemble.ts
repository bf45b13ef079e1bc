import { basename } from 'node:path';
import {
  imageDataset,
  type Dataset,
  type LabeledImages,
  type StoredDataset,
} from '../../shared/data/dataset.ts';
import { invalidFileError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';
import { toImages } from './to-images.ts';
import { toLabels } from './to-labels.ts';

/** Images and labels of a split, as stored in the files. */
export interface SplitArrays {
  readonly images: DataArray;
  readonly labels: DataArray;
}

interface ReadSplit extends LabeledImages {
  readonly sampleShape: readonly number[];
}

/**
 * Assembles a data set from the arrays of two splits.
 *
 * @param note called with a line about each file whose format was guessed
 * @throws DataError if an array does not hold images or labels, or if the four arrays do not fit each other
 */
export function assembleDataset(
  arrays: { readonly train: SplitArrays; readonly test: SplitArrays },
  about: Pick<Dataset, 'name' | 'description'>,
  note: (line: string) => void,
): StoredDataset {
  const train = readSplit(arrays.train, note);
  const test = readSplit(arrays.test, note);
  const trainShape = train.sampleShape.join(' x ');
  const testShape = test.sampleShape.join(' x ');
  if (trainShape !== testShape) {
    throw invalidFileError(
      arrays.test.images.path,
      `images of ${trainShape} like the training images`,
      testShape,
      'Use training and test images of one size.',
    );
  }
  return imageDataset({
    ...about,
    sampleShape: train.sampleShape,
    classes: Math.max(2, countClasses(train), countClasses(test)),
    train: { images: train.images, labels: train.labels, count: train.count },
    test: { images: test.images, labels: test.labels, count: test.count },
  });
}

function readSplit({ images, labels }: SplitArrays, note: (line: string) => void): ReadSplit {
  const { notes: imageNotes, ...parsedImages } = toImages(images);
  const { notes: labelNotes, labels: parsedLabels } = toLabels(labels);
  if (parsedLabels.length !== parsedImages.count) {
    throw invalidFileError(
      labels.path,
      `${parsedImages.count} labels, one for each image in ${basename(images.path)}`,
      `${parsedLabels.length}`,
      'Use images and labels that belong together.',
    );
  }
  for (const line of [...imageNotes, ...labelNotes]) note(line);
  return { ...parsedImages, labels: parsedLabels };
}

const countClasses = ({ labels }: LabeledImages): number =>
  labels.reduce((highest, label) => Math.max(highest, label), 0) + 1;
