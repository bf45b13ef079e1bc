import type { Dataset } from '../../shared/data/dataset.ts';
import type { DataReporter } from '../data/data-reporter.ts';
import { openDataset, type DataFlags } from '../data/load-dataset.ts';
import { arrayDataset } from './arrays.ts';
import type { DataFiles, TaskData } from './task.ts';

/** Settings of the data of a run. */
export interface TaskDataFlags extends Pick<DataFlags, 'seed'>, Omit<DataFiles, 'source'> {
  readonly data?: TaskData | undefined;
}

/**
 * Opens the data of a task.
 * @throws the errors of loadDataset; DataError with a sentence if arrays have no samples or do not belong together
 */
export async function openTaskData(
  { data, seed, limit, transpose }: TaskDataFlags,
  report: DataReporter,
  signal?: AbortSignal,
): Promise<Dataset> {
  if (typeof data === 'object' && 'train' in data) return data;
  if (typeof data === 'object' && 'x' in data) return arrayDataset(data, seed);
  const { source, ...others }: DataFiles = typeof data === 'object' ? data : { source: data };
  const files = { data: source, limit, transpose, ...withoutUndefined(others) };
  return openDataset({ ...withoutUndefined(files), seed }, report, signal);
}

const withoutUndefined = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));

/** Whether only the first samples of files are used. */
export const isLimitedData = (data: TaskData | undefined): boolean =>
  typeof data === 'object' && 'limit' in data && data.limit !== undefined;

/** The same data with as many samples as a run had. */
export const withLimit = (data: TaskData | undefined, limit: number): TaskData | undefined =>
  isLimitedData(data) ? { ...(data as DataFiles), limit } : data;

/** Name of data for config.json: a path or options of files as they are, other data by its name. */
export function describeTaskData(data: TaskData | undefined): unknown {
  if (typeof data !== 'object') return data;
  return 'x' in data || 'train' in data ? (data.name ?? 'arrays') : data;
}
