import { pickSamples, type Shard } from './shard.ts';
import type { Preprocessing } from './preprocessing.ts';
import { imageTensors, sampleSize, type TensorSpec, type TensorValues } from '../model/tensors.ts';

/** Samples in memory: for each input and target the stored values of all samples, [count, ...shape], row-major. */
export interface StoredSplit extends Omit<Shard, 'sampleNumbers'> {
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
  /** Whether every sample has a weight. @default false */
  readonly hasWeights?: boolean;
  /** Identifies the contents: files with sizes and times of change, and how they are read. */
  readonly digest: string;
}

/** Samples to train on, or to validate on. */
export type Split = StoredSplit | LazySplit;

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

/** Data set in memory. */
export interface StoredDataset extends Dataset {
  readonly train: StoredSplit;
  readonly test: StoredSplit;
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

/** Whether samples are read when they are needed. */
export const isLazy = (split: Split): split is LazySplit => 'read' in split;

/**
 * Samples `numbers` of a split, in this order.
 * @returns at once if the split is in memory
 * @throws DataError if a sample cannot be read
 * @example
 * ```ts
 * const { inputs, targets } = await readSamples(dataset.train, Uint32Array.of(5, 0));
 * ```
 */
export function readSamples(split: StoredSplit, numbers: Uint32Array): Shard;
export function readSamples(split: Split, numbers: Uint32Array): Shard | Promise<Shard>;
export function readSamples(split: Split, numbers: Uint32Array): Shard | Promise<Shard> {
  return isLazy(split) ? split.read(numbers) : pickSamples(split, numbers);
}

/** Whether every sample of a split has a weight. */
export const hasWeights = (split: Split): boolean =>
  isLazy(split) ? split.hasWeights === true : split.weights !== undefined;

/** All samples of a split in memory, without a copy. */
export const wholeSplit = ({ inputs, targets, weights, count }: StoredSplit): Shard => ({
  sampleNumbers: Uint32Array.from({ length: count }, (_, i) => i),
  inputs,
  targets,
  ...(weights === undefined ? {} : { weights }),
});

/** Split whose samples are changed after they are read. @param change what `transform` does, for the digest */
export const transformSplit = (
  split: LazySplit,
  change: string,
  transform: (shard: Shard) => Shard,
): LazySplit => ({
  ...split,
  read: async (numbers) => transform(await split.read(numbers)),
  digest: `${split.digest} ${change}`,
});

/** Split with images as its input and classes as its target. */
export const imageSplit = ({ images, labels, count }: LabeledImages): StoredSplit => ({
  inputs: [images],
  targets: [labels],
  count,
});

/** Data set of images that are classified. */
export function imageDataset({ sampleShape, classes, train, test, ...about }: ImageDataset): StoredDataset {
  return {
    ...about,
    ...imageTensors(sampleShape, classes),
    train: imageSplit(train),
    test: imageSplit(test),
  };
}

/** Images and classes of a data set in memory; null if its samples are others, or are read when they are needed. */
export function asImages(dataset: Dataset): ImageDataset | null {
  const { inputs, targets, train, test, ...about } = dataset;
  const [input, ...otherInputs] = inputs;
  const [target, ...otherTargets] = targets;
  if (input === undefined || otherInputs.length > 0 || target === undefined || otherTargets.length > 0)
    return null;
  if (isLazy(train) || isLazy(test)) return null;
  if (input.dtype !== 'uint8' || input.shape.length !== 3 || target.classes === undefined) return null;
  if (target.shape.length > 0 || target.dtype !== 'uint8') return null;
  const labeled = ({ inputs: [images], targets: [labels], count }: StoredSplit): LabeledImages => ({
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
export function limitTrainSamples(dataset: StoredDataset, trainCount: number): StoredDataset;
export function limitTrainSamples(dataset: Dataset, trainCount: number): Dataset;
export function limitTrainSamples(dataset: Dataset, trainCount: number): Dataset {
  checkTrainLimit(trainCount);
  const { train, inputs, targets } = dataset;
  if (trainCount >= train.count) return dataset;
  if (isLazy(train)) {
    const { labels, digest } = train;
    const known = labels === undefined ? {} : { labels: labels.subarray(0, trainCount) };
    return {
      ...dataset,
      train: { ...train, ...known, count: trainCount, digest: `${digest} ${trainCount}` },
    };
  }
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
