import { basename, join } from 'node:path';
import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { assembleDataset, type SplitArrays } from './assemble.ts';
import type { DataArray } from './data-array.ts';
import type { DataReporter } from './data-reporter.ts';
import type { DownloadLimits } from './download.ts';
import { readArray } from './read-array.ts';
import { transposeImages } from './transpose.ts';
import { zipOnDisk } from './zip-entries.ts';
import { findArchive } from './archive-file.ts';
import { readCifar } from './read-cifar.ts';
import { NAMED_SETS, ROLES, type EmnistSet, type IdxSet, type NamedSet } from './named/data-sets.ts';
import { loadIdxFiles } from './published-idx.ts';

export interface LoadNamedOptions {
  /** Key of the set, such as 'fashion-mnist'. */
  readonly name: string;
  readonly set: NamedSet;
  /** Folder of all sets; this one's files are in its subfolder `name`. */
  readonly cacheDir: string;
  /** Addresses of folders, each with a final slash, in the order in which they are tried. */
  readonly mirrors: readonly string[];
  readonly fetch: typeof globalThis.fetch;
  readonly limits: DownloadLimits;
  readonly report: DataReporter;
  /** Ends a download. */
  readonly signal?: AbortSignal | undefined;
}

/** A data set, or why no mirror has it. */
export type NamedResult =
  | { readonly ok: true; readonly dataset: Dataset }
  | { readonly ok: false; readonly failures: readonly string[]; readonly folder: string };

/** Other spellings of names: fashion_mnist, cifar10. */
const normalize = (name: string): string => name.toLowerCase().replaceAll(/[-_ ]/g, '');

/** Name of a set that `--data` means; null if it means none. */
export function findNamedSet(
  source: string,
  sets: Readonly<Record<string, NamedSet>> = NAMED_SETS,
): string | null {
  return Object.keys(sets).find((name) => normalize(name) === normalize(source)) ?? null;
}

/**
 * Loads a data set by its name, from the cache folder or a mirror. Every file is checked against its published SHA-256.
 *
 * @throws DataError if a cache cannot be written or a file cannot be read
 * @throws the signal's reason once it is aborted
 */
export async function loadNamed(options: LoadNamedOptions): Promise<NamedResult> {
  const { name, set } = options;
  if (set.kind === 'idx') return loadIdxSet(options, set);
  // The parts of EMNIST are in one archive.
  const folder = join(options.cacheDir, set.kind === 'emnist' ? 'emnist' : name);
  const found = await findArchive({ ...options, title: name, folder, archive: set.archive });
  if (!found.ok) return { ...found, folder };
  const about = { name, description: describeSet(set, folder, found.downloaded) };
  if (set.kind === 'emnist') return { ok: true, dataset: await readEmnist(found.path, set, about) };
  const dataset = await readCifar(found.path, about);
  if (dataset === null) throw new DataError(`${found.path} has no files of CIFAR.`);
  return { ok: true, dataset };
}

/** Sentence about the files to get if no mirror can be reached, as the way without a network. */
export function offlineAdvice(set: NamedSet): string {
  const from = set.mirrors[0] ?? 'a machine that has them';
  if (set.kind === 'idx') {
    const files = ROLES.map((role) => `${set.files[role].name}.gz`);
    return `Connect to the internet and start again, or put ${files.join(', ')} from ${from} into a folder and point --data at it.`;
  }
  const { archive } = set;
  const place =
    set.kind === 'emnist'
      ? `point --data at ${archive.name}/gzip/emnist-${set.part}, with --transpose`
      : `point --data at it`;
  return `Connect to the internet and start again, or get ${archive.name} from ${from} and ${place}.`;
}

const describeSet = ({ title }: NamedSet, folder: string, downloaded: boolean): string =>
  `${title}, ${downloaded ? 'downloaded to' : 'from'} ${folder}.`;

async function loadIdxSet(options: LoadNamedOptions, set: IdxSet): Promise<NamedResult> {
  const { name, report } = options;
  const folder = join(options.cacheDir, name);
  const title = name === 'mnist' ? 'MNIST' : name;
  const found = await loadIdxFiles({ ...options, title, folder, files: set.files });
  if (!found.ok) return { ...found, folder };
  const { trainImages, trainLabels, testImages, testLabels } = found.files;
  const dataset = assembleDataset(
    {
      train: { images: trainImages, labels: trainLabels },
      test: { images: testImages, labels: testLabels },
    },
    { name, description: describeSet(set, folder, found.downloaded) },
    (line) => report.info(line),
  );
  return { ok: true, dataset: withClassNames(dataset, set.classNames) };
}

/** Reads a part of EMNIST and turns its images upright. */
async function readEmnist(
  path: string,
  { part, firstLabel, classNames }: EmnistSet,
  about: Pick<Dataset, 'name' | 'description'>,
): Promise<Dataset> {
  const entries = await zipOnDisk(path, '');
  const read = async (split: string, kind: string): Promise<DataArray> => {
    const wanted = `emnist-${part}-${split}-${kind}-ubyte.gz`;
    const entry = entries.find(({ name }) => basename(name) === wanted);
    if (entry === undefined) throw new DataError(`${path} has no file ${wanted}.`);
    return readArray(entry);
  };
  const readSplit = async (split: string): Promise<SplitArrays> => {
    const labels = await read(split, 'labels-idx1');
    return {
      images: await read(split, 'images-idx3'),
      labels:
        firstLabel === 0 ? labels : { ...labels, values: labels.values.map((label) => label - firstLabel) },
    };
  };
  const dataset = assembleDataset(
    { train: await readSplit('train'), test: await readSplit('test') },
    about,
    () => undefined,
  );
  // To the rest of the program they are as they should be: --transpose is for files of a folder.
  const { inputs, targets, train, test } = transposeImages(dataset);
  return withClassNames({ ...about, inputs, targets, train, test }, classNames);
}

const withClassNames = (dataset: Dataset, classNames: readonly string[] | undefined): Dataset =>
  classNames?.length === dataset.targets[0]?.classes ? { ...dataset, classNames: classNames ?? [] } : dataset;
