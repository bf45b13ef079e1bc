import { sizeOf } from '../model/layout.ts';

/** Samples and their labels in memory. */
export interface Split {
  /** [count, ...sampleShape] bytes, row-major, 0 to 255. */
  readonly images: Uint8Array;
  /** Class number of each sample. */
  readonly labels: Uint8Array;
  readonly count: number;
}

export interface Dataset {
  /** 'mnist', 'drawn-digits', or the folder's name for a user's own files. */
  readonly name: string;
  /** One sentence for the user: contents and source. */
  readonly description: string;
  /** [height, width, channels], for example [28, 28, 1]. */
  readonly sampleShape: readonly number[];
  readonly classes: number;
  readonly train: Split;
  readonly test: Split;
  /** Whether the file names indicate that rows and columns of the stored images are exchanged. */
  readonly looksTransposed?: boolean;
  /** Whether gradcast exchanged the rows and columns of the stored images. */
  readonly isTransposed?: boolean;
}

/**
 * Data set with only the first `trainCount` training samples, as views. The test split stays complete so that accuracies
 * remain comparable. A limit at or above the number of samples changes nothing.
 *
 * @throws RangeError if trainCount is not a whole number of at least 1
 */
export function limitTrainSamples(dataset: Dataset, trainCount: number): Dataset {
  checkTrainLimit(trainCount);
  const { train, sampleShape } = dataset;
  if (trainCount >= train.count) return dataset;
  return {
    ...dataset,
    train: {
      images: train.images.subarray(0, trainCount * sizeOf(sampleShape)),
      labels: train.labels.subarray(0, trainCount),
      count: trainCount,
    },
  };
}

/**
 * Checks the limit of limitTrainSamples before the data set is loaded.
 *
 * @throws RangeError if trainCount is not a whole number of at least 1
 */
export function checkTrainLimit(trainCount: number): void {
  if (Number.isInteger(trainCount) && trainCount >= 1) return;
  throw new RangeError(
    `A limit is a whole number of training samples, 1 or more; this one is ${trainCount}.`,
  );
}
