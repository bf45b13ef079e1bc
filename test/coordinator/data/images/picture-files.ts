import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { openImageFolder, type ImageFolderOptions } from '../../../../coordinator/data/image-folder.ts';
import { DataError } from '../../../../shared/data/data-error.ts';
import { RecordingDataReport } from '../../../support/data-mirror.ts';

/** PNG of one color, or of the given gray values. */
export const png = (height: number, width: number, values: ArrayLike<number>, channels: 1 | 3 = 3) =>
  sharp(
    Uint8Array.from({ length: height * width * channels }, (_, i) => values[i % values.length]!),
    { raw: { width, height, channels } },
  )
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();

/** Writes files into a folder, with the folders in their names. */
export async function writePictures(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string | Promise<Uint8Array>>>,
): Promise<string> {
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, await bytes);
  }
  return folder;
}

/** Opens a folder of images as a run does, with a cache in `cacheDir`. */
export async function openPictures(
  folder: string,
  options: Partial<ImageFolderOptions> & { readonly cacheDir: string },
) {
  const report = new RecordingDataReport();
  const dataset = await openImageFolder({
    folder,
    option: '--data',
    name: 'own',
    seed: 1,
    report,
    ...options,
  });
  return { dataset, report };
}

/** Message of the DataError of work that fails. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => new Error('it was read'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof DataError)) throw error;
  return error.message;
}
