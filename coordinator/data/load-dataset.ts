import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import envPaths from 'env-paths';
import { checkTrainLimit, limitTrainSamples, type Dataset } from '../../shared/data/dataset.ts';
import { syntheticDigits } from '../../shared/data/synthetic-digits.ts';
import { DataError } from '../../shared/data/data-error.ts';
import type { DataOptions } from './data-options.ts';
import type { DataReporter } from './data-reporter.ts';
import { DEFAULT_LIMITS, type DownloadLimits } from './download.ts';
import { mirrorsOf, NAMED_SETS, type ByRole, type NamedSet, type PublishedFile } from './named/data-sets.ts';
import { findNamedSet, loadNamed, offlineAdvice } from './load-named.ts';
import { divideIfAsked, openSource, type MeasuredModel } from './open-source.ts';
import { applicableOptions } from './option-uses.ts';
import { recordedDataOptions } from './recorded-options.ts';
import { transposeImages } from './transpose.ts';
import { didYouMean } from '../../shared/util/suggest.ts';

export interface LoadDatasetOptions extends Omit<DataOptions, 'source'>, MeasuredModel {
  /** --data: a file, folder or archive, or the name of a public data set. No other source is tried. */
  readonly dataDir?: string | undefined;
  /** Environment, with MNIST_DIR and GRADCAST_MNIST_MIRRORS. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** gradcast's cache folder. MNIST is kept in its subfolder 'mnist'. */
  readonly cacheDir: string;
  readonly fetch: typeof globalThis.fetch;
  readonly report: DataReporter;
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
  /** Data sets that --data can name; tests have smaller ones. @default NAMED_SETS */
  readonly namedSets?: Readonly<Record<string, NamedSet>> | undefined;
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
  return (options.transpose ?? options.trainedWith?.transpose) === true
    ? transpose(limited, options)
    : limited;
}

/** @throws DataError if the person asks for it and there are no images */
function transpose(dataset: Dataset, options: LoadDatasetOptions): Dataset {
  const transposed = transposeImages(dataset);
  if (transposed.isTransposed === true || options.transpose !== true) return transposed;
  throw new DataError(`--transpose is for images, and ${dataset.name} has none. Leave it out.`);
}

async function loadAsStored(options: LoadDatasetOptions): Promise<Dataset> {
  const { dataDir, env, report, useSyntheticDigits = 'whenOffline' } = options;
  const open = (folder: string, option: string): Promise<Dataset> =>
    openSource({ ...options, path: resolve(folder), option, maxCacheBytes: parseCacheLimit(env) });
  if (useSyntheticDigits === 'always') return generateDigits(options);
  if (dataDir === undefined && options.isMeasured === true && options.test !== undefined) {
    return open(options.test, '--test-data');
  }
  if (dataDir !== undefined) {
    const name = findNamedSet(dataDir, options.namedSets);
    if (name === null) {
      if (/^[\w-]+$/.test(dataDir) && !existsSync(resolve(dataDir))) throw noSuchSetError(dataDir, options);
      return open(dataDir, '--data');
    }
    if (existsSync(resolve(dataDir))) {
      report.info(`${resolve(dataDir)} is read; the data set named ${name} is not downloaded.`);
      return open(dataDir, '--data');
    }
    refuseFileOptions(name, options);
    if (options.transpose === true && name.startsWith('emnist')) {
      throw new DataError(`The images of ${name} are upright already. Leave --transpose out.`);
    }
    return divideIfAsked(await openNamed(name, options), options);
  }
  // A folder that is named explicitly is binding: other data in its place would be a surprise.
  if (env.MNIST_DIR !== undefined && env.MNIST_DIR !== '') {
    return open(env.MNIST_DIR, 'MNIST_DIR');
  }
  refuseFileOptions('mnist', options);
  return divideIfAsked(await openNamed('mnist', options), options);
}

/** @throws DataError if an option is given that a data set with a name of its own has no use for */
function refuseFileOptions(name: string, options: LoadDatasetOptions): void {
  applicableOptions('named', name, options);
  if (options.test === undefined && options.format === undefined) return;
  throw new DataError(
    `The data set ${name} has its own format and test part. Leave --format and --test-data out.`,
  );
}

const noSuchSetError = (source: string, { namedSets = NAMED_SETS }: LoadDatasetOptions): DataError =>
  new DataError(
    `There is no folder ${source}, and no data set of that name.${didYouMean(source, Object.keys(namedSets))} Data sets: ${Object.keys(namedSets).join(', ')}.`,
  );

/** Loads a data set by its name. @throws DataError if it cannot be, unless it may be replaced by synthetic digits */
async function openNamed(name: string, options: LoadDatasetOptions): Promise<Dataset> {
  const { env, report, cacheDir, signal, fetch, useSyntheticDigits = 'whenOffline' } = options;
  const known = (options.namedSets ?? NAMED_SETS)[name] as NamedSet;
  const set: NamedSet =
    options.mnistFiles !== undefined && name === 'mnist' && known.kind === 'idx'
      ? { ...known, files: options.mnistFiles }
      : known;
  const mirrors = options.mirrors ?? mirrorsOf(name, set, env);
  const limits = options.limits ?? DEFAULT_LIMITS;
  const found = await loadNamed({ name, set, cacheDir, mirrors, fetch, limits, report, signal });
  if (found.ok) return found.dataset;
  const title = name === 'mnist' ? 'MNIST' : name;
  const failures = found.failures.map((failure) => `\n  ${failure}`).join('');
  const remedy = offlineAdvice(set);
  if (options.dataDir !== undefined || useSyntheticDigits === 'never') {
    throw new DataError(
      `${title}: expected it in ${found.folder} or on a mirror, found neither:${failures}\n${remedy}`,
    );
  }
  // The failures are in the lines above, and what synthetic digits are in the line that describes the data.
  report.warn(
    'THIS IS NOT MNIST. MNIST is not on this machine, and no mirror could be reached: synthetic digits take its place.',
  );
  report.warn(remedy);
  return generateDigits(options);
}

/**
 * Bytes that decoded images may take on disk, by GRADCAST_CACHE_GB; undefined for the default.
 * @throws DataError if it is not a number
 */
function parseCacheLimit({ GRADCAST_CACHE_GB: text = '' }: LoadDatasetOptions['env']): number | undefined {
  if (text === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1e9;
  throw new DataError(
    `GRADCAST_CACHE_GB: expected a number of gigabytes, found "${text}". Correct it, or unset it for 20 GB or a quarter of the disk.`,
  );
}

function generateDigits({ seed, limit, syntheticTestCount }: LoadDatasetOptions): Dataset {
  return syntheticDigits({
    seed,
    trainCount: limit && Math.min(limit, 60_000),
    testCount: syntheticTestCount,
  });
}

/** Options of the command line that choose the data and how it is read. */
export interface DataFlags extends Omit<DataOptions, 'source' | 'test'> {
  readonly data?: string | undefined;
  readonly testData?: string | undefined;
}

/** Flags that say which data is read, and how, without limit and seed. */
export const pickDataFlags = (flags: object): Omit<DataFlags, 'seed' | 'limit'> =>
  Object.fromEntries(
    Object.entries(flags).filter(([key]) => key === 'data' || key in recordedDataOptions.entries),
  );

/** Loads the data set of a command, with this process's environment and network. @throws the errors of loadDataset */
export function openDataset(
  { data, testData, ...options }: DataFlags & MeasuredModel,
  report: DataReporter,
  signal?: AbortSignal,
): Promise<Dataset> {
  return loadDataset({
    ...options,
    dataDir: data,
    test: testData,
    report,
    signal,
    env: process.env,
    cacheDir: userCacheDir(),
    fetch: globalThis.fetch,
  });
}
