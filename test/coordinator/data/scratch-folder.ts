import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { loadDataset, type LoadDatasetOptions } from '../../../coordinator/data/load-dataset.ts';
import { DataError } from '../../../shared/data/data-error.ts';
import type { Dataset } from '../../../shared/data/dataset.ts';
import { RecordingDataReport } from '../../support/data-mirror.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

export const COUNT = 256;
export const SIDE = 6;
const PIXELS = SIDE * SIDE;

/** Value of a pixel, the same in every format that tests write. */
export const pixelOf = (sample: number, pixel: number): number => (7 * sample + 5 * pixel) % 256;
export const PIXEL_VALUES = Array.from({ length: COUNT * PIXELS }, (_, i) =>
  pixelOf(Math.floor(i / PIXELS), i % PIXELS),
);
export const LABELS = Array.from({ length: COUNT }, (_, i) => i % 10);

export const imagesFile = idxBytes([COUNT, SIDE, SIDE], PIXEL_VALUES);
export const labelsFile = idxBytes([COUNT], LABELS);

/** The four files with the names of MNIST. */
export const fourFiles = (): Record<string, Uint8Array> => ({
  'train-images-idx3-ubyte': imagesFile,
  'train-labels-idx1-ubyte': labelsFile,
  't10k-images-idx3-ubyte': imagesFile,
  't10k-labels-idx1-ubyte': labelsFile,
});

/** The same files with other names. */
export const renamed = (change: (name: string) => string): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(fourFiles()).map(([name, bytes]) => [change(name), bytes]));

/** Writes files into a folder, with the folders in their names. */
export async function writeFiles(
  folder: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<string> {
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
  return folder;
}

export interface Loaded {
  readonly dataset: Dataset;
  readonly lines: RecordingDataReport;
}

/** Loads the data set of a folder, as a run does. */
export async function loadFolder(
  dataDir: string,
  options: Partial<LoadDatasetOptions> = {},
): Promise<Loaded> {
  const lines = new RecordingDataReport();
  const dataset = await loadDataset({
    dataDir,
    env: {},
    cacheDir: join(dataDir, 'no-cache'),
    fetch: () => Promise.reject(new Error('a folder needs no network')),
    report: lines,
    seed: 1,
    ...options,
  });
  return { dataset, lines };
}

/** Message of the DataError of a load that fails. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => new Error('it was loaded'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof DataError)) throw error;
  return error.message;
}

type Element = readonly [
  code: number,
  bytes: number,
  write: (view: DataView, at: number, value: number) => void,
];
export const ELEMENTS = {
  int8: [0x09, 1, (view, at, value) => view.setInt8(at, value)],
  int16: [0x0b, 2, (view, at, value) => view.setInt16(at, value)],
  int32: [0x0c, 4, (view, at, value) => view.setInt32(at, value)],
  float32: [0x0d, 4, (view, at, value) => view.setFloat32(at, value)],
  float64: [0x0e, 8, (view, at, value) => view.setFloat64(at, value)],
} satisfies Record<string, Element>;

/** An IDX file of elements other than bytes. */
export function typedIdx(
  type: keyof typeof ELEMENTS,
  dimensions: readonly number[],
  values: readonly number[],
): Uint8Array {
  const [code, size, write]: Element = ELEMENTS[type];
  const headerBytes = 4 + 4 * dimensions.length;
  const bytes = new Uint8Array(headerBytes + size * values.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (code << 8) | dimensions.length);
  dimensions.forEach((extent, index) => view.setUint32(4 + 4 * index, extent));
  values.forEach((value, index) => write(view, headerBytes + size * index, value));
  return bytes;
}

/** A CSV file of all samples: a label and its pixels a row. */
export function csvText(header: 'mnist' | 'pixels' | 'none', labelLast = false): string {
  const names = Array.from({ length: PIXELS }, (_, i) =>
    header === 'mnist' ? `${Math.floor(i / SIDE) + 1}x${(i % SIDE) + 1}` : `pixel${i}`,
  );
  const row = (label: string | number, pixels: readonly (string | number)[]): string =>
    (labelLast ? [...pixels, label] : [label, ...pixels]).join(',');
  const rows = LABELS.map((label, i) => row(label, PIXEL_VALUES.slice(i * PIXELS, (i + 1) * PIXELS)));
  return `${[...(header === 'none' ? [] : [row('label', names)]), ...rows].join('\n')}\n`;
}

type Files = Readonly<Record<string, Uint8Array | string>>;

/** Makes a temporary folder for each test of a file, and loads data from its subfolder 'own'. */
export function useScratch() {
  const scratch = { root: '' };
  beforeEach(async () => void (scratch.root = await mkdtemp(join(tmpdir(), 'gradcast-data-'))));
  afterEach(() => rm(scratch.root, { recursive: true }));
  const load = async (files: Files): Promise<Loaded> =>
    loadFolder(await writeFiles(join(scratch.root, 'own'), files));
  const refusal = (files: Files): Promise<string> => refusalOf(load(files));
  return { scratch, load, refusal };
}

/** Expects that all samples are loaded as they were written. */
export function expectWhole({ dataset }: Loaded): void {
  expect(dataset).toMatchObject(imageTensors([SIDE, SIDE, 1], 10));
  for (const split of [dataset.train, dataset.test]) {
    const { count } = split;
    expect(count).toBe(COUNT);
    // toEqual takes a tenth of a second for so many numbers.
    expect(Buffer.from(imagesOf(split)).equals(Uint8Array.from(PIXEL_VALUES))).toBe(true);
    expect(Buffer.from(labelsOf(split)).equals(Uint8Array.from(LABELS))).toBe(true);
  }
}

/** The four files with other training images. */
export const withTrainImages = (bytes: Uint8Array | string): Files => ({
  ...fourFiles(),
  'train-images-idx3-ubyte': bytes,
});

/** The four files with other training labels. */
export const withTrainLabels = (bytes: Uint8Array | string): Files => ({
  ...fourFiles(),
  'train-labels-idx1-ubyte': bytes,
});
