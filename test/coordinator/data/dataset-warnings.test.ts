import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareRun } from '../../../coordinator/commands/prepare-run.ts';
import { describeDatasetProblems } from '../../../coordinator/data/dataset-warnings.ts';
import { epochOrder } from '../../../coordinator/training/sampler.ts';
import type { Dataset } from '../../../shared/data/dataset.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { recordingReport } from '../../support/test-coordinator.ts';
import {
  COUNT,
  fourFiles,
  LABELS,
  loadFolder,
  PIXEL_VALUES,
  renamed,
  SIDE,
  writeFiles,
} from './scratch-folder.ts';
import { imagesOf } from '../../support/images.ts';

let root: string;
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'gradcast-data-'))));
afterEach(() => rm(root, { recursive: true }));

const otherImages = idxBytes(
  [COUNT, SIDE, SIDE],
  PIXEL_VALUES.map((value) => 255 - value),
);

/** Four files whose test images differ from the training images. */
const own = (change = (name: string) => name): Record<string, Uint8Array> => ({
  ...renamed(change),
  [change('t10k-images-idx3-ubyte')]: otherImages,
});

const withLabels = async (
  train: readonly number[],
  test: readonly number[] = LABELS,
  limit?: number,
): Promise<Dataset> => {
  const folder = await writeFiles(join(root, 'own'), {
    ...fourFiles(),
    't10k-images-idx3-ubyte': otherImages,
    'train-labels-idx1-ubyte': idxBytes([COUNT], train),
    't10k-labels-idx1-ubyte': idxBytes([COUNT], test),
  });
  return (await loadFolder(folder, limit === undefined ? {} : { limit })).dataset;
};

describe('a line warns', () => {
  it('of classes without a sample, as in the letters of EMNIST from 1 to 26', async () => {
    const letters = LABELS.map((_, i) => 1 + (i % 26));
    const dataset = await withLabels(letters, letters);
    expect(dataset.targets[0]?.classes).toBe(27);
    expect(describeDatasetProblems(dataset)).toEqual([
      "Class 0 has no sample: of the model's 27 outputs, 1 cannot be learned. The labels seem to be counted from 1.",
    ]);
  });

  it('of a test class that training never sees', async () => {
    const dataset = await withLabels(LABELS.map((label) => label % 8));
    expect(describeDatasetProblems(dataset)).toEqual([
      'Classes 8, 9 are in the test set (50 of 256 samples) but not in the training set, so the model cannot learn them.',
    ]);
  });

  it('of one class only', async () => {
    const threes = LABELS.map(() => 3);
    expect(describeDatasetProblems(await withLabels(threes, threes))).toEqual([
      "Classes 0, 1, 2 have no sample: of the model's 4 outputs, 3 cannot be learned.",
      'All training samples are of class 3, so the accuracy says nothing.',
      'All test samples are of class 3, so the accuracy says nothing.',
    ]);
  });

  it('of a class with nearly all samples, but not of one with most', async () => {
    const ones = (count: number) => LABELS.map((_, i) => (i < count ? 1 : 0));
    expect(describeDatasetProblems(await withLabels(ones(254), ones(128)))).toEqual([
      '99.2% of the training samples are of class 1: a model that always answers 1 has that accuracy.',
    ]);
    expect(describeDatasetProblems(await withLabels(ones(220), ones(128)))).toEqual([]);
  });

  it('of sorted labels only if a limit takes the first of them, since every epoch is shuffled', async () => {
    const sorted = LABELS.toSorted((a, b) => a - b);
    expect(describeDatasetProblems(await withLabels(sorted))).toEqual([]);
    const firstBatch = [...epochOrder(1, 1, COUNT).subarray(0, 64)].map((sample) => sorted[sample]);
    expect(new Set(firstBatch).size).toBe(10);
    const limited = describeDatasetProblems(await withLabels(sorted, sorted, 40), true);
    expect(limited[0]).toMatch(
      /^Classes 2, 3, 4, 5, 6, 7, 8, 9 are in the test set .* The limit takes the first/,
    );
  });

  it('of images that were scaled to 0 to 1 and stored as bytes', async () => {
    const binary = idxBytes(
      [COUNT, SIDE, SIDE],
      PIXEL_VALUES.map((value) => value & 1),
    );
    const folder = await writeFiles(join(root, 'own'), {
      ...fourFiles(),
      'train-images-idx3-ubyte': binary,
    });
    expect(describeDatasetProblems((await loadFolder(folder)).dataset)).toEqual([
      'No pixel is brighter than 1 of 255, so all images are nearly black. Scale them to 0 to 255.',
    ]);
  });

  it('of test images that are training images', async () => {
    const { dataset } = await loadFolder(await writeFiles(join(root, 'own'), fourFiles()));
    expect(describeDatasetProblems(dataset)).toEqual([
      '100% of the test images are training images too, so accuracy on new images is lower.',
    ]);
  });

  it('of nothing in synthetic digits, and before a run starts', async () => {
    expect(describeDatasetProblems(syntheticDigits({ seed: 1, trainCount: 500, testCount: 200 }))).toEqual(
      [],
    );
    const data = await writeFiles(join(root, 'own'), {
      ...fourFiles(),
      't10k-images-idx3-ubyte': otherImages,
      'train-labels-idx1-ubyte': idxBytes(
        [COUNT],
        LABELS.map((label) => label % 8),
      ),
    });
    const report = recordingReport();
    const flags = { data, batchSize: 10, seed: 1, epochs: 1, microShard: 16, out: join(root, 'run') };
    const { release } = await prepareRun(flags, report, new AbortController().signal);
    await release();
    expect(report.lines.filter((line) => line.startsWith('!'))).toEqual([
      expect.stringMatching(/^! Classes 8, 9 are in the test set/),
    ]);
  });
});

describe('--transpose', () => {
  it('exchanges rows and columns of each image, and height and width', async () => {
    const files = {
      'train-images': idxBytes([2, 2, 3], [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]),
      'train-labels': idxBytes([2]),
      'test-images': idxBytes([1, 2, 3], [9, 8, 7, 6, 5, 4]),
      'test-labels': idxBytes([1], [1]),
    };
    const { dataset } = await loadFolder(await writeFiles(join(root, 'own'), files), { transpose: true });
    expect(dataset).toMatchObject({ inputs: [{ shape: [3, 2, 1] }], isTransposed: true });
    expect([...imagesOf(dataset.train)]).toEqual([1, 4, 2, 5, 3, 6, 11, 14, 12, 15, 13, 16]);
    expect([...imagesOf(dataset.test)]).toEqual([9, 6, 8, 5, 7, 4]);
    expect(dataset.description).toContain('with rows and columns of each image exchanged');
  });

  it('is advised if names say EMNIST, unless it is given', async () => {
    const folder = await writeFiles(
      join(root, 'own'),
      own((name) => `emnist-digits-${name}`),
    );
    const advice = /EMNIST.*transposed.*--transpose/;
    const linesOf = async (...load: Parameters<typeof loadFolder>) =>
      describeDatasetProblems((await loadFolder(...load)).dataset);
    expect(await linesOf(folder)).toEqual([expect.stringMatching(advice)]);
    expect(await linesOf(folder, { transpose: true })).toEqual([]);
    expect(await linesOf(await writeFiles(join(root, 'EMNIST'), own()))).toHaveLength(1);
    expect(await linesOf(await writeFiles(join(root, 'other'), own()))).toEqual([]);
  });
});
