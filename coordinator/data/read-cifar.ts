import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import {
  imageDataset,
  type Dataset,
  type LabeledImages,
  type StoredDataset,
} from '../../shared/data/dataset.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { readRegularFile } from '../files/read-file.ts';
import { plainFile, readError } from './data-file.ts';
import { readTar } from './named/read-tar.ts';

const SIDE = 32;
const PIXELS = SIDE * SIDE;
const IMAGE_BYTES = 3 * PIXELS;
/** The files of a data set together: 60,000 records of at most 3,074 bytes, and names. */
const MAX_BYTES = 2 ** 28;
/** Names of 100 classes take a thousand bytes. */
const MAX_NAMES_BYTES = 2 ** 16;

/** Names of the files, by what they hold: CIFAR-10 has one label a record, CIFAR-100 a coarse and a fine one. */
const LAYOUTS = [
  {
    name: 'cifar-10',
    classes: 10,
    labelBytes: 1,
    train: [
      'data_batch_1.bin',
      'data_batch_2.bin',
      'data_batch_3.bin',
      'data_batch_4.bin',
      'data_batch_5.bin',
    ],
    test: ['test_batch.bin'],
    names: 'batches.meta.txt',
  },
  {
    name: 'cifar-100',
    classes: 100,
    labelBytes: 2,
    train: ['train.bin'],
    test: ['test.bin'],
    names: 'fine_label_names.txt',
  },
] as const;
type Layout = (typeof LAYOUTS)[number];

const ARCHIVE = /^cifar-100?-binary\.tar\.gz$|^cifar-100?-binary\.t(gz|ar)$/i;
const FOLDERS = ['cifar-10-batches-bin', 'cifar-100-binary'];

/**
 * Reads CIFAR's binary format from a folder, or from its archive.
 *
 * @param path absolute path of a folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin, or train.bin and test.bin, or of
 *   an archive with them
 * @returns null if there are no such files
 * @throws DataError if a file is missing or damaged
 */
export async function readCifar(
  path: string,
  about: Pick<Dataset, 'name' | 'description'>,
): Promise<StoredDataset | null> {
  const source = await findSource(path);
  if (source === null) return null;
  const files = source.isArchive ? await readArchive(source.path) : await readFiles(source.path);
  const layout = LAYOUTS.find(({ train, test }) => [...train, ...test].some((name) => files.has(name)));
  const place = sanitizeForTerminal(source.path);
  if (layout === undefined) throw invalidFileError(place, 'the files of CIFAR', 'none of them');
  const missing = [...layout.train, ...layout.test].filter((name) => !files.has(name));
  if (missing.length > 0) {
    throw new DataError(
      `${place} lacks ${missing.join(', ')} of ${layout.name}. Put the missing files beside the others.`,
    );
  }
  const read = (names: readonly string[]): LabeledImages =>
    readRecords(
      names.map((name) => ({ path: `${place}/${name}`, bytes: files.get(name) as Uint8Array })),
      layout,
    );
  const names = Buffer.from(files.get(layout.names) ?? [])
    .toString('utf8')
    .split('\n');
  const classNames = names.map((name) => sanitizeForTerminal(name).trim()).filter((name) => name !== '');
  return imageDataset({
    ...about,
    sampleShape: [SIDE, SIDE, 3],
    classes: layout.classes,
    ...(classNames.length === layout.classes ? { classNames } : {}),
    train: read(layout.train),
    test: read(layout.test),
  });
}

/** Folder or archive with the files of CIFAR; null if there is none. */
async function findSource(path: string): Promise<{ path: string; isArchive: boolean } | null> {
  const stats = await stat(path).catch(() => null);
  if (stats?.isFile() === true) return ARCHIVE.test(basename(path)) ? { path, isArchive: true } : null;
  if (stats?.isDirectory() !== true) return null;
  const names = await readdir(path).catch(() => []);
  if (names.some((name) => name === 'data_batch_1.bin' || name === 'train.bin'))
    return { path, isArchive: false };
  const folder = names.find((name) => FOLDERS.includes(name));
  if (folder !== undefined) return { path: join(path, folder), isArchive: false };
  const archives = names.filter((name) => ARCHIVE.test(name));
  if (archives.length > 1) {
    throw new DataError(
      `${sanitizeForTerminal(path)} holds several archives: ${archives.join(', ')}. Point --data at one of them.`,
    );
  }
  return archives[0] === undefined ? null : { path: join(path, archives[0]), isArchive: true };
}

const isFileOfCifar = (name: string): boolean =>
  LAYOUTS.some(({ train, test, names }) => [...train, ...test, names].some((file) => file === name));

/**
 * Selects the files of CIFAR before they are read, and bounds them together.
 * @returns function of a file's name and size: whether to read it. It throws if there are too many bytes, or a second file of the name
 */
function createSelection(place: string): (path: string, bytes: number) => boolean {
  const selected = new Set<string>();
  let free = MAX_BYTES;
  return (path, bytes) => {
    const name = basename(path);
    if (!isFileOfCifar(name)) return false;
    const shown = `${place}/${sanitizeForTerminal(path)}`;
    if (selected.has(name)) throw invalidFileError(shown, `one file ${name}`, 'a second one');
    const limit = LAYOUTS.some(({ names }) => names === name) ? MAX_NAMES_BYTES : MAX_BYTES;
    if (bytes > Math.min(limit, free)) {
      const what =
        limit === MAX_BYTES ? 'at most 2^28 bytes in all files of CIFAR' : `at most ${limit} bytes`;
      throw invalidFileError(shown, what, 'more');
    }
    selected.add(name);
    free -= bytes;
    return true;
  };
}

async function readFiles(folder: string): Promise<Map<string, Uint8Array>> {
  const isSelected = createSelection(sanitizeForTerminal(folder));
  const files = new Map<string, Uint8Array>();
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!isFileOfCifar(name)) continue;
    try {
      const { size } = await stat(path);
      if (isSelected(name, size)) files.set(name, await readRegularFile(path, size));
    } catch (error) {
      throw error instanceof DataError ? error : readError(path, error);
    }
  }
  return files;
}

async function readArchive(path: string): Promise<Map<string, Uint8Array>> {
  const place = sanitizeForTerminal(path);
  const { size } = await stat(path);
  const packed = plainFile(path, basename(path), size).open();
  const unpacker = createGunzip();
  const feeding = pipeline(Readable.from(packed), unpacker).then(
    () => null,
    (error: unknown) => error,
  );
  try {
    const files = await readTar(unpacker as AsyncIterable<Uint8Array>, place, createSelection(place));
    return new Map([...files].map(([name, bytes]) => [basename(name), bytes]));
  } catch (error) {
    unpacker.destroy();
    const cause = (await feeding) ?? error;
    if (error instanceof DataError) throw error;
    if (cause instanceof DataError) throw cause;
    const isCut = (cause as NodeJS.ErrnoException).code === 'Z_BUF_ERROR';
    throw invalidFileError(
      place,
      'a whole tar.gz archive',
      isCut ? 'one that is cut short' : 'one that is damaged',
    );
  } finally {
    unpacker.destroy();
  }
}

/** Records of a label and an image, which is stored as [channels, height, width]. */
function readRecords(
  files: readonly { readonly path: string; readonly bytes: Uint8Array }[],
  { labelBytes, classes }: Layout,
): LabeledImages {
  const recordBytes = labelBytes + IMAGE_BYTES;
  for (const { path, bytes } of files) {
    if (bytes.length > 0 && bytes.length % recordBytes === 0) continue;
    throw invalidFileError(
      path,
      `records of ${recordBytes} bytes, a label and 32 x 32 pixels of 3 bytes`,
      `${bytes.length} bytes in all`,
    );
  }
  const count = files.reduce((sum, { bytes }) => sum + bytes.length / recordBytes, 0);
  const images = new Uint8Array(count * IMAGE_BYTES);
  const labels = new Uint8Array(count);
  let sample = 0;
  for (const { path, bytes } of files) {
    for (let at = 0; at < bytes.length; at += recordBytes) {
      // Of two labels, the second is the fine one.
      const label = bytes[at + labelBytes - 1] as number;
      if (label >= classes) {
        throw invalidFileError(
          path,
          `classes from 0 to ${classes - 1}`,
          `${label} in record ${at / recordBytes}`,
        );
      }
      labels[sample] = label;
      for (let channel = 0; channel < 3; channel++) {
        const from = at + labelBytes + channel * PIXELS;
        const to = sample * IMAGE_BYTES + channel;
        for (let pixel = 0; pixel < PIXELS; pixel++) images[to + 3 * pixel] = bytes[from + pixel] as number;
      }
      sample++;
    }
  }
  return { images, labels, count };
}
