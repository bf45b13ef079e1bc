import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { openDataset } from '../../coordinator/data/load-dataset.ts';
import {
  limitTrainSamples,
  type StoredDataset as Dataset,
  type StoredSplit as Split,
} from '../../shared/data/dataset.ts';
import type { TensorSpec } from '../../shared/model/tensors.ts';
import { imagesOf, labelsOf, storedDataset } from './images.ts';
import { recordingReport } from './test-coordinator.ts';

// The data sets of test/reference/run_data.py, which describes them.

/** Names of data sets. */
export type RunData =
  | 'mnist'
  | 'fashion'
  | 'raw-mnist'
  | 'one-hot-mnist'
  | 'digit-properties'
  | 'digit-pairs'
  | 'diabetes'
  | 'characters';

const IMAGE: TensorSpec = { name: 'image', shape: [28, 28, 1], dtype: 'uint8', scale: 1 / 255 };
const TEXT_HASH = '9e8ca8ed051c2697578c023d9c29d6df689a083561feba5c14aedee895853999';
const CONTEXT = 64;
const TEST_SEQUENCES = 512;
const FEATURES = 10;

/** Variable of the environment that names the folder of a data set's files, or null. */
function folderVariable(data: RunData): string | null {
  if (data === 'diabetes' || data === 'characters') return null;
  return data === 'fashion' ? 'FASHION_MNIST_DIR' : 'MNIST_DIR';
}

/** Variable of the environment that is missing for a data set, or null. */
export function missingVariable(data: RunData): string | null {
  const variable = folderVariable(data);
  return variable === null || process.env[variable] !== undefined ? null : variable;
}

/** Options of a test that needs a data set: its tag, and whether it is skipped because the data is missing. */
export function needsData(data: RunData): { tags: string[]; skip: boolean } {
  const variable = folderVariable(data);
  const tag = variable === 'FASHION_MNIST_DIR' ? 'fashion' : 'mnist';
  return { tags: variable === null ? [] : [tag], skip: missingVariable(data) !== null };
}

/**
 * Makes a data set.
 * @param samples of the training split
 * @param table rows of the diabetes table
 */
export async function runDataset(
  data: RunData,
  samples: number,
  table: readonly (readonly number[])[],
): Promise<Dataset> {
  if (data === 'diabetes') return diabetes(table, samples);
  if (data === 'characters') return characters(readText(), samples);
  const folder = process.env[folderVariable(data) ?? ''] ?? '';
  const digits = limitTrainSamples(
    storedDataset(await openDataset({ data: folder, seed: 1 }, recordingReport())),
    samples,
  );
  switch (data) {
    case 'one-hot-mnist':
      return withTarget(digits, 10, (label) => Array.from({ length: 10 }, (_, i) => Number(i === label)));
    case 'digit-properties':
      return withTarget(digits, 3, (label) => [
        Number(label % 2 === 0),
        Number(label >= 5),
        Number([0, 6, 8, 9].includes(label)),
      ]);
    case 'digit-pairs':
      return digitPairs(digits);
    case 'mnist':
    case 'fashion':
    case 'raw-mnist':
      return digits;
  }
}

/** Digits with values in place of their classes. */
function withTarget(digits: Dataset, size: number, valuesOf: (label: number) => number[]): Dataset {
  const split = (part: Split): Split => ({
    ...part,
    targets: [Float32Array.from([...labelsOf(part)].flatMap(valuesOf))],
  });
  return {
    ...digits,
    targets: [{ name: 'values', shape: [size], dtype: 'float32' }],
    train: split(digits.train),
    test: split(digits.test),
  };
}

function digitPairs(digits: Dataset): Dataset {
  const split = (part: Split): Split => {
    const { count } = part;
    const half = Math.floor(count / 2);
    const images = imagesOf(part);
    const labels = labelsOf(part);
    const others = new Uint8Array(images.length);
    others.set(images.subarray(half * 784));
    others.set(images.subarray(0, half * 784), (count - half) * 784);
    const sums = Float32Array.from(labels, (label, i) => label + labels[(i + half) % count]!);
    return { inputs: [images, others], targets: [labels, sums], count };
  };
  return {
    name: 'digit-pairs',
    description: '',
    inputs: [
      { ...IMAGE, name: 'first' },
      { ...IMAGE, name: 'second' },
    ],
    targets: [
      { name: 'digit', shape: [], dtype: 'uint8', classes: 10 },
      { name: 'sum', shape: [1], dtype: 'float32' },
    ],
    train: split(digits.train),
    test: split(digits.test),
  };
}

function diabetes(table: readonly (readonly number[])[], samples: number): Dataset {
  const split = (rows: readonly (readonly number[])[]): Split => ({
    inputs: [Float32Array.from(rows.flatMap((row) => row.slice(0, FEATURES)))],
    targets: [Float32Array.from(rows, (row) => row[FEATURES]!)],
    count: rows.length,
  });
  return {
    name: 'diabetes',
    description: '',
    inputs: [{ name: 'features', shape: [FEATURES], dtype: 'float32' }],
    targets: [{ name: 'progression', shape: [1], dtype: 'float32' }],
    train: split(table.slice(0, samples)),
    test: split(table.slice(samples)),
  };
}

/** The lib.dom.d.ts of the TypeScript that the package @arethetypeswrong/core installs. */
function readText(): Uint8Array {
  const required = createRequire(createRequire(import.meta.url).resolve('@arethetypeswrong/core'));
  const text = readFileSync(required.resolve('typescript/lib/lib.dom.d.ts'));
  const hash = createHash('sha256').update(text).digest('hex');
  if (hash !== TEXT_HASH)
    throw new Error(`The text of the characters has the hash ${hash}, not ${TEXT_HASH}.`);
  return text;
}

function characters(text: Uint8Array, samples: number): Dataset {
  const bytes = [...new Set(text)].sort((a, b) => a - b);
  const codeOf = new Int32Array(256);
  bytes.forEach((byte, code) => (codeOf[byte] = code));
  const codes = Int32Array.from(text, (byte) => codeOf[byte]!);
  const sequences = Math.floor((codes.length - 1) / CONTEXT);
  const split = (first: number, count: number): Split => {
    const from = first * CONTEXT;
    const to = from + count * CONTEXT;
    const positions = Int32Array.from({ length: count * CONTEXT }, (_, i) => i % CONTEXT);
    return {
      inputs: [codes.subarray(from, to), positions],
      targets: [codes.subarray(from + 1, to + 1)],
      count,
    };
  };
  const classes = bytes.length;
  return {
    name: 'characters',
    description: '',
    inputs: [
      { name: 'characters', shape: [CONTEXT], dtype: 'int32', classes },
      { name: 'positions', shape: [CONTEXT], dtype: 'int32', classes: CONTEXT },
    ],
    targets: [{ name: 'next', shape: [CONTEXT], dtype: 'int32', classes }],
    train: split(0, samples),
    test: split(sequences - TEST_SEQUENCES, TEST_SEQUENCES),
  };
}
