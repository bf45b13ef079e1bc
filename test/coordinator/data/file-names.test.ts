import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { idxBytes } from '../../support/idx-bytes.ts';
import {
  COUNT,
  expectWhole,
  fourFiles,
  loadFolder,
  refusalOf,
  renamed,
  SIDE,
  useScratch,
  writeFiles,
} from './scratch-folder.ts';

const { scratch, load } = useScratch();

describe('a data set is found by the names of', () => {
  const gzipped = (name: string): string => `${name}.gz`;
  it.each<[string, (name: string) => string]>([
    ['EMNIST', (name) => gzipped(`emnist-letters-${name.replace('t10k', 'test')}`)],
    ['QMNIST', (name) => `qmnist-${name.replace('t10k', 'test').replace('idx1-ubyte', 'idx2-int')}`],
    ["Kaggle's folders", (name) => `${name}/${name}`],
    ["Kaggle's folders with dotted names", (name) => `${name}/${name.replace('-idx', '.idx')}`],
    ["torchvision's folder", (name) => `MNIST/raw/${name}`],
    ['upper case', (name) => name.toUpperCase()],
    ['a second download', (name) => `${name} (1).gz`],
    ['a second download by a browser that ignores double extensions', (name) => `${name}.gz (1)`],
    ['a second download by wget', (name) => `${name}.gz.1`],
    ['validation files', (name) => name.replace('t10k', 'val')],
    ['test files', (name) => name.replace('t10k', 'test')],
    ['folders for splits', (name) => name.replace('train-', 'train/').replace('t10k-', 'test/')],
    ['x and y', (name) => name.replace('images-idx3-ubyte', 'x.idx').replace('labels-idx1-ubyte', 'y.idx')],
  ])('%s', async (_, change) => {
    const files = Object.fromEntries(
      Object.entries(renamed(change)).map(([name, bytes]) => [
        name,
        name.includes('.gz') ? gzipSync(bytes) : bytes,
      ]),
    );
    expectWhole(await load(files));
  });

  it('one set beside copies and other files, with a line that names its files', async () => {
    const { lines } = await load({
      ...fourFiles(),
      'train-images-idx3-ubyte (1)': idxBytes([1, SIDE, SIDE]),
      'train-images-idx3-ubyte.gz': 'not read',
      'README.md': 'about train images',
      'archive/train-images-idx3-ubyte': 'in a lower folder',
    });
    expect(lines.infos).toContain(
      'Files: train-images-idx3-ubyte and train-labels-idx1-ubyte to train on, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte to validate on.',
    );
    expect(lines.warnings).toEqual([]);
  });

  it('one of several sets, if --data ends with its prefix', async () => {
    const letters = renamed((name) => `emnist-letters-${name}`);
    const others = renamed((name) => `emnist-digits-${name}`);
    for (const name of Object.keys(others)) if (name.includes('labels')) others[name] = idxBytes([COUNT]);
    const folder = await writeFiles(scratch.root, { ...letters, ...others });
    expect(await refusalOf(loadFolder(folder))).toBe(
      `${folder} (from --data) holds several data sets: emnist-digits, emnist-letters. Choose one, for example --data ${join(folder, 'emnist-digits')}.`,
    );
    expectWhole(await loadFolder(join(folder, 'emnist-letters')));
    expect(await refusalOf(loadFolder(join(folder, 'emnist-none')))).toContain('found nothing there');
    expect(await refusalOf(loadFolder(join(folder, 'none', 'at-all')))).toContain('found nothing there');
  });
});
