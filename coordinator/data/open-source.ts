import { readdir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { DEFAULT_VALIDATION_SPLIT, type DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { datasetName, parseRole } from './file-names.ts';
import { readCifar } from './named/cifar.ts';
import { openImageFolder } from './images/image-folder.ts';
import { looksLikeImageFolder } from './images/list-images.ts';
import { readFolder } from './read-folder.ts';
import { withValidationSplit } from './validation-split.ts';

export interface OpenSourceOptions extends Omit<DataOptions, 'source'> {
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

/** Options that only images have, with their names on the command line. */
const IMAGE_OPTIONS = { imageSize: '--image-size', channels: '--channels', fit: '--fit' } as const;

/**
 * Opens the data set in a folder or file: folders of images, IDX files or CSV files of pixels, by what is there or by --format.
 * @throws DataError if there is no data set, or if an option cannot be applied to it
 */
export async function openSource(options: OpenSourceOptions): Promise<Dataset> {
  const { path, option, format, test, report, seed, cacheDir, maxCacheBytes, signal } = options;
  const isImages = format === 'images' || (format === undefined && (await hasImagesOnly(path)));
  if (isImages) {
    const { validationSplit, imageSize, channels, fit } = options;
    if (test !== undefined && validationSplit !== undefined) throw conflictError();
    return openImageFolder({
      ...{ folder: path, option, name: datasetName(path), cacheDir, maxCacheBytes, report, signal, seed },
      ...{ validationSplit, imageSize, channels, fit },
      testFolder: test === undefined ? undefined : resolve(test),
    });
  }
  refuseImageOptions(path, options);
  const description = `Your own data, from ${sanitizeForTerminal(path)}.`;
  const cifar = format === undefined ? await readCifar(path, { name: datasetName(path), description }) : null;
  if (cifar !== null) return divideIfAsked(cifar, options);
  if (test !== undefined) {
    throw new DataError(
      `--test-data is for images and tables; IDX files of test samples lie beside those to train on. Put them into ${sanitizeForTerminal(path)}, with test or t10k in their names.`,
    );
  }
  return divideIfAsked(await readFolder(path, option, report), options);
}

/** @throws DataError if an option is given that only folders of images have */
export function refuseImageOptions(
  source: string,
  options: Pick<DataOptions, keyof typeof IMAGE_OPTIONS>,
): void {
  for (const [key, flag] of Object.entries(IMAGE_OPTIONS)) {
    if (options[key as keyof typeof IMAGE_OPTIONS] === undefined) continue;
    throw new DataError(
      `${flag} is for folders of images, one folder a class; ${sanitizeForTerminal(source)} is none. Leave it out, or choose the format with --format images.`,
    );
  }
}

/** Divides the training samples if there is no test part, or if the person asks for it. */
export function divideIfAsked(
  { test, ...dataset }: Omit<Dataset, 'test'> & { readonly test: Dataset['test'] | null },
  { validationSplit, seed, report }: Pick<OpenSourceOptions, 'validationSplit' | 'seed' | 'report'>,
): Dataset {
  if (validationSplit === undefined && test !== null) return { ...dataset, test };
  const divided = withValidationSplit(dataset, validationSplit ?? DEFAULT_VALIDATION_SPLIT, seed);
  const percent = Math.round((100 * divided.test.count) / dataset.train.count);
  report.info(
    `${test === null ? 'There is no test part' : 'The test part is not used'}: ${percent}% of the training samples, ${divided.test.count} of ${dataset.train.count}, are to validate on (--validation-split).`,
  );
  return divided;
}

const conflictError = (): DataError =>
  new DataError('--test-data and --validation-split both say what to validate on. Leave one of them out.');

/** Whether a folder has folders of images, and no file that is named like a part of a data set. */
async function hasImagesOnly(path: string): Promise<boolean> {
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
  if (!isFolder || !(await looksLikeImageFolder(path))) return false;
  const entries = await readdir(path, { withFileTypes: true });
  return !entries.some((entry) => !entry.isDirectory() && parseRole(entry.name) !== null);
}
