import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { LoadDatasetOptions } from '../../../../coordinator/data/load-dataset.ts';
import { isLazy, type Split, type StoredSplit } from '../../../../shared/data/dataset.ts';
import { loadFolder, refusalOf, writeFiles, type Loaded } from '../scratch-folder.ts';

export type Files = Readonly<Record<string, Uint8Array | string>>;
export type LoadOptions = Partial<LoadDatasetOptions>;

/** Makes a temporary folder for each test, and loads data from its subfolder 'own' or from a file in it. */
export function useTables() {
  const scratch = { root: '' };
  const own = (): string => join(scratch.root, 'own');
  beforeEach(async () => void (scratch.root = await mkdtemp(join(tmpdir(), 'gradcast-tables-'))));
  afterEach(() => rm(scratch.root, { recursive: true }));
  const write = async (files: Files): Promise<void> => void (await writeFiles(own(), files));
  /** Loads a single file, or the folder if there are several. */
  const load = async (files: Files, options: LoadOptions = {}): Promise<Loaded> => {
    await write(files);
    const names = Object.keys(files);
    return loadFolder(names.length === 1 ? join(own(), names[0]!) : own(), options);
  };
  const refusal = async (files: Files, options: LoadOptions = {}): Promise<string> =>
    (await refusalOf(load(files, options))).replaceAll(`${own()}/`, '').replaceAll(own(), 'own');
  return { own, write, load, refusal };
}

/** A split that is in memory. */
export function stored(split: Split): StoredSplit {
  if (isLazy(split)) throw new Error('the split is read when it is needed');
  return split;
}

/** Rows of an input, rounded to six digits. */
export function rowsOf(split: Split, width: number): number[][] {
  const values = Array.from(stored(split).inputs[0]!, (value) => Number(value.toFixed(6)));
  return Array.from({ length: split.count }, (_, row) => values.slice(row * width, (row + 1) * width));
}

export const targetsOf = (split: Split): number[] => Array.from(stored(split).targets[0]!);
