import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSource, type OpenSourceOptions } from '../../../coordinator/data/open-source.ts';
import { isLazy, type StoredSplit } from '../../../shared/data/dataset.ts';
import { RecordingDataReport } from '../../support/data-mirror.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { imagesOf, labelsOf } from '../../support/images.ts';
import { png } from './images/picture-files.ts';
import {
  COUNT,
  fourFiles,
  LABELS,
  pixelOf,
  refusalOf,
  SIDE,
  typedIdx,
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

it.each<Partial<OpenSourceOptions>>([{ target: 'price' }, { imageSize: [8, 8] }, { sequenceLength: 64 }])(
  'a path with nothing there is refused as that, with %j too',
  async (options) => {
    const path = '/nowhere/houses.csv';
    expect(await refusalOf(open({}, { path, ...options }))).toContain(
      '/nowhere/houses.csv (from --data): expected a file, folder or zip archive of data, found nothing there.',
    );
  },
);

describe('IDX files of samples that are no images', () => {
  const count = 20;
  const classes = idxBytes(
    [count],
    Array.from({ length: count }, (_, i) => i % 3),
  );
  const vectors = Array.from({ length: 5 * count }, (_, i) => i / 8 - 3);

  it('of float32 are vectors, with classes', async () => {
    const { dataset, report } = await open({
      'train-images': typedIdx('float32', [count, 5], vectors),
      'train-labels': classes,
      'test-images': typedIdx('float32', [2, 5], vectors.slice(0, 10)),
      'test-labels': idxBytes([2], [2, 1]),
    });
    expect(dataset.inputs).toEqual([{ name: 'x', shape: [5], dtype: 'float32' }]);
    expect(dataset.targets[0]).toMatchObject({ shape: [], classes: 3 });
    expect((dataset.test as StoredSplit).inputs[0]).toEqual(Float32Array.from(vectors.slice(0, 10)));
    expect([...(dataset.test as StoredSplit).targets[0]!]).toEqual([2, 1]);
    expect(report.infos.join('\n')).toContain(
      'samples of 5 numbers are no images; they are read as they are.',
    );
  });

  it('of many dimensions keep their shape, and are divided without a test part', async () => {
    const cubes = Array.from({ length: 16 * count }, (_, i) => i - 100);
    const { dataset } = await open({
      'train-images': typedIdx('int16', [count, 2, 2, 2, 2], cubes),
      'train-labels': classes,
    });
    expect(dataset.inputs).toEqual([{ name: 'x', shape: [2, 2, 2, 2], dtype: 'int32' }]);
    expect([dataset.train.count, dataset.test.count]).toEqual([16, 4]);
    const { inputs, targets } = dataset.test as StoredSplit;
    targets[0]!.forEach((label, i) => {
      const sample = (inputs[0]![16 * i]! + 100) / 16;
      expect(sample % 3).toBe(label);
      expect([...inputs[0]!.subarray(16 * i, 16 * i + 16)]).toEqual(
        cubes.slice(16 * sample, 16 * sample + 16),
      );
    });
  });

  it('are refused if samples and labels differ in number', async () => {
    const files = {
      'train-images': typedIdx('float32', [count, 5], vectors),
      'train-labels': idxBytes([3], [0, 1, 2]),
    };
    expect(await refusalOf(open(files))).toMatch(
      /train-labels: expected 20 targets, one for each sample of .*train-images/,
    );
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

  it('without folders of classes are refused with what to do', async () => {
    expect(await refusalOf(open({ '1.png': 'x', '2.jpg': 'x' }))).toMatch(
      /own holds 2 images and no folders, which would say the classes\. Put the images of each class into a folder/,
    );
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
