import { basename } from 'node:path';
import {
  imageDataset,
  type Dataset,
  type LabeledImages,
  type StoredDataset,
  type StoredSplit,
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

/** A data set of which the test part may be missing. */
export interface UndividedDataset extends Omit<StoredDataset, 'test'> {
  readonly test: StoredSplit | null;
}

interface ReadSplit extends LabeledImages {
  readonly sampleShape: readonly number[];
}

/**
 * Assembles a data set from the arrays of its splits.
 *
 * @param arrays `test` is null if there is none
 * @param note called with a line about each file whose format was guessed
 * @throws DataError if an array does not hold images or labels, or if the four arrays do not fit each other
 */
export function assembleDataset(
  arrays: { readonly train: SplitArrays; readonly test: SplitArrays },
  about: Pick<Dataset, 'name' | 'description'>,
  note: (line: string) => void,
): StoredDataset;
export function assembleDataset(
  arrays: { readonly train: SplitArrays; readonly test: SplitArrays | null },
  about: Pick<Dataset, 'name' | 'description'>,
  note: (line: string) => void,
): UndividedDataset;
export function assembleDataset(
  arrays: { readonly train: SplitArrays; readonly test: SplitArrays | null },
  about: Pick<Dataset, 'name' | 'description'>,
  note: (line: string) => void,
): UndividedDataset {
  const train = readSplit(arrays.train, note);
  const test = arrays.test === null ? null : readSplit(arrays.test, note);
  const trainShape = train.sampleShape.join(' x ');
  const testShape = test?.sampleShape.join(' x ') ?? trainShape;
  if (trainShape !== testShape) {
    throw invalidFileError(
      arrays.test?.images.path ?? '',
      `images of ${trainShape} like the training images`,
      testShape,
      'Use training and test images of one size.',
    );
  }
  const labeled = ({ images, labels, count }: LabeledImages): LabeledImages => ({ images, labels, count });
  const dataset = imageDataset({
    ...about,
    sampleShape: train.sampleShape,
    classes: Math.max(2, countClasses(train), test === null ? 0 : countClasses(test)),
    train: labeled(train),
    test: labeled(test ?? train),
  });
  return test === null ? { ...dataset, test: null } : dataset;
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
