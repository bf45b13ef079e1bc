import type { Dataset } from '../../shared/data/dataset.ts';
import type { DataReporter } from './data-report.ts';
import { loadDataset, userCacheDir } from './dataset.ts';

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
