import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Dataset } from '../../shared/data/dataset.ts';
import { imagesOf, labelsOf } from './images.ts';

/** IDX file of unsigned bytes. Without `body`, the bytes count up. */
export function idxBytes(dimensions: number[], body?: ArrayLike<number>): Uint8Array {
  const size = dimensions.reduce((product, extent) => product * extent, 1);
  const bytes = new Uint8Array(4 + 4 * dimensions.length + size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0800 | dimensions.length);
  dimensions.forEach((extent, index) => view.setUint32(4 + 4 * index, extent));
  bytes.set(body ?? Array.from({ length: size }, (_, index) => index % 256), 4 + 4 * dimensions.length);
  return bytes;
}

/** Tiny data set of 4 x 3 images in four classes, under the file names of MNIST. */
export function tinyFiles(): Record<string, Uint8Array> {
  return {
    'train-images-idx3-ubyte': idxBytes([6, 4, 3]),
    'train-labels-idx1-ubyte': idxBytes([6], [0, 1, 2, 3, 0, 1]),
    't10k-images-idx3-ubyte': idxBytes([2, 4, 3]),
    't10k-labels-idx1-ubyte': idxBytes([2], [3, 2]),
  };
}

/** Writes files into a folder. Files whose name ends in .gz are gzipped. */
export async function writeIdxFolder(folder: string, files: Record<string, Uint8Array>): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) {
    await writeFile(join(folder, name), name.endsWith('.gz') ? gzipSync(bytes) : bytes);
  }
  return folder;
}

/** Writes a data set of 28 x 28 images as a folder of IDX files. */
export function writeDigits(folder: string, { train, test }: Dataset): Promise<string> {
  return writeIdxFolder(folder, {
    'train-images-idx3-ubyte': idxBytes([train.count, 28, 28], imagesOf(train)),
    'train-labels-idx1-ubyte': idxBytes([train.count], labelsOf(train)),
    't10k-images-idx3-ubyte': idxBytes([test.count, 28, 28], imagesOf(test)),
    't10k-labels-idx1-ubyte': idxBytes([test.count], labelsOf(test)),
  });
}
