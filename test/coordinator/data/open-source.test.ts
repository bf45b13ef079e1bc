import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSource, type OpenSourceOptions } from '../../../coordinator/data/open-source.ts';
import { isLazy, type StoredSplit } from '../../../shared/data/dataset.ts';
import { RecordingDataReport } from '../../support/data-mirror.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';
import { png } from './images/picture-files.ts';
import {
  COUNT,
  fourFiles,
  LABELS,
  pixelOf,
  refusalOf,
  SIDE,
  useScratch,
  writeFiles,
} from './scratch-folder.ts';

const { scratch } = useScratch();

async function open(files: Record<string, Uint8Array | string>, options: Partial<OpenSourceOptions> = {}) {
  const report = new RecordingDataReport();
  const path = await writeFiles(join(scratch.root, 'own'), files);
  const cacheDir = join(scratch.root, 'cache');
  const dataset = await openSource({ path, option: '--data', seed: 1, cacheDir, report, ...options });
  return { dataset, report };
}

const training = Object.fromEntries(Object.entries(fourFiles()).filter(([name]) => name.startsWith('train')));

/** Expects that the pixels of all samples fit their classes, and returns the classes in order. */
function classesOf(split: StoredSplit): number[] {
  const images = imagesOf(split);
  const pixels = SIDE * SIDE;
  const labels = [...labelsOf(split)];
  labels.forEach((label, i) => {
    // Sample n has the class n % 10, and pixels that say n.
    const candidates = LABELS.flatMap((found, n) => (found === label ? [n] : []));
    const sample = [...images.subarray(i * pixels, (i + 1) * pixels)];
    expect(candidates.some((n) => sample.every((value, pixel) => value === pixelOf(n, pixel)))).toBe(true);
  });
  return labels;
}

describe('IDX files', () => {
  it('without a test part are divided by class, with a line', async () => {
    const { dataset, report } = await open(training);
    expect([dataset.train.count, dataset.test.count]).toEqual([205, 51]);
    expect(report.infos.at(-1)).toBe(
      'There is no test part: 20% of the training samples, 51 of 256, are to validate on (--validation-split).',
    );
    const test = classesOf(dataset.test as StoredSplit);
    for (let label = 0; label < 10; label++)
      expect([5, 6]).toContain(test.filter((found) => found === label).length);
    expect(classesOf(dataset.train as StoredSplit)).toHaveLength(205);
  });

  it('with a test part are divided if the person asks for it', async () => {
    const { dataset, report } = await open(fourFiles(), { validationSplit: 0.5 });
    expect([dataset.train.count, dataset.test.count]).toEqual([COUNT / 2, COUNT / 2]);
    expect(report.infos.at(-1)).toContain('The test part is not used: 50% of the training samples');
    const { dataset: whole } = await open(fourFiles());
    expect([whole.train.count, whole.test.count]).toEqual([COUNT, COUNT]);
  });

  it.each<[Partial<OpenSourceOptions>, string]>([
    [{ imageSize: [8, 8] }, '--image-size is for folders of images, one folder a class'],
    [{ channels: 3 }, '--channels is for folders of images'],
    [{ fit: 'pad' }, '--fit is for folders of images'],
    [{ test: 'elsewhere' }, '--test-data is for images and tables'],
  ])('refuse %j', async (options, sentence) => {
    expect(await refusalOf(open(fourFiles(), options))).toContain(sentence);
  });
});

describe('folders of images', () => {
  it('are recognized, unless data files lie above them', async () => {
    const red = await png(6, 6, [200, 0, 0]);
    const pictures = { 'a/1.png': red, 'a/2.png': red, 'b/1.png': red, 'b/2.png': red };
    const { dataset } = await open(pictures);
    expect([dataset.name, isLazy(dataset.train), dataset.classNames]).toEqual(['own', true, ['a', 'b']]);
    const { dataset: mixed } = await open(fourFiles());
    expect([isLazy(mixed.train), mixed.train.count]).toEqual([false, COUNT]);
    const { dataset: forced } = await open({}, { format: 'images' });
    expect(forced.train.count).toBe(3);
  });

  it('are divided only if no test folder is named', async () => {
    const red = await png(6, 6, [200, 0, 0]);
    const pictures = { 'a/1.png': red, 'b/1.png': red };
    const test = await writeFiles(join(scratch.root, 'others'), { 'b/7.png': red });
    const { dataset } = await open(pictures, { test });
    expect([dataset.train.count, dataset.test.count]).toEqual([2, 1]);
    expect(await refusalOf(open(pictures, { test, validationSplit: 0.2 }))).toContain(
      '--test-data and --validation-split both say what to validate on',
    );
  });
});
