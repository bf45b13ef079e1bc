import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { idxBytes } from '../../support/idx-bytes.ts';
import {
  COUNT,
  expectWhole,
  imagesFile,
  LABELS,
  labelsFile,
  PIXEL_VALUES,
  SIDE,
  typedIdx,
  useScratch,
  withTrainImages,
  withTrainLabels,
} from './scratch-folder.ts';
import { imagesOf } from '../../support/images.ts';

const { scratch, load, refusal } = useScratch();

describe('images', () => {
  const scaled = PIXEL_VALUES.map((value) => value / 255);
  it.each([
    ['int16', PIXEL_VALUES, 'int16 images of whole numbers are read as bytes'],
    ['int32', PIXEL_VALUES, 'int32 images of whole numbers'],
    ['float32', PIXEL_VALUES, 'float32 images of whole numbers'],
    ['float32', scaled, 'float32 images from 0 to 1 are read as 0 to 255'],
    ['float64', scaled, 'float64 images from 0 to 1'],
  ] as const)('are read from %s (%#)', async (type, values, note) => {
    const loaded = await load(withTrainImages(typedIdx(type, [COUNT, SIDE, SIDE], values)));
    expectWhole(loaded);
    expect(loaded.lines.infos.join('\n')).toContain(note);
  });

  it.each([
    ['float32', PIXEL_VALUES.map((value) => value / 127.5 - 1), 'float32 images with values from -1 to 1'],
    ['float64', PIXEL_VALUES.map((value) => value + 0.5), 'float64 images with values from 0.5 to 255.5'],
    ['int32', PIXEL_VALUES.map((value) => 257 * value), 'int32 images with values from 0 to 65540'],
    ['int8', PIXEL_VALUES.map((value) => value - 128), 'int8 images with values from -128 to 127'],
    ['float32', PIXEL_VALUES.map((value, i) => (i === 9 ? NaN : value)), 'that are not all numbers'],
  ] as const)('of %s with other values are rejected (%#)', async (type, values, found) => {
    expect(await refusal(withTrainImages(typedIdx(type, [COUNT, SIDE, SIDE], values)))).toContain(found);
  });

  it('are read from rows of pixels that make a square', async () => {
    const loaded = await load(withTrainImages(idxBytes([COUNT, SIDE * SIDE], PIXEL_VALUES)));
    expectWhole(loaded);
    expect(loaded.lines.infos.join('\n')).toContain('rows of 36 numbers are read as images of 6 x 6');
    expect(await refusal(withTrainImages(idxBytes([COUNT, 35])))).toContain(
      '35 pixels do not make a square image',
    );
  });

  it('are read with channels first and channels last', async () => {
    const gray = await load(withTrainImages(idxBytes([COUNT, 1, SIDE, SIDE], PIXEL_VALUES)));
    expectWhole(gray);
    expect(gray.lines.infos.join('\n')).toContain(`is read as 1 channel of ${SIDE} x ${SIDE}`);
    await rm(join(scratch.root, 'own'), { recursive: true });
    const planes = idxBytes([2, 3, 2, 5], [...Array(60).keys()]);
    const rows = idxBytes(
      [2, 2, 5, 3],
      [...Array(60).keys()].map((i) => Math.floor(i / 30) * 30 + (i % 3) * 10 + Math.floor((i % 30) / 3)),
    );
    const files = { 'train-labels': idxBytes([2]), 'test-labels': idxBytes([2]) };
    const { dataset } = await load({ ...files, 'train-images': planes, 'test-images': rows });
    expect(dataset.inputs[0]?.shape).toEqual([2, 5, 3]);
    expect(imagesOf(dataset.train)).toEqual(imagesOf(dataset.test));
  });

  it('may be 300 x 300 in color, or 1 x 784', async () => {
    const labels = { 'train-labels': idxBytes([4]), 'test-labels': idxBytes([4]) };
    const big = idxBytes([4, 300, 300, 3], new Uint8Array(4 * 270_000).fill(7));
    const { dataset } = await load({ ...labels, 'train-images': big, 'test-images': big });
    expect(dataset.inputs[0]?.shape).toEqual([300, 300, 3]);
    const flat = idxBytes([4, 1, 784]);
    await rm(join(scratch.root, 'own'), { recursive: true });
    const rows = await load({ ...labels, 'train-images': flat, 'test-images': flat });
    expect(rows.dataset.inputs[0]?.shape).toEqual([1, 784, 1]);
  });
});

describe('labels', () => {
  const eightColumns = LABELS.flatMap((label, i) => [label, 4, i, 0, 100 + label, i, i, 0]);
  const oneHot = LABELS.flatMap((label) => Array.from({ length: 10 }, (_, i) => (i === label ? 1 : 0)));
  it.each([
    ["from QMNIST's eight columns", typedIdx('int32', [COUNT, 8], eightColumns), "QMNIST's 8 columns"],
    ['from int32', typedIdx('int32', [COUNT], LABELS), ''],
    ['from float32', typedIdx('float32', [COUNT, 1], LABELS), ''],
    ['from one-hot rows', idxBytes([COUNT, 10], oneHot), 'rows with a single 1 among 10'],
    ['from CSV', `label\n${LABELS.join('\n')}\n`, ''],
  ])('are read %s', async (_, bytes, note) => {
    const loaded = await load(withTrainLabels(bytes));
    expectWhole(loaded);
    expect(loaded.lines.infos.join('\n')).toContain(note);
  });

  const at = (sample: number, value: number) =>
    LABELS.map((label, i) => (i === sample || i === 200 ? value : label));
  it.each([
    ['label 255', idxBytes([COUNT], at(17, 255)), 'label 255 at sample 17, counted from 0, the first of 2'],
    ['a negative label', typedIdx('int32', [COUNT], at(3, -1)), 'label -1 at sample 3'],
    ['half a class', typedIdx('float32', [COUNT], at(3, 2.5)), 'label 2.5 at sample 3'],
    ['several columns', idxBytes([COUNT, 3]), '3 numbers a sample'],
    ['images', imagesFile, 'which are images, not labels'],
    ['too few', idxBytes([COUNT - 1], LABELS.slice(1)), `expected ${COUNT} labels, one for each image`],
    ['none', idxBytes([0]), 'at least one sample'],
  ])('are rejected: %s', async (_, bytes, found) => {
    const message = await refusal(withTrainLabels(bytes));
    expect(message).toContain(found);
    expect(message).not.toMatch(/delete/i);
  });

  it('in place of images are rejected', async () => {
    expect(await refusal(withTrainImages(labelsFile))).toContain('which are labels, not images');
  });
});
