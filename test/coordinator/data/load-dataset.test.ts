import { describe, expect, it } from 'vitest';
import { loadDataset } from '../../../coordinator/data/load-dataset.ts';
import type { Split } from '../../../shared/data/dataset.ts';
import { RecordingDataReport } from '../../support/data-mirror.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';
import { imageTensors } from '../../../shared/model/tensors.ts';

const dataDir = process.env.MNIST_DIR;

describe.skipIf(dataDir === undefined)('real MNIST', { tags: ['mnist'] }, () => {
  it('is recognized and has the published statistics', async () => {
    const report = new RecordingDataReport();
    const dataset = await loadDataset({ dataDir, env: {}, cacheDir: 'unused', fetch, report, seed: 1 });
    expect(dataset).toMatchObject({ name: 'mnist', ...imageTensors([28, 28, 1], 10) });
    expect(report.warnings).toEqual([]);

    expect(dataset.train.count).toBe(60_000);
    expect(labelCounts(dataset.train)).toEqual([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    expect([...labelsOf(dataset.train).slice(0, 10)]).toEqual([5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    expect(pixelMean(dataset.train)).toBeCloseTo(0.1306604763, 10);

    expect(dataset.test.count).toBe(10_000);
    expect(labelCounts(dataset.test)).toEqual([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    expect([...labelsOf(dataset.test).slice(0, 10)]).toEqual([7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    expect(pixelMean(dataset.test)).toBeCloseTo(0.1325146058, 10);
  });
});

function labelCounts(split: Split): number[] {
  const counts = new Array<number>(10).fill(0);
  for (const label of labelsOf(split)) counts[label]!++;
  return counts;
}

function pixelMean(split: Split): number {
  const images = imagesOf(split);
  let sum = 0;
  for (const value of images) sum += value;
  return sum / images.length / 255;
}
