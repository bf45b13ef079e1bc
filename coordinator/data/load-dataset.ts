import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import { checkTrainLimit, limitTrainSamples, type Dataset } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { DataError } from '../../shared/data/data-error.ts';
import { assembleDataset } from './assemble.ts';
import type { DataReporter } from './data-reporter.ts';
import { DEFAULT_LIMITS, type DownloadLimits } from './download.ts';
import { loadMnist } from './mnist-cache.ts';
import { parseMirrors, type ByRole, type PublishedFile } from './mnist-files.ts';
import { readFolder } from './read-folder.ts';
import { transposeImages } from './transpose.ts';
import { createHash } from 'node:crypto';

export interface LoadDatasetOptions {
  /** --data: a folder or archive of IDX or CSV files. Nothing else is tried if it is given. */
  readonly dataDir?: string | undefined;
  /** MNIST_DIR and GRADCAST_MNIST_MIRRORS are read from here. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** gradcast's cache folder; MNIST is kept in its subfolder 'mnist'. */
  readonly cacheDir: string;
  readonly fetch: typeof globalThis.fetch;
  readonly report: DataReporter;
  /** Of the drawn digits. */
  readonly seed: number;
  /** --transpose: exchange rows and columns of each image. */
  readonly transpose?: boolean | undefined;
  /** Only the first so many training samples. */
  readonly limit?: number | undefined;
  /**
   * Digits that gradcast draws itself: where MNIST cannot be had (the default), always and without looking for
   * any file, or never, in which case an unreachable MNIST is an error.
   */
  readonly useSyntheticDigits?: 'whenOffline' | 'always' | 'never' | undefined;
  /** How many test digits to draw. Default 10,000. */
  readonly syntheticTestCount?: number | undefined;
  /** Default: 10 s to connect, 10 s of silence, 10 minutes a file. */
  readonly limits?: DownloadLimits | undefined;
  /** Default: the mirrors of GRADCAST_MNIST_MIRRORS, else the public ones. */
  readonly mirrors?: readonly string[] | undefined;
  /** What counts as MNIST when downloading. Default: the published files. */
  readonly mnistFiles?: ByRole<PublishedFile> | undefined;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
}

/** gradcast's cache folder where this platform keeps such folders. */
export function userCacheDir(): string {
  return envPaths('gradcast', { suffix: '' }).cache;
}

/**
 * The data to train on: the folder of --data, else of MNIST_DIR, else MNIST from the cache, else downloaded to
 * it, else, with warnings, digits that gradcast draws itself. Never hangs: a mirror that is silent for 10 s is
 * given up.
 *
 * @throws DataError if a folder that the person named lacks a file or holds a damaged one
 * @throws RangeError if the limit is not a whole number of at least 1
 * @throws the signal's reason if it is aborted during a download
 */
export async function loadDataset(options: LoadDatasetOptions): Promise<Dataset> {
  if (options.limit !== undefined) checkTrainLimit(options.limit);
  const whole = await loadAsStored(options);
  const limited = options.limit === undefined ? whole : limitTrainSamples(whole, options.limit);
  return options.transpose === true ? transposeImages(limited) : limited;
}

async function loadAsStored(options: LoadDatasetOptions): Promise<Dataset> {
  const { dataDir, env, report, useSyntheticDigits = 'whenOffline' } = options;
  if (useSyntheticDigits === 'always') return generateDigits(options);
  if (dataDir !== undefined) return readFolder(resolve(dataDir), '--data', report);
  // A folder that the person named is binding: other data in its place would be a surprise.
  if (env.MNIST_DIR !== undefined && env.MNIST_DIR !== '') {
    return readFolder(resolve(env.MNIST_DIR), 'MNIST_DIR', report);
  }
  const folder = join(options.cacheDir, 'mnist');
  const mnist = await loadMnist({
    folder,
    mirrors: options.mirrors ?? parseMirrors(env),
    fetch: options.fetch,
    limits: options.limits ?? DEFAULT_LIMITS,
    report,
    files: options.mnistFiles,
    signal: options.signal,
  });
  if (mnist.ok) {
    const how = mnist.downloaded ? `downloaded to ${folder}` : `from ${folder}`;
    const { trainImages, trainLabels, testImages, testLabels } = mnist.files;
    return assembleDataset(
      {
        train: { images: trainImages, labels: trainLabels },
        test: { images: testImages, labels: testLabels },
      },
      { name: 'mnist', description: `MNIST handwritten digits, ${how}.` },
      (line) => report.info(line),
    );
  }
  const failures = mnist.failures.map((failure) => `\n  ${failure}`).join('');
  const remedy =
    'Connect to the internet and start again, or put the four MNIST files into a folder and point --data at it.';
  if (useSyntheticDigits === 'never') {
    throw new DataError(
      `MNIST: expected it in ${folder} or on a mirror, found neither:${failures}\n${remedy}`,
    );
  }
  report.warn('THIS IS NOT MNIST. MNIST is not on this machine and no mirror could be reached:');
  for (const failure of mnist.failures) report.warn(`  ${failure}`);
  report.warn(
    'Training on digits that gradcast draws itself; do not compare the accuracy with published figures.',
  );
  report.warn(remedy);
  return generateDigits(options);
}

function generateDigits({ seed, limit, syntheticTestCount }: LoadDatasetOptions): Dataset {
  return syntheticDigits({
    seed,
    trainCount: limit && Math.min(limit, 60_000),
    testCount: syntheticTestCount,
  });
}

/** SHA-256 of all images and labels, hexadecimal: folders of one name may hold different files. */
export function datasetDigest({ train, test }: Pick<Dataset, 'train' | 'test'>): string {
  const hash = createHash('sha256');
  for (const { images, labels } of [train, test]) hash.update(images).update(labels);
  return hash.digest('hex');
}

export interface DataFlags {
  readonly data?: string;
  readonly limit?: number;
  /** Exchange rows and columns of each image. */
  readonly transpose?: boolean;
  /** Fixes the digits that are drawn where no others can be had. */
  readonly seed: number;
}

/** The data set that a command was asked for, by the means of this machine. See loadDataset for what it throws. */
export function openDataset(
  { data, limit, seed, transpose }: DataFlags,
  report: DataReporter,
  signal?: AbortSignal,
): Promise<Dataset> {
  return loadDataset({
    dataDir: data,
    limit,
    transpose,
    seed,
    report,
    signal,
    env: process.env,
    cacheDir: userCacheDir(),
    fetch: globalThis.fetch,
  });
}
