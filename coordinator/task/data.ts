import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Dataset } from '../../shared/data/dataset.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import type { DataReporter } from '../data/data-reporter.ts';
import { openDataset, pickDataFlags, type DataFlags } from '../data/load-dataset.ts';
import type { MeasuredModel } from '../data/open-source.ts';
import { withDataOptionNames } from '../data/option-words.ts';
import { arrayDataset } from './arrays.ts';
import type { DataFiles, TaskData } from './task.ts';

/** Options of files besides those of the data itself, which take precedence. */
export type FileFlags = Omit<DataFlags, 'data'> &
  MeasuredModel & {
    /** Names of options in lines and errors. @default their keys, such as data.target */
    readonly optionName?: OptionName | undefined;
  };

/**
 * Opens the data of a task.
 * @param flags options of files that the data does not name, and the seed
 * @throws the errors of loadDataset; DataError with a sentence if arrays have no samples or do not belong together
 */
export async function openTaskData(
  data: TaskData | undefined,
  { optionName = keyName, ...flags }: FileFlags,
  report: DataReporter,
  signal?: AbortSignal,
): Promise<Dataset> {
  if (typeof data === 'object' && 'train' in data) return data;
  if (typeof data === 'object' && 'x' in data) return arrayDataset(data, flags.seed);
  return withDataOptionNames(optionName, report, (named) =>
    openDataset({ ...flags, ...dataFlagsOf(data) }, named, signal),
  );
}

/** Options of files by the names of the command line. */
function dataFlagsOf(data: string | DataFiles | undefined): Partial<DataFlags> {
  const { source, test, ...others }: DataFiles = typeof data === 'object' ? data : { source: data };
  return withoutUndefined({ ...others, data: source, testData: test });
}

const withoutUndefined = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** Whether only the first samples of files are used. */
export const isLimitedData = (data: TaskData | undefined): boolean =>
  typeof data === 'object' && 'limit' in data && data.limit !== undefined;

/** The same files as a run had, of which the limit and the order of rows and columns follow from its checkpoint. */
export function asResumed(data: TaskData | undefined, limit: number): TaskData | undefined {
  if (typeof data !== 'object' || 'train' in data || 'x' in data) return data;
  return { ...data, limit, transpose: undefined };
}

/**
 * Files and options of files for config.json, with absolute paths, so that the model can be measured on them from any folder. The
 * folder of MNIST_DIR is one of them.
 * @returns null for arrays and data sets in memory
 */
export function describeSource(
  data: TaskData | undefined,
  flags: object,
  env: Readonly<Record<string, string | undefined>>,
): object | null {
  if (typeof data === 'object' && ('x' in data || 'train' in data)) return null;
  const options = { ...pickDataFlags({ ...flags, data: undefined }), ...dataFlagsOf(data) };
  const absolute = (path: string | undefined): string | undefined =>
    path !== undefined && existsSync(resolve(path)) ? resolve(path) : path;
  const { MNIST_DIR = '' } = env;
  const source = options.data ?? (MNIST_DIR === '' ? undefined : MNIST_DIR);
  return withoutUndefined({ ...options, data: absolute(source), testData: absolute(options.testData) });
}

/** Data for config.json: options of files by the names of the command line, other data by its name. */
export function describeTaskData(data: TaskData | undefined): object {
  if (typeof data === 'object' && ('x' in data || 'train' in data)) return { data: data.name ?? 'arrays' };
  return dataFlagsOf(data);
}
