import { sizeOf } from '../model/layout.ts';

/** Samples and their labels, as they lie in memory. */
export interface Split {
  /** count x the product of the sample shape bytes, row-major, 0 to 255. */
  readonly images: Uint8Array;
  /** One class number a sample. */
  readonly labels: Uint8Array;
  readonly count: number;
}

export interface Dataset {
  /** 'mnist', 'drawn-digits', or the folder's name for a person's own files. */
  readonly name: string;
  /** One sentence for the person: what it is and where it came from. */
  readonly description: string;
  /** [height, width, channels], for example [28, 28, 1]. */
  readonly sampleShape: readonly number[];
  readonly classes: number;
  readonly train: Split;
  readonly test: Split;
  /** Whether the names of the files say that rows and columns of their images are exchanged. */
  readonly looksTransposed?: boolean;
  /** Whether rows and columns of the stored images were exchanged by gradcast. */
  readonly isTransposed?: boolean;
}

/**
 * The data set with only its first `trainCount` training samples; the test split stays whole, so that
 * accuracies remain comparable. A limit at or above the number of samples changes nothing. Views, no copies.
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
 * For those who want to know before they load anything.
 *
 * @throws RangeError if trainCount is not a whole number of at least 1
 */
export function checkTrainLimit(trainCount: number): void {
  if (Number.isInteger(trainCount) && trainCount >= 1) return;
  throw new RangeError(
    `A limit is a whole number of training samples, 1 or more; this one is ${trainCount}.`,
  );
}
