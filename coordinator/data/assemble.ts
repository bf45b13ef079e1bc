import { basename } from 'node:path';
import type { Dataset, Split } from '../../shared/data/dataset.ts';
import { invalidFileError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';
import { toImages } from './to-images.ts';
import { toLabels } from './to-labels.ts';

/** Images and labels as the files have them. */
export interface SplitArrays {
  readonly images: DataArray;
  readonly labels: DataArray;
}

interface ReadSplit extends Split {
  readonly sampleShape: readonly number[];
}

/**
 * A data set of two splits.
 *
 * @param note hears how files were read, where that is not plain
 * @throws DataError if an array is no images or no labels, or if the four do not go together
 */
export function assembleDataset(
  arrays: { readonly train: SplitArrays; readonly test: SplitArrays },
  about: Pick<Dataset, 'name' | 'description'>,
  note: (line: string) => void,
): Dataset {
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
  return {
    ...about,
    sampleShape: train.sampleShape,
    classes: Math.max(2, countClasses(train), countClasses(test)),
    train: { images: train.images, labels: train.labels, count: train.count },
    test: { images: test.images, labels: test.labels, count: test.count },
  };
}

function readSplit({ images, labels }: SplitArrays, note: (line: string) => void): ReadSplit {
  const { notes, ...pictures } = toImages(images);
  const classes = toLabels(labels);
  if (classes.labels.length !== pictures.count) {
    throw invalidFileError(
      labels.path,
      `${pictures.count} labels, one for each image in ${basename(images.path)}`,
      `${classes.labels.length}`,
      'Use images and labels that belong together.',
    );
  }
  for (const line of [...notes, ...classes.notes]) note(line);
  return { ...pictures, labels: classes.labels };
}

const countClasses = ({ labels }: Split): number =>
  labels.reduce((most, label) => Math.max(most, label), 0) + 1;
