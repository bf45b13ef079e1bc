import type { Preprocessing } from './preprocessing.ts';
import type { Shard } from './shard.ts';
import { imageTensors, sampleSize, type TensorSpec, type TensorValues } from '../model/tensors.ts';

/** Samples in memory: for each input and target the stored values of all samples, [count, ...shape], row-major. */
export interface Split extends Omit<Shard, 'sampleNumbers'> {
  readonly count: number;
}

/** Samples that are read by number when they are needed, such as images on disk. */
export interface LazySplit {
  readonly count: number;
  /**
   * Reads samples. Several calls may be in progress.
   * @param numbers sample numbers below `count`, in any order
   * @returns values in the order of `numbers`
   * @throws DataError that names the file and the row
   */
  read(numbers: Uint32Array): Promise<Shard>;
  /** Class of each sample, if the first target is a class and is known without reading samples. */
  readonly labels?: Uint8Array | Int32Array;
  /** Identifies the contents: files with sizes and times of change, and how they are read. */
  readonly digest: string;
}

export interface Dataset {
  /** 'mnist', 'drawn-digits', or the folder's name for a user's own files. */
  readonly name: string;
  /** One sentence for the user: contents and source. */
  readonly description: string;
  /** At least one. An image of bytes is scaled by 1 / 255 unless the model scales it itself. */
  readonly inputs: readonly TensorSpec[];
  /** A class number has `classes`. */
  readonly targets: readonly TensorSpec[];
  /** Names of the classes of the first target, if they have any. */
  readonly classNames?: readonly string[];
  readonly train: Split;
  readonly test: Split;
  /** How raw files became these samples; it is saved with the model. */
  readonly preprocessing?: Preprocessing;
  /** Whether the file names indicate that rows and columns of the stored images are exchanged. */
  readonly looksTransposed?: boolean;
  /** Whether gradcast exchanged the rows and columns of the stored images. */
  readonly isTransposed?: boolean;
}

/** Images and their classes. */
export interface LabeledImages {
  /** [count, ...sampleShape] bytes, row-major, 0 to 255. */
  readonly images: Uint8Array;
  /** Class number of each sample. */
  readonly labels: Uint8Array;
  readonly count: number;
}

export interface ImageDataset extends Omit<Dataset, 'inputs' | 'targets' | 'train' | 'test'> {
  /** [height, width, channels], for example [28, 28, 1]. */
  readonly sampleShape: readonly number[];
  readonly classes: number;
  readonly train: LabeledImages;
  readonly test: LabeledImages;
}

/** Split with images as its input and classes as its target. */
export const imageSplit = ({ images, labels, count }: LabeledImages): Split => ({
  inputs: [images],
  targets: [labels],
  count,
});

/** Data set of images that are classified. */
export function imageDataset({ sampleShape, classes, train, test, ...about }: ImageDataset): Dataset {
  return {
    ...about,
    ...imageTensors(sampleShape, classes),
    train: imageSplit(train),
    test: imageSplit(test),
  };
}

/** Images and classes of a data set; null if its samples are others. */
export function asImages(dataset: Dataset): ImageDataset | null {
  const { inputs, targets, train, test, ...about } = dataset;
  const [input, ...otherInputs] = inputs;
  const [target, ...otherTargets] = targets;
  if (input === undefined || otherInputs.length > 0 || target === undefined || otherTargets.length > 0)
    return null;
  if (input.dtype !== 'uint8' || input.shape.length !== 3 || target.classes === undefined) return null;
  if (target.shape.length > 0 || target.dtype !== 'uint8') return null;
  const labeled = ({ inputs: [images], targets: [labels], count }: Split): LabeledImages => ({
    images: images as Uint8Array,
    labels: labels as Uint8Array,
    count,
  });
  return {
    ...about,
    sampleShape: input.shape,
    classes: target.classes,
    train: labeled(train),
    test: labeled(test),
  };
}

/**
 * Data set with only the first `trainCount` training samples, as views. The test split stays complete so that accuracies
 * remain comparable. A limit at or above the number of samples changes nothing.
 *
 * @throws RangeError if trainCount is not a whole number of at least 1
 */
export function limitTrainSamples(dataset: Dataset, trainCount: number): Dataset {
  checkTrainLimit(trainCount);
  const { train, inputs, targets } = dataset;
  if (trainCount >= train.count) return dataset;
  const first = (values: TensorValues, spec: TensorSpec | undefined): TensorValues =>
    values.subarray(0, trainCount * (spec === undefined ? 0 : sampleSize(spec)));
  return {
    ...dataset,
    train: {
      inputs: train.inputs.map((values, i) => first(values, inputs[i])),
      targets: train.targets.map((values, i) => first(values, targets[i])),
      ...(train.weights === undefined ? {} : { weights: train.weights.subarray(0, trainCount) }),
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
