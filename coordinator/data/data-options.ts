import type { ColumnType } from '../../shared/data/preprocessing.ts';

/** Formats of data files that `--format` names. */
export const DATA_FORMATS = ['idx', 'images', 'csv', 'tsv', 'npy', 'npz', 'parquet', 'text'] as const;
export type DataFormat = (typeof DATA_FORMATS)[number];

/** Ways to give an image the shape of `imageSize`. */
export const IMAGE_FITS = ['crop', 'pad', 'stretch'] as const;
export type ImageFit = (typeof IMAGE_FITS)[number];

/** Fraction of the training samples that is used for validation if a source has no test part. */
export const DEFAULT_VALIDATION_SPLIT = 0.2;

/** Tokens of a sample of text. */
export const DEFAULT_SEQUENCE_LENGTH = 64;

/**
 * The data to train on and how it is read: what `--data` and its related options, or a task's `data`, mean.
 * @example
 * ```ts
 * const data: DataOptions = { source: 'iris.csv', target: 'species', seed: 1337 };
 * ```
 */
export interface DataOptions {
  /** Folder, file, archive, or a name such as 'fashion-mnist'. @default MNIST */
  readonly source?: string | undefined;
  /** @default detected by names and contents */
  readonly format?: DataFormat | undefined;
  /** File or folder of the test samples, if the source has none. */
  readonly test?: string | undefined;
  /** Fraction of the training samples, stratified by class. @default 0.2 if there is no test part */
  readonly validationSplit?: number | undefined;
  /** Maximum number of training samples: the first ones are used. */
  readonly limit?: number | undefined;
  /** Exchange rows and columns of each image. */
  readonly transpose?: boolean | undefined;
  readonly seed: number;
  /** Height and width. */
  readonly imageSize?: readonly [number, number] | undefined;
  readonly channels?: 1 | 3 | 4 | undefined;
  readonly fit?: ImageFit | undefined;
  /** Columns to predict. @default a column named label, target, class, y or species, else the last one */
  readonly target?: string | readonly string[] | undefined;
  /** Columns that are not read. */
  readonly ignore?: readonly string[] | undefined;
  /** Types of columns for which the detected one is wrong. */
  readonly types?: Readonly<Record<string, ColumnType>> | undefined;
  /** A tokenizer.json of Hugging Face. @default characters, or the words of a column of text */
  readonly tokenizer?: string | undefined;
  /** Tokens of a sample of text. @default 64 */
  readonly sequenceLength?: number | undefined;
}
