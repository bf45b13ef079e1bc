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

export interface LoadDatasetOptions {
  /** --data: a folder or archive of IDX or CSV files. No other source is tried. */
  readonly dataDir?: string | undefined;
  /** Environment, with MNIST_DIR and GRADCAST_MNIST_MIRRORS. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** gradcast's cache folder. MNIST is kept in its subfolder 'mnist'. */
  readonly cacheDir: string;
  readonly fetch: typeof globalThis.fetch;
  readonly report: DataReporter;
  /** Seed of the synthetic digits. */
  readonly seed: number;
  /** --transpose: exchange rows and columns of each image. */
  readonly transpose?: boolean | undefined;
  /** Maximum number of training samples: the first ones are used. */
  readonly limit?: number | undefined;
  /**
   * When to use synthetic digits: if MNIST is not available; always, without reading any file; or never, so that a missing
   * MNIST is an error.
   * @default 'whenOffline'
   */
  readonly useSyntheticDigits?: 'whenOffline' | 'always' | 'never' | undefined;
  /** Number of synthetic test digits. @default 10,000 */
  readonly syntheticTestCount?: number | undefined;
  /** Timeouts of downloads. @default DEFAULT_LIMITS */
  readonly limits?: DownloadLimits | undefined;
  /** Mirrors of MNIST. @default those of GRADCAST_MNIST_MIRRORS, or else the public mirrors */
  readonly mirrors?: readonly string[] | undefined;
  /** Expected contents of MNIST's files. @default the published files */
  readonly mnistFiles?: ByRole<PublishedFile> | undefined;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
}

/** gradcast's cache folder, in the platform's usual place. */
export function userCacheDir(): string {
  return envPaths('gradcast', { suffix: '' }).cache;
}

/**
 * Loads the data to train on: the folder of --data, else of MNIST_DIR, else MNIST from the cache or a mirror, else, with
 * warnings, synthetic digits. Never hangs: a mirror that is silent for 10 s is abandoned.
 *
 * @throws DataError if a folder that --data or MNIST_DIR names lacks a file or holds a damaged one
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
  // A folder that is named explicitly is binding: other data in its place would be a surprise.
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
    const source = mnist.downloaded ? `downloaded to ${folder}` : `from ${folder}`;
    const { trainImages, trainLabels, testImages, testLabels } = mnist.files;
    return assembleDataset(
      {
        train: { images: trainImages, labels: trainLabels },
        test: { images: testImages, labels: testLabels },
      },
      { name: 'mnist', description: `MNIST handwritten digits, ${source}.` },
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
    'Training on synthetic digits, which gradcast draws itself. Do not compare the accuracy with published figures.',
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

export interface DataFlags {
  readonly data?: string;
  readonly limit?: number;
  /** Exchange rows and columns of each image. */
  readonly transpose?: boolean;
  /** Seed of the synthetic digits. */
  readonly seed: number;
}

/** Loads the data set of a command, with this process's environment and network. @throws the errors of loadDataset */
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
