import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { StoredDataset } from '../../shared/data/dataset.ts';
import { kerasDataset } from './keras-models.ts';

/** Figures of test/reference/keras_files.py, whose header describes them. */
interface KerasLosses {
  readonly sampleShape: readonly number[];
  readonly samples: number;
  readonly classes: number;
  readonly models: Readonly<
    Record<
      string,
      { readonly files: readonly string[]; readonly training: number; readonly inference: number }
    >
  >;
}

const folder = new URL('../reference/keras-files/', import.meta.url);

/** Losses that Keras computed with the files of test/reference/keras-files. */
export function kerasLosses(): KerasLosses {
  return JSON.parse(readFileSync(new URL('losses.json', folder), 'utf8')) as KerasLosses;
}

/** The batch of the losses, as training and test data. */
export const kerasBatch = (): StoredDataset => kerasDataset({ ...kerasLosses(), models: [] });

/** Bytes of a file that Keras wrote. */
export const kerasFile = (name: string): Buffer => gunzipSync(readFileSync(new URL(`${name}.gz`, folder)));

/** Folder in which files that Keras wrote are unpacked. */
export interface KerasFolder {
  readonly dir: string;
  /** Unpacks a file. @returns its path */
  unpack(name: string): Promise<string>;
  write(name: string, bytes: string | Uint8Array): Promise<string>;
  remove(): Promise<void>;
}

export async function kerasFolder(): Promise<KerasFolder> {
  const dir = await mkdtemp(join(tmpdir(), 'gradcast-keras-files-'));
  const write = async (name: string, bytes: string | Uint8Array): Promise<string> => {
    const path = join(dir, name);
    await writeFile(path, bytes);
    return path;
  };
  return {
    dir,
    unpack: (name) => write(name, kerasFile(name)),
    write,
    remove: () => rm(dir, { recursive: true }),
  };
}
