import { readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { DEFAULT_VALIDATION_SPLIT, type DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { datasetName, parseRole } from './file-names.ts';
import { findFiles } from './find-files.ts';
import { readCifar } from './read-cifar.ts';
import { openImageFolder } from './image-folder.ts';
import { hasImageName } from './images/image-type.ts';
import { looksLikeImageFolder } from './list-images.ts';
import { loadTables } from './load-tables.ts';
import { applicableOptions, refuseOtherOptions, type ContentOptions } from './option-uses.ts';
import { readFolder } from './read-folder.ts';
import { withValidationSplit } from './validation-split.ts';

export interface OpenSourceOptions extends Omit<DataOptions, 'source'>, MeasuredModel {
  /** Absolute path. */
  readonly path: string;
  /** Option or variable that named the path, for example '--data'. */
  readonly option: string;
  readonly cacheDir: string;
  /** Limit of the cache of decoded images; 0 for no cache. */
  readonly maxCacheBytes?: number | undefined;
  readonly report: DataReporter;
  readonly signal?: AbortSignal | undefined;
}

/** A saved model that is measured on the data. */
export interface MeasuredModel {
  /** Preprocessing of the model. @default made from the training part */
  readonly preprocessing?: Preprocessing | undefined;
  /** Names of the model's classes. @default those of the data */
  readonly classNames?: readonly string[] | undefined;
  /** Tensors of the model's targets. @default chosen by the data */
  readonly modelTargets?: readonly TensorSpec[] | undefined;
  /** Options of the data that the model was trained on, which are used unless others are given. */
  readonly trainedWith?: ContentOptions | undefined;
  /** Whether only test samples count, because a saved model is measured. @default false */
  readonly isMeasured?: boolean | undefined;
  /** Whether all samples of data without a test part are measured. @default the part that training would leave out */
  readonly measuresAll?: boolean | undefined;
}

/**
 * Opens the data set in a folder or file: folders of images, tables, arrays, text, CIFAR or IDX files, by what is there or by --format.
 * @throws DataError if there is no data set, or if an option cannot be applied to it
 */
export async function openSource(options: OpenSourceOptions): Promise<Dataset> {
  const { isMeasured, measuresAll, test, validationSplit, preprocessing } = options;
  if (preprocessing !== undefined) refuseOtherOptions(options, preprocessing);
  if (test !== undefined && options.validationSplit !== undefined) {
    throw new DataError(
      '--test-data and --validation-split both say what to validate on. Leave one of them out.',
    );
  }
  if (isMeasured === true && test !== undefined) {
    return openPart({
      ...options,
      path: resolve(test),
      option: '--test-data',
      test: undefined,
      isTest: true,
    });
  }
  return openPart({ ...options, isTest: measuresAll === true && validationSplit === undefined });
}

/** @param options `isTest` says that all samples are to test on, if there is no test part */
async function openPart(
  options: OpenSourceOptions & { readonly isTest?: boolean | undefined },
): Promise<Dataset> {
  const { path, option, format, test, report } = options;
  const name = datasetName(path);
  const isImages = format === 'images' || (format === undefined && (await hasImagesOnly(path)));
  if (isImages) {
    const used = applicableOptions('folder', path, options);
    const saved = options.preprocessing?.kind === 'image' ? options.preprocessing : undefined;
    return openImageFolder({
      ...used,
      folder: path,
      name,
      testFolder: test === undefined ? undefined : resolve(test),
      imageSize: saved?.size ?? used.imageSize,
      channels: saved?.channels ?? used.channels,
      fit: saved?.fit ?? used.fit,
    });
  }
  const description = `Your own data, from ${sanitizeForTerminal(path)}.`;
  const cifar = format === undefined ? await readCifar(path, { name, description }) : null;
  if (cifar !== null) {
    applicableOptions('cifar', path, options);
    refuseTestData(path, options, 'CIFAR', 'test_batch.bin or test.bin as their name');
    return divideIfAsked(cifar, options);
  }
  const table = await loadTables(path, options, report, option);
  if (table !== null) return table;
  // Before its options, a path with nothing there is the error.
  await findFiles(path, option);
  applicableOptions('idx', path, options);
  refuseTestData(path, options, 'IDX', 'test or t10k in their names');
  return divideIfAsked(await readFolder(path, option, report, options.isTest), options);
}

/** @throws DataError if test samples are named apart from files that have their own place for them */
function refuseTestData(
  path: string,
  { test }: Pick<DataOptions, 'test'>,
  format: string,
  names: string,
): void {
  if (test === undefined) return;
  throw new DataError(
    `--test-data is for images and tables; ${format} files of test samples lie beside those to train on. Put them into ${sanitizeForTerminal(path)}, with ${names}.`,
  );
}

/** Divides the training samples if there is no test part, or if the person asks for it. */
export function divideIfAsked(
  { test, ...dataset }: Omit<Dataset, 'test'> & { readonly test: Dataset['test'] | null },
  {
    validationSplit,
    seed,
    report,
    isTest,
  }: Pick<OpenSourceOptions, 'validationSplit' | 'seed' | 'report'> & {
    readonly isTest?: boolean | undefined;
  },
): Dataset {
  if (validationSplit === undefined && test !== null) return { ...dataset, test };
  if (isTest === true && test === null) return { ...dataset, test: dataset.train };
  const divided = withValidationSplit(dataset, validationSplit ?? DEFAULT_VALIDATION_SPLIT, seed);
  const percent = Math.round((100 * divided.test.count) / dataset.train.count);
  report.info(
    `${test === null ? 'There is no test part' : 'The test part is not used'}: ${percent}% of the training samples, ${divided.test.count} of ${dataset.train.count}, are to validate on (--validation-split).`,
  );
  return divided;
}

/**
 * Whether a folder has folders of images, and no file that is named like a part of a data set.
 * @throws DataError if it has images, but no folders of classes
 */
async function hasImagesOnly(path: string): Promise<boolean> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder) return false;
  const entries = (await readdir(path, { withFileTypes: true })).filter(({ name }) => !name.startsWith('.'));
  if (entries.some((entry) => !entry.isDirectory() && parseRole(entry.name) !== null)) return false;
  const images = entries.filter(({ name }) => hasImageName(name)).length;
  if (images > 0 && images === entries.length) {
    const place = sanitizeForTerminal(path);
    throw new DataError(
      `${place} holds ${images} ${images === 1 ? 'image' : 'images'} and no folders, which would say the classes. Put the images of each class into a folder of their own, such as cats and dogs, and point --data at the folder of these.`,
    );
  }
  return looksLikeImageFolder(path);
}
