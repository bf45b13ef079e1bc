import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeDataset } from '../../../coordinator/data/describe-dataset.ts';
import { drawImage } from '../../../coordinator/data/draw-sample.ts';
import { syntheticDigits } from '../../../shared/data/synthetic-digits.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { openPictures, png, writePictures } from './images/picture-files.ts';
import {
  COUNT,
  fourFiles,
  loadFolder,
  PIXEL_VALUES,
  renamed,
  SIDE,
  useScratch,
  writeFiles,
} from './scratch-folder.ts';

const { scratch } = useScratch();
const plain = { inColor: false, columns: 80 };

const inspect = async (files: Record<string, Uint8Array | string>): Promise<string[]> =>
  describeDataset((await loadFolder(await writeFiles(join(scratch.root, 'own'), files))).dataset, plain);

const pictures = async (files: Record<string, Uint8Array | Promise<Uint8Array>>): Promise<string[]> => {
  const folder = await writePictures(join(scratch.root, 'own'), files);
  const { dataset } = await openPictures(folder, { cacheDir: join(scratch.root, 'cache') });
  return describeDataset(dataset, plain);
};

const otherImages = idxBytes(
  [COUNT, SIDE, SIDE],
  PIXEL_VALUES.map((value) => 255 - value),
);

describe('describeDataset', () => {
  it('says how files of images and labels are understood', async () => {
    const lines = await inspect({ ...fourFiles(), 't10k-images-idx3-ubyte': otherImages });
    expect(lines).toContain('  train      256 samples, in memory');
    expect(lines).toContain('  input      image [6, 6, 1], uint8, times 0.003922');
    expect(lines).toContain('  target     label of one value, class from 0 to 9');
    expect(lines.join('\n')).toMatch(/^ {2}0 +26 +26$/m);
    expect(lines).toContain('  image from 0 to 255, mean 127.5');
    expect(lines).toContain('class 0       class 1       class 2       class 3');
    expect(lines.at(-1)).toBe('Nothing was found that would mislead.');
  });

  it('draws samples and counts classes of folders of images', async () => {
    const dark = png(4, 4, [0, 0, 0, 0, 255, 255, 255, 255], 1);
    const light = png(4, 4, [255, 255, 0, 0], 1);
    const names = Array.from({ length: 10 }, (_, i) => i);
    const lines = await pictures({
      ...Object.fromEntries(names.map((i) => [`bars/${i}.png`, dark])),
      ...Object.fromEntries(names.map((i) => [`halves/${i}.png`, light])),
    });
    expect(lines).toContain('  train      16 samples, read when they are needed');
    expect(lines).toContain('  images     4 x 4, 1 channel, fit by crop');
    expect(lines.join('\n')).toMatch(/^ {2}bars +8 +2$/m);
    const drawn = lines.slice(lines.indexOf('Samples') + 1, lines.indexOf('Samples') + 4);
    expect([...new Set(drawn[0]?.split(/\s+/))].toSorted()).toEqual(['bars', 'halves']);
    // Rows of black and white become gray; columns stay.
    expect(drawn[1]).toContain('====');
    expect(drawn[1]).toContain('@@');
    expect(drawn[2]).toBe(drawn[1]);
  });

  it('shows columns and values of a table', async () => {
    const rows = Array.from(
      { length: 40 },
      (_, i) => `${i}.5,7,${i % 2 ? 'red' : 'blue'},${i % 3 ? 'yes' : 'no'}`,
    );
    const lines = await inspect({ 'things.csv': `size,fixed,color,answer\n${rows.join('\n')}\n` });
    expect(lines.join('\n')).toMatch(/columns {4}size \(number\)/);
    expect(lines.find((line) => line.startsWith('  yes'))).toMatch(/yes\s+\d+\s+\d+/);
    expect(lines.join('\n')).toMatch(/\[-?\d.*\] {2}(yes|no)/);
  });
});

describe('a line says', () => {
  it('that images are in both parts', async () => {
    const noise = (seed: number): Promise<Uint8Array> =>
      png(
        8,
        8,
        Array.from({ length: 64 }, (_, i) => (i * i * seed + i) % 251),
        1,
      );
    const lines = await pictures({
      'train/a/1.png': noise(1),
      'train/a/2.png': noise(2),
      'train/b/1.png': noise(3),
      'test/a/9.png': noise(1),
      'test/b/9.png': noise(5),
    });
    expect(lines).toContain(
      '! 1 of 2 validation samples are among the training samples too, so accuracy on new samples is lower.',
    );
  });

  it('that a class is rare, and that another has no sample', async () => {
    const labels = Array.from({ length: COUNT }, (_, i) => (i < 10 ? 1 : i % 2 ? 3 : 4));
    const lines = await inspect({
      ...fourFiles(),
      't10k-images-idx3-ubyte': otherImages,
      'train-labels-idx1-ubyte': idxBytes([COUNT], labels),
      't10k-labels-idx1-ubyte': idxBytes([COUNT], labels),
    });
    expect(lines).toContain(
      '! Class 4 has 123 training samples, class 1 10. --class-weights gives rare classes more weight.',
    );
    expect(lines.join('\n')).toContain('! Classes 0, 2 have no sample');
  });

  it('that EMNIST is transposed, and that images are nearly black', async () => {
    const files = renamed((name) => `emnist-letters-${name.replace('t10k', 'test')}`);
    expect((await inspect(files)).join('\n')).toContain('--transpose turns them upright');
    const black = png(4, 4, [0, 1], 1);
    const lines = await pictures({ 'a/1.png': black, 'a/2.png': black, 'b/1.png': black, 'b/2.png': black });
    expect(lines.join('\n')).toContain('! No pixel is brighter than 1 of 255');
    expect(lines).toContain('! All images that were read are the same.');
  });

  it('that a column has one value', async () => {
    const dataset = syntheticDigits({ seed: 1, trainCount: 4, testCount: 2 });
    const vector = { name: 'x', shape: [3], dtype: 'float32' } as const;
    const values = Float32Array.from([1, 5, 2, 1, 5, 3, 1, 5, 4, 1, 5, 6]);
    const lines = await describeDataset(
      {
        ...dataset,
        inputs: [{ ...vector, shape: [3] }],
        train: { ...dataset.train, inputs: [values] },
        test: { ...dataset.test, inputs: [values.subarray(0, 6)] },
      },
      plain,
    );
    expect(lines).toContain(
      '! x has the same value in all 4 samples that were read, at 0, 1: it tells nothing.',
    );
  });
});

describe('drawImage', () => {
  it('has two pixels a character, in color or from dark to light', () => {
    const spec = { shape: [2, 2, 3] };
    const pixels = Uint8Array.from([255, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    expect(drawImage(spec, pixels, true)).toEqual([
      '\u001b[38;2;255;0;0m\u001b[48;2;0;0;255m▀\u001b[38;2;0;0;0m\u001b[48;2;255;255;255m▀\u001b[0m',
    ]);
    expect(drawImage({ shape: [2, 3, 1] }, Uint8Array.from([0, 128, 255, 0, 128, 255]), false)).toEqual([
      ' +@',
    ]);
  });

  it('shrinks a large image', () => {
    const lines = drawImage({ shape: [320, 640, 1] }, new Uint8Array(320 * 640).fill(255), false);
    expect(lines).toHaveLength(8);
    expect(lines[0]).toBe('@'.repeat(32));
  });
});
