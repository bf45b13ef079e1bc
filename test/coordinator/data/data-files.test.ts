import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unreadable } from '../../../coordinator/data/data-file.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { zipBytes } from '../../support/zip-bytes.ts';
import {
  COUNT,
  csvText,
  fourFiles,
  imagesFile,
  LABELS,
  labelsFile,
  loadFolder,
  PIXEL_VALUES,
  refusalOf,
  renamed,
  SIDE,
  typedIdx,
  writeFiles,
  type Loaded,
} from './data-folders.ts';

let root: string;
beforeEach(async () => void (root = await mkdtemp(join(tmpdir(), 'gradcast-data-'))));
afterEach(() => rm(root, { recursive: true }));

/** Whether all samples came through as they were written. */
function expectWhole({ dataset }: Loaded): void {
  expect(dataset).toMatchObject({ sampleShape: [SIDE, SIDE, 1], classes: 10 });
  for (const { images, labels, count } of [dataset.train, dataset.test]) {
    expect(count).toBe(COUNT);
    // toEqual takes a tenth of a second for so many numbers.
    expect(Buffer.from(images).equals(Uint8Array.from(PIXEL_VALUES))).toBe(true);
    expect(Buffer.from(labels).equals(Uint8Array.from(LABELS))).toBe(true);
  }
}

const load = async (files: Record<string, Uint8Array | string>, below = ''): Promise<Loaded> =>
  loadFolder(join(await writeFiles(join(root, 'own'), files), below));
const refusal = (files: Record<string, Uint8Array | string>): Promise<string> => refusalOf(load(files));
const withTrainImages = (bytes: Uint8Array | string): Record<string, Uint8Array | string> => ({
  ...fourFiles(),
  'train-images-idx3-ubyte': bytes,
});
const withTrainLabels = (bytes: Uint8Array | string): Record<string, Uint8Array | string> => ({
  ...fourFiles(),
  'train-labels-idx1-ubyte': bytes,
});

// `bzip2` of labelsFile; and of its first 100 bytes, followed by that of the others, as parallel packers write it.
const BZIP2 = 'QlpoOTFBWSZTWQ9Pq4MAAAFAAH/gIABQgBgJqpDBMWfOqYu4J9JmTUm5NqcU11Tin4u5IpwoSAen1cGA';
const BZIP2_TWICE =
  'QlpoOTFBWSZTWTG+xUMAAAFAAH/gIAAxADAKUoNMmWcjHMp3HkexqPo3GuRuPxdyRThQkDG+xUNCWmg5MUFZJlNZiGNqmQAAGEAAf+AgAFCAGAVKBo0sMBkK3ByCoNB0PBYfF3JFOFCQiGNqmQ==';
const base64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));

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
    ['a second download of a browser that knows no double extensions', (name) => `${name}.gz (1)`],
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

  it('a set whose files are all that is chosen, with a line for what was taken for what', async () => {
    const { lines } = await load({
      ...fourFiles(),
      'train-images-idx3-ubyte (1)': idxBytes([1, SIDE, SIDE]),
      'train-images-idx3-ubyte.gz': 'not looked at',
      'README.md': 'about train images',
      'archive/train-images-idx3-ubyte': 'lower down',
    });
    expect(lines.infos).toContain(
      'Files: train-images-idx3-ubyte and train-labels-idx1-ubyte to train on, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte to validate on.',
    );
    expect(lines.warnings).toEqual([]);
  });

  it('one of several sets, if the person says which', async () => {
    const letters = renamed((name) => `emnist-letters-${name}`);
    const others = renamed((name) => `emnist-digits-${name}`);
    for (const name of Object.keys(others)) if (name.includes('labels')) others[name] = idxBytes([COUNT]);
    const folder = await writeFiles(root, { ...letters, ...others });
    expect(await refusalOf(loadFolder(folder))).toBe(
      `${folder} (from --data) holds several data sets: emnist-digits, emnist-letters. Choose one, for example --data ${join(folder, 'emnist-digits')}.`,
    );
    expectWhole(await loadFolder(join(folder, 'emnist-letters')));
    expect(await refusalOf(loadFolder(join(folder, 'emnist-none')))).toContain('found nothing there');
    expect(await refusalOf(loadFolder(join(folder, 'none', 'at-all')))).toContain('found nothing there');
  });
});

describe('a packed file is read', () => {
  it.each<[string, Uint8Array]>([
    ['gzip', gzipSync(labelsFile)],
    ['gzip twice', gzipSync(gzipSync(labelsFile))],
    ['zip', zipBytes({ 'train-labels-idx1-ubyte': labelsFile })],
    ['zip with a file of another name', zipBytes({ 'data.bin': labelsFile, '__MACOSX/._data.bin': 'x' })],
    ['gzip in zip', zipBytes({ 'l.gz': gzipSync(labelsFile) })],
    ['bzip2', base64(BZIP2)],
    ['bzip2 in several streams', base64(BZIP2_TWICE)],
    ['not at all', labelsFile],
  ])('that is %s, whatever its name says', async (_, bytes) => {
    for (const ending of ['', '.gz', '.zip', '.bz2']) {
      const files: Record<string, Uint8Array> = {
        ...fourFiles(),
        [`train-labels-idx1-ubyte${ending}`]: bytes,
      };
      if (ending !== '') delete files['train-labels-idx1-ubyte'];
      expectWhole(await load(files));
      await rm(join(root, 'own'), { recursive: true });
    }
  });

  it.each<[string, Uint8Array | string, string]>([
    ['gzip cut short', gzipSync(labelsFile).subarray(0, 30), 'it ends after 30 bytes'],
    [
      'zip cut short',
      zipBytes({ l: labelsFile }).subarray(0, 200),
      'a whole zip archive, found one that is cut',
    ],
    ['bzip2 cut short', base64(BZIP2).subarray(0, 40), 'it ends after 40 bytes'],
    [
      'bzip2 with a flipped bit',
      base64(BZIP2).map((b, i) => (i === 35 ? b ^ 4 : b)),
      'bzip2 stream, found one',
    ],
    [
      'packed four times',
      [1, 2, 3, 4].reduce((bytes: Uint8Array) => gzipSync(bytes), labelsFile),
      'at most 3 times',
    ],
    ['zip of several files', zipBytes({ a: labelsFile, b: labelsFile }), 'a zip archive of 2 files'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'Git LFS pointer'],
    ['a web page', '\n<!DOCTYPE html><html></html>', 'a web page (HTML)'],
    ['a NumPy array', Buffer.from("\x93NUMPY\x01\0v\0{'descr': '<i8'}", 'latin1'), 'a NumPy array (.npy)'],
    ['NumPy arrays', zipBytes({ 'x.npy': '\x93NUMPY', 'y.npy': '\x93NUMPY' }), 'NumPy arrays (.npz)'],
    ['a pickle', Uint8Array.of(0x80, 4, 0x95, 1, 2, 3), 'a Python pickle'],
    [
      'an xz file',
      Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0),
      'an xz file, which gradcast does not unpack',
    ],
    ['a tar archive', tarBytes(), 'a tar archive'],
    ['a MATLAB file', 'MATLAB 5.0 MAT-file, Platform: GLNXA64', 'a MATLAB file (.mat)'],
    ['a PNG', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10), 'a PNG image'],
    ['text of terminal commands', 'caf\u00e9 \u009b2J', 'text that begins with "caf'],
    ['prose', 'Thank you for your download.', 'text that begins with "Thank you for your'],
    ['nothing', '', 'an empty file (0 bytes)'],
  ])('and %s is named', async (_, bytes, found) => {
    const message = await refusal(withTrainLabels(bytes));
    expect(message).toContain(join(root, 'own', 'train-labels-idx1-ubyte'));
    expect(message).toContain(found);
    expect(message).not.toMatch(/delete/i);
    expect(message.length).toBeLessThan(420);
  });

  it('a gzip bomb is inflated no further than its header says', async () => {
    const bomb = gzipSync(Buffer.concat([labelsFile, Buffer.alloc(2 ** 26)]));
    expect(await refusal(withTrainLabels(bomb))).toMatch(/found 1\d{6} bytes: at least 1\d{6} too many/);
  });

  it('an archive of the whole set is a folder, by itself or in one', async () => {
    const archive = zipBytes(renamed((name) => `gzip/emnist-digits-${name}.gz`));
    const folder = await writeFiles(join(root, 'own'), { 'emnist.zip': archive });
    expectWhole(await loadFolder(folder));
    expectWhole(await loadFolder(join(folder, 'emnist.zip')));
    expectWhole(await loadFolder(join(folder, 'emnist.zip', 'gzip', 'emnist-digits')));
  });
});

describe('images are read', () => {
  const scaled = PIXEL_VALUES.map((value) => value / 255);
  it.each([
    ['int16', PIXEL_VALUES, 'int16 images of whole numbers are read as bytes'],
    ['int32', PIXEL_VALUES, 'int32 images of whole numbers'],
    ['float32', PIXEL_VALUES, 'float32 images of whole numbers'],
    ['float32', scaled, 'float32 images from 0 to 1 are read as 0 to 255'],
    ['float64', scaled, 'float64 images from 0 to 1'],
  ] as const)('of %s (%#)', async (type, values, note) => {
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
  ] as const)('but %s of other values is named (%#)', async (type, values, found) => {
    expect(await refusal(withTrainImages(typedIdx(type, [COUNT, SIDE, SIDE], values)))).toContain(found);
  });

  it('as rows of pixels, if they make a square', async () => {
    const loaded = await load(withTrainImages(idxBytes([COUNT, SIDE * SIDE], PIXEL_VALUES)));
    expectWhole(loaded);
    expect(loaded.lines.infos.join('\n')).toContain('rows of 36 numbers are read as images of 6 x 6');
    expect(await refusal(withTrainImages(idxBytes([COUNT, 35])))).toContain('35 pixels make no square image');
  });

  it('with channels before the pixels, or behind them', async () => {
    const grey = await load(withTrainImages(idxBytes([COUNT, 1, SIDE, SIDE], PIXEL_VALUES)));
    expectWhole(grey);
    expect(grey.lines.infos.join('\n')).toContain(`is read as 1 channel of ${SIDE} x ${SIDE}`);
    await rm(join(root, 'own'), { recursive: true });
    const planes = idxBytes([2, 3, 2, 5], [...Array(60).keys()]);
    const rows = idxBytes(
      [2, 2, 5, 3],
      [...Array(60).keys()].map((i) => Math.floor(i / 30) * 30 + (i % 3) * 10 + Math.floor((i % 30) / 3)),
    );
    const files = { 'train-labels': idxBytes([2]), 'test-labels': idxBytes([2]) };
    const { dataset } = await load({ ...files, 'train-images': planes, 'test-images': rows });
    expect(dataset.sampleShape).toEqual([2, 5, 3]);
    expect(dataset.train.images).toEqual(dataset.test.images);
  });

  it('of 300 x 300 in colour, and of 1 x 784', async () => {
    const labels = { 'train-labels': idxBytes([4]), 'test-labels': idxBytes([4]) };
    const big = idxBytes([4, 300, 300, 3], new Uint8Array(4 * 270_000).fill(7));
    const { dataset } = await load({ ...labels, 'train-images': big, 'test-images': big });
    expect(dataset.sampleShape).toEqual([300, 300, 3]);
    const flat = idxBytes([4, 1, 784]);
    await rm(join(root, 'own'), { recursive: true });
    const rows = await load({ ...labels, 'train-images': flat, 'test-images': flat });
    expect(rows.dataset.sampleShape).toEqual([1, 784, 1]);
  });
});

describe('labels are read', () => {
  const eightColumns = LABELS.flatMap((label, i) => [label, 4, i, 0, 100 + label, i, i, 0]);
  const oneHot = LABELS.flatMap((label) => Array.from({ length: 10 }, (_, i) => (i === label ? 1 : 0)));
  it.each([
    ["of QMNIST's eight columns", typedIdx('int32', [COUNT, 8], eightColumns), "QMNIST's 8 columns"],
    ['of int32', typedIdx('int32', [COUNT], LABELS), ''],
    ['of float32', typedIdx('float32', [COUNT, 1], LABELS), ''],
    ['one hot', idxBytes([COUNT, 10], oneHot), 'rows with a single 1 among 10'],
    ['as CSV', `label\n${LABELS.join('\n')}\n`, ''],
  ])('%s', async (_, bytes, note) => {
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
    ['images', imagesFile, 'which are images and not labels'],
    ['too few', idxBytes([COUNT - 1], LABELS.slice(1)), `expected ${COUNT} labels, one for each image`],
    ['none', idxBytes([0]), 'at least one sample'],
  ])('but %s is named', async (_, bytes, found) => {
    const message = await refusal(withTrainLabels(bytes));
    expect(message).toContain(found);
    expect(message).not.toMatch(/delete/i);
  });

  it('and labels in place of images are named', async () => {
    expect(await refusal(withTrainImages(labelsFile))).toContain('which are labels and no images');
  });
});

describe('a CSV file is read', () => {
  it.each([
    ['with the names of MNIST', 'mnist_train.csv', 'mnist_test.csv', csvText('mnist')],
    ['with numbered pixels', 'fashion-mnist_train.csv', 'fashion-mnist_test.csv', csvText('pixels')],
    ['without names', 'emnist-digits-train.csv', 'emnist-digits-test.csv', csvText('none')],
    ['with the label last', 'train.csv', 'test.csv', csvText('pixels', true)],
    ['with a byte order mark and line breaks of Windows', 'train.csv', 'val.csv', windows(csvText('mnist'))],
    ['with quotes', 'train.csv', 'test.csv', csvText('mnist').replaceAll(/[a-z0-9]+/g, '"$&"')],
    ['with semicolons', 'train.csv', 'test.csv', csvText('mnist').replaceAll(',', ';')],
  ])('%s', async (_, train, test, text) => {
    expectWhole(await load({ [train]: text, [test]: text }));
  });

  it('packed', async () => {
    const gz = gzipSync(csvText('mnist'));
    const zip = zipBytes({ 'mnist_test.csv': csvText('mnist') });
    expectWhole(await load({ 'mnist_train.csv.gz': gz, 'mnist_test.csv.zip': zip }));
  });

  it('with a column of row numbers in front, as pandas writes it', async () => {
    const numbered = csvText('mnist')
      .trimEnd()
      .split('\n')
      .map((row, i) => `${i === 0 ? '' : i - 1},${row}`)
      .join('\n');
    expectWhole(await load({ 'train.csv': numbered, 'test.csv': csvText('mnist') }));
  });

  it('under the name of an IDX file, which is said', async () => {
    const files = { 'train-images-idx3-ubyte': csvText('mnist'), 't10k-images-idx3-ubyte': csvText('mnist') };
    const alone = await load(files);
    expectWhole(alone);
    const line = 'CSV text under the name of an IDX file; its own column of labels is used.';
    expect(alone.lines.infos.filter((info) => info.endsWith(line))).toHaveLength(2);
    await rm(join(root, 'own'), { recursive: true });
    expectWhole(await load({ ...fourFiles(), ...files }));
  });

  it('of decimal numbers from 0 to 1', async () => {
    const text = csvText('mnist').replaceAll(/,(\d+)(?=[,\n])/g, (_, n: string) => `,${Number(n) / 255}`);
    expectWhole(await load({ 'train.csv': text, 'test.csv': csvText('mnist') }));
  });

  const rows = csvText('mnist').split('\n');
  it.each([
    [
      'a word',
      rows.with(3, rows[3]!.replace(/\d+$/, 'white')).join('\n'),
      '"white" in data row 3, column 37',
    ],
    ['an empty field', rows.with(3, rows[3]!.replace(/\d+$/, '')).join('\n'), 'an empty field in data row 3'],
    ['a short row', rows.with(4, '1,2,3').join('\n'), '37 fields in every row, found 3 in data row 4'],
    ['only names', rows[0]!, 'at least one row of numbers'],
    ['no label', csvText('pixels').replaceAll(/^[^,]*,/gm, ''), '36 columns of pixels and no label'],
    ['label 300', csvText('mnist').replaceAll(/^3,/gm, '300,'), 'label 300 at sample 3'],
  ])('but with %s it is refused in words', async (_, text, found) => {
    const message = await refusal({ 'train.csv': text, 'test.csv': csvText('mnist') });
    expect(message).toContain(join(root, 'own', 'train.csv'));
    expect(message).toContain(found);
  });
});

describe('what is no file is named', () => {
  const without = (): Record<string, Uint8Array> => {
    const files = fourFiles();
    delete files['train-images-idx3-ubyte'];
    return files;
  };
  const path = (): string => join(root, 'own', 'train-images-idx3-ubyte');

  it.each<[string, () => Promise<unknown>, string]>([
    ['a folder', () => mkdir(path()), 'is a folder with nothing in it, not a file'],
    ['a broken link', () => symlink('nowhere', path()), 'is a link to nowhere, where nothing is'],
    [
      'a link to itself',
      () => symlink('train-images-idx3-ubyte', path()),
      'is a link that leads in a circle',
    ],
  ])('%s', async (_, make, found) => {
    await writeFiles(join(root, 'own'), without());
    await make();
    const message = await refusalOf(loadFolder(join(root, 'own')));
    expect(message).toContain(`${path()} ${found}`);
    expect(message).not.toMatch(/ENOENT|EISDIR|ELOOP/);
  });

  it.skipIf(process.platform === 'win32')('a socket, which like a pipe would never end', async () => {
    await writeFiles(join(root, 'own'), without());
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path(), resolve));
    try {
      expect(await refusalOf(loadFolder(join(root, 'own')))).toContain('is a pipe, a socket or a device');
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('a link to a file is a file', async () => {
    await writeFiles(join(root, 'own'), { ...without(), 'elsewhere/it': imagesFile });
    await symlink(join('elsewhere', 'it'), path());
    expectWhole(await loadFolder(join(root, 'own')));
  });

  it.each([
    ['EACCES', 'you have no permission to read it'],
    ['EIO', 'the disk reports an error'],
    ['EWHATEVER', 'EWHATEVER'],
  ])('a file that fails with %s', (code, found) => {
    const { message } = unreadable('/data/it', Object.assign(new Error('raw words'), { code }));
    expect(message).toBe(
      `/data/it cannot be read: ${found}. Make it readable, or point --data at another folder.`,
    );
  });

  it('other kinds of data, with their number and what is read', async () => {
    const files = { 'cats/1.png': 'x', 'cats/2.png': 'x', 'dogs/3.png': 'x', 'pathmnist.npz': 'x' };
    const message = await refusal(files);
    expect(message).toContain('only files of other kinds (3 .png, 1 .npz)');
    expect(message).toContain('CSV files of a label and pixels');
    const npz = zipBytes({ 'train_images.npy': '\x93NUMPY', 'train_labels.npy': '\x93NUMPY' });
    await writeFiles(join(root, 'own'), { 'pathmnist.npz': npz, 'train-labels': labelsFile });
    expect(await refusalOf(loadFolder(join(root, 'own', 'pathmnist.npz')))).toContain('NumPy arrays (.npz)');
    expect(await refusalOf(loadFolder(join(root, 'own', 'train-labels')))).toBe(
      `${join(root, 'own', 'train-labels')} (from --data) is one file of a data set. Point --data at the folder that it is in: ${join(root, 'own')}.`,
    );
  });
});

function windows(text: string): string {
  return `\ufeff${text.replaceAll('\n', '\r\n')}`;
}

function tarBytes(): Uint8Array {
  const bytes = Buffer.alloc(1024);
  bytes.write('train-labels');
  bytes.write('ustar', 257);
  return bytes;
}
