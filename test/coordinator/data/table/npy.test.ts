import { join } from 'node:path';
import { utimes, writeFile } from 'node:fs/promises';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { arraysDataset, roleOfArray } from '../../../../coordinator/data/table/arrays-dataset.ts';
import { openNpy } from '../../../../coordinator/data/table/npy.ts';
import { inMemory, openFile } from '../../../../coordinator/data/table/random-access.ts';
import { isLazy, readSamples } from '../../../../shared/data/dataset.ts';
import { zipBytes } from '../../../support/zip-bytes.ts';
import { loadFolder } from '../scratch-folder.ts';
import { npyBytes } from './npy-bytes.ts';
import { rowsOf, stored, targetsOf, useTables } from './table-files.ts';

const { own, write, load, refusal } = useTables();

const VALUES = [0, 1, 2, 3, 100, 1.5];
const whole = (values: readonly number[]): number[] => values.map(Math.floor);
const open = (bytes: Buffer) => openNpy(inMemory(bytes, 'a.npy', ''));

describe('an array is read', () => {
  it.each([
    ...['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'u8', 'i8'].flatMap((code) => [`<${code}`, `>${code}`]),
    '|u1',
    '|i1',
  ])('of %s', async (type) => {
    const array = await open(npyBytes({ type, shape: [3, 2], values: whole(VALUES) }));
    const values = await array.rows(0, 3);
    expect(values).toEqual((type.endsWith('u1') ? Uint8Array : Int32Array).from(whole(VALUES)));
    expect(Array.from(await array.rows(1, 2))).toEqual([2, 3, 100, 1]);
  });

  it.each(['<f2', '>f2', '<f4', '>f4', '<f8', '>f8'])('of %s', async (type) => {
    const values = [...VALUES, -0.25, -1024];
    const array = await open(npyBytes({ type, shape: [4, 2], values }));
    expect(await array.rows(0, 4)).toEqual(Float32Array.from(values));
    expect(array.isFloat).toBe(true);
  });

  it('of special numbers in half precision', async () => {
    const bytes = npyBytes({ type: '<u2', shape: [4], values: [0x7c00, 0xfc00, 0x7e00, 0x0001] });
    const array = await open(Buffer.from(bytes.toString('latin1').replace("'<u2'", "'<f2'"), 'latin1'));
    expect(Array.from(await array.rows(0, 4))).toEqual([Infinity, -Infinity, NaN, 2 ** -24]);
  });

  it('of truth values, in versions 2 and 3 of the format', async () => {
    for (const version of [2, 3] as const) {
      const array = await open(npyBytes({ type: '|b1', shape: [3], values: [1, 0, 2], version }));
      expect(Array.from(await array.rows(0, 3))).toEqual([1, 0, 1]);
    }
  });

  it('in the order of Fortran, as row-major values', async () => {
    // a[i, j, k] = 100 i + 10 j + k, first index fastest.
    const values: number[] = [];
    for (let k = 0; k < 4; k++)
      for (let j = 0; j < 3; j++) for (let i = 0; i < 2; i++) values.push(100 * i + 10 * j + k);
    const array = await open(npyBytes({ type: '<i2', shape: [2, 3, 4], values, fortran: true }));
    expect(array.canReadRows).toBe(false);
    expect(Array.from(await array.rows(0, 2))).toEqual(
      [0, 1].flatMap((i) => [0, 1, 2].flatMap((j) => [0, 1, 2, 3].map((k) => 100 * i + 10 * j + k))),
    );
    expect(Array.from(await array.rows(1, 1)).slice(0, 5)).toEqual([100, 101, 102, 103, 110]);
  });
});

const images = (count: number): Buffer =>
  npyBytes({
    type: '|u1',
    shape: [count, 2, 3],
    values: Array.from({ length: 6 * count }, (_, i) => i % 256),
  });
const classes = (values: readonly number[], type = '<i8'): Buffer =>
  npyBytes({ type, shape: [values.length], values });

describe('a data set of arrays', () => {
  it("is Keras' mnist.npz: images of bytes, and classes", async () => {
    const npz = zipBytes({
      'x_test.npy': images(2),
      'x_train.npy': images(4),
      'y_train.npy': classes([0, 2, 1, 2]),
      'y_test.npy': classes([1, 0]),
    });
    const { dataset } = await load({ 'mnist.npz': npz });
    expect(dataset).toMatchObject({
      name: 'mnist (own files)',
      inputs: [{ name: 'image', shape: [2, 3, 1], dtype: 'uint8', scale: 1 / 255 }],
      targets: [{ name: 'label', shape: [], dtype: 'uint8', classes: 3 }],
    });
    expect(stored(dataset.train).inputs[0]).toEqual(Uint8Array.from({ length: 24 }, (_, i) => i));
    expect(targetsOf(dataset.train)).toEqual([0, 2, 1, 2]);
    expect(targetsOf(dataset.test)).toEqual([1, 0]);
  });

  it('is a pair of files in a folder: vectors with numbers to estimate, of which a part is for testing', async () => {
    const x = npyBytes({ type: '<f8', shape: [10, 2], values: Array.from({ length: 20 }, (_, i) => i) });
    const y = npyBytes({
      type: '<f4',
      shape: [10, 1],
      values: Array.from({ length: 10 }, (_, i) => i + 0.5),
    });
    const { dataset, lines } = await load({ 'X.npy': x, 'y.npy': y });
    expect(dataset.inputs).toEqual([{ name: 'x', shape: [2], dtype: 'float32' }]);
    expect(dataset.targets).toEqual([{ name: 'y', shape: [], dtype: 'float32' }]);
    expect([dataset.train.count, dataset.test.count]).toEqual([8, 2]);
    const rows = rowsOf(dataset.train, 2);
    expect(rows.map(([first]) => first! / 2 + 0.5)).toEqual(targetsOf(dataset.train));
    expect(lines.infos).toEqual([
      'Target: a number (regression), from 0.5 to 9.5.',
      'Validation: 2 of 10 samples, chosen at random (--validation-split, --test-data).',
    ]);
  });

  it('has one-hot rows as classes, and whole numbers of decimals too', async () => {
    const x = npyBytes({ type: '<f4', shape: [6, 1], values: [0, 1, 2, 3, 4, 5] });
    const oneHot = npyBytes({ type: '<f4', shape: [6, 2], values: [1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1] });
    const { dataset } = await load({ 'x.npy': x, 'y.npy': oneHot }, { validationSplit: 0.5 });
    expect(dataset.targets).toEqual([{ name: 'label', shape: [], dtype: 'uint8', classes: 2 }]);
    await write({
      'other/x.npy': x,
      'other/y.npy': npyBytes({ type: '<f8', shape: [6], values: [0, 1, 0, 1, 0, 1] }),
    });
    const numbers = await loadFolder(join(own(), 'other'), { validationSplit: 0.5 });
    expect(numbers.dataset.targets[0]).toMatchObject({ classes: 2 });
    const regression = await loadFolder(join(own(), 'other'), {
      validationSplit: 0.5,
      types: { y: 'number' },
    });
    expect(regression.dataset.targets[0]).toEqual({ name: 'y', shape: [], dtype: 'float32' });
  });

  it('is read from a compressed archive', async () => {
    const npz = deflated(zipBytes({ 'arr/x.npy': images(4), 'arr/y.npy': classes([0, 1, 0, 1]) }));
    const { dataset } = await load({ 'data.npz': npz }, { validationSplit: 0.5 });
    expect(dataset.train.count).toBe(2);
  });

  it('stays on the disk if it is large, with the same samples', async () => {
    const values = Array.from({ length: 40 }, (_, i) => i / 2);
    await write({
      'x.npy': npyBytes({ type: '>f4', shape: [20, 2], values }),
      'y.npy': classes(Array.from({ length: 20 }, (_, i) => i % 2)),
    });
    const path = join(own(), 'x.npy');
    const arrays = async () =>
      Promise.all(
        ['x', 'y'].map(async (name) => ({
          name,
          array: await openNpy(await openFile(join(own(), `${name}.npy`), `${name}.npy`)),
        })),
      );
    const divide = () => ({ train: Uint32Array.of(0, 1, 2, 5, 6, 19), test: Uint32Array.of(3, 4) });
    const about = { name: 'a', description: '' };
    const { dataset } = await arraysDataset(await arrays(), null, { divide, maxBytes: 0 }, about);
    const memory = await arraysDataset(await arrays(), null, { divide }, about);
    const numbers = Uint32Array.of(5, 0, 4, 2, 2);
    const { train } = dataset;
    expect(isLazy(train) && train.labels).toEqual(Uint8Array.of(0, 1, 0, 1, 0, 1));
    expect(isLazy(memory.dataset.train)).toBe(false);
    const read = await readSamples(train, numbers);
    expect(read).toEqual(await readSamples(memory.dataset.train, numbers));
    expect(Array.from(read.inputs[0]!).slice(0, 4)).toEqual([19, 19.5, 0, 0.5]);

    const again = await arraysDataset(await arrays(), null, { divide, maxBytes: 0 }, about);
    expect((again.dataset.train as typeof train & { digest: string }).digest).toBe(
      (train as typeof train & { digest: string }).digest,
    );
    await writeFile(
      path,
      npyBytes({ type: '>f4', shape: [20, 2], values: values.map((value) => value + 1) }),
    );
    await utimes(path, 1, 1);
    await expect(readSamples(train, numbers)).rejects.toThrow(
      'x.npy was changed while it was in use. Start again with a file that stays as it is.',
    );
  });

  it('finds its parts by the names that libraries and people give them', () => {
    expect(['x_train', 'X', 'trainX', 'train_images', 'data', 'Xtrain'].map(roleOfArray)).toEqual(
      Array(6).fill('x_train'),
    );
    expect(['y_test', 'test_labels', 'Y_test', 'ytest', 'testY'].map(roleOfArray)).toEqual(
      Array(5).fill('y_test'),
    );
    expect(['val_images', 'weights', 'x_y'].map(roleOfArray)).toEqual(['x_val', null, null]);
  });
});

/** The same archive with deflated entries: sizes and method of each header are changed. */
function deflated(zip: Buffer): Buffer {
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  let offset = 0;
  while (zip.readUInt32LE(at) === 0x04034b50) {
    const size = zip.readUInt32LE(at + 18);
    const nameLength = zip.readUInt16LE(at + 26);
    const header = Buffer.from(zip.subarray(at, at + 30 + nameLength));
    const data = deflateRawSync(zip.subarray(at + 30 + nameLength, at + 30 + nameLength + size));
    header.writeUInt16LE(8, 8);
    header.writeUInt32LE(data.length, 18);
    parts.push(header, data);
    const entry = Buffer.alloc(46 + nameLength);
    entry.writeUInt32LE(0x02014b50);
    entry.writeUInt16LE(20, 4);
    header.copy(entry, 6, 4, 30);
    entry.writeUInt32LE(offset, 42);
    header.copy(entry, 46, 30);
    central.push(entry);
    offset += header.length + data.length;
    at += 30 + nameLength + size;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(central.length, 8);
  end.writeUInt16LE(central.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, directory, end]);
}

describe('parts of arrays', () => {
  const x = (count: number): Buffer =>
    npyBytes({ type: '<f4', shape: [count, 1], values: Array.from({ length: count }, (_, i) => i / 2) });
  const y = (count: number): Buffer => classes(Array.from({ length: count }, (_, i) => i % 2));
  const files = {
    'x_train.npy': x(20),
    'y_train.npy': y(20),
    'x_test.npy': x(6),
    'y_test.npy': y(6),
  };

  it('are not those of the files if a part is asked for', async () => {
    const { dataset, lines } = await load(files, { validationSplit: 0.5 });
    expect([dataset.train.count, dataset.test.count]).toEqual([10, 10]);
    expect(lines.infos).toContain('Not used: x_test, y_test, because of --validation-split.');
  });

  it('to measure a model on are the test arrays, and the type of its target counts', async () => {
    const measured = { isMeasured: true, measuresAll: true };
    const { dataset } = await load(files, measured);
    expect(dataset.test.count).toBe(6);
    const modelTargets = [{ name: 'y', shape: [], dtype: 'float32' as const }];
    const again = await load(files, { ...measured, modelTargets });
    expect(again.dataset.targets).toEqual(modelTargets);
    expect(targetsOf(again.dataset.test)).toEqual([0, 1, 0, 1, 0, 1]);
  });
});

describe('a broken array is refused with its file and reason', () => {
  const y = classes([0, 1]);
  const two = { type: '<f4', shape: [2, 1], values: [1, 2] };
  it.each([
    [
      'Python objects',
      npyBytes({ ...two, type: '|O' }),
      'x.npy has pickled Python objects, which can run code when they are read (|O). Save an array of numbers: numpy.save(NAME, a.astype("float32")).',
    ],
    [
      'a structured array',
      npyBytes({ ...two, header: "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }" }),
      'x.npy is a structured array of NumPy with named fields. Save its columns as one array of numbers, or as CSV.',
    ],
    [
      'text',
      npyBytes({ ...two, type: '<U5' }),
      'x.npy has text (<U5). Save class numbers: numpy.unique(y, return_inverse=True)[1].',
    ],
    [
      'complex numbers',
      npyBytes({ ...two, type: '<c8' }),
      'x.npy has complex numbers (<c8). Save real and imaginary parts as two channels.',
    ],
    [
      'extended precision',
      npyBytes({ ...two, type: '<f16' }),
      'x.npy has elements of type <f16, which gradcast does not read. Save it as float32.',
    ],
    [
      'a file that is cut short',
      npyBytes(two).subarray(0, -1),
      'x.npy: expected 8 bytes of float32 [2, 1], found 7. The file is cut short: copy or download it again.',
    ],
    [
      'two arrays in one file',
      Buffer.concat([npyBytes(two), npyBytes(two)]),
      'x.npy: expected 8 bytes of float32 [2, 1], found 144. Save one array in each file.',
    ],
    [
      'a size that no file has',
      npyBytes({ ...two, shape: [2 ** 40, 2 ** 40] }),
      'x.npy: expected at most 9 dimensions of a possible size, found [1099511627776, 1099511627776]. Get the file again from where it came, or point --data at another folder.',
    ],
    [
      'a header that is none',
      npyBytes({ ...two, header: 'import os' }),
      "x.npy: expected a header with 'descr', 'fortran_order' and 'shape', found \"import os",
    ],
    [
      'a header beyond the file',
      Buffer.concat([Buffer.from('\x93NUMPY\x02\x00\xff\xff\xff\xff', 'latin1'), Buffer.alloc(90)]),
      'x.npy: expected a header of at most 65536 bytes, found one of 4294967295 in a file of 102.',
    ],
    [
      'a version that there is not',
      Buffer.concat([Buffer.from('\x93NUMPY\x09\x00', 'latin1'), Buffer.alloc(90)]),
      'x.npy: expected version 1, 2 or 3 of the .npy format, found version 9. Save it with numpy.save().',
    ],
    [
      'another file',
      Buffer.from('GIF89a, which is an image'),
      'x.npy: expected a NumPy array (.npy), found bytes that begin with 0x474946383961. Save it with numpy.save().',
    ],
    [
      'a single number',
      npyBytes({
        ...two,
        shape: [],
        values: [1],
        header: "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
      }),
      'x.npy: expected an array of samples, found a single number. Save an array whose first dimension counts the samples.',
    ],
    [
      'no samples',
      npyBytes({ ...two, shape: [0, 4], values: [] }),
      'x.npy: expected samples, found none: [0, 4]. Save an array with samples.',
    ],
    [
      'a number beyond 32 bits',
      npyBytes({ type: '<i8', shape: [2, 1], values: [1, 2 ** 31] }),
      'x.npy: sample 1, counted from 0, has the int64 2147483648, which is beyond 32 bits. Save the array as float32, or smaller numbers.',
    ],
    [
      'a value that is none',
      npyBytes({ ...two, values: [1, NaN] }),
      'x.npy: sample 1, counted from 0, has the value NaN. Replace it, or remove the sample.',
    ],
    [
      'another number of samples',
      npyBytes({ ...two, shape: [1, 2] }),
      'y.npy: expected 1 targets, one for each sample of x.npy, found 2. Use arrays that belong together.',
    ],
    [
      'channels first',
      npyBytes({ type: '|u1', shape: [2, 3, 2, 2], values: Array<number>(24).fill(0) }),
      'x.npy: images of [3, 2, 2] have their channels first. Save them with channels last: numpy.moveaxis(x, 1, -1).',
    ],
  ])('%s', async (_, x, message) => {
    expect(await refusal({ 'x.npy': x, 'y.npy': y })).toContain(message);
  });

  it.each([
    [
      'targets missing',
      { 'x.npy': npyBytes(two) },
      'x.npy: expected arrays named x_train and y_train, or X and y, found x. Rename them, or save both.',
    ],
    [
      'half of a test part',
      { 'x.npy': npyBytes(two), 'y.npy': y, 'x_test.npy': npyBytes(two) },
      'expected both x_test and y_test, found x, x_test, y. Save both, or neither.',
    ],
    [
      'two arrays for one part',
      { 'x.npy': npyBytes(two), 'X_train.npy': npyBytes(two), 'y.npy': y },
      'x.npy and X_train.npy are both read as x_train. Rename one of them.',
    ],
    [
      'an archive without arrays',
      { 'data.npz': zipBytes({ 'readme.txt': 'hello' }) },
      'data.npz: expected a zip archive of NumPy arrays, found 1 other files in data.npz. Save it with numpy.savez().',
    ],
    [
      'a cut archive',
      { 'data.npz': zipBytes({ 'x.npy': npyBytes(two) }).subarray(0, 60) },
      'data.npz: expected a whole zip archive, found one that is cut short or damaged.',
    ],
    [
      'options of tables',
      { 'x.npy': npyBytes(two), 'y.npy': y },
      'own has arrays. Leave it out, or choose another --format.',
    ],
  ] as const)('%s', async (name, files, message) => {
    expect(await refusal(files, name === 'options of tables' ? { target: 'y' } : {})).toContain(message);
  });
});

it.each([
  ['a.npy', 'a NumPy array (.npy)'],
  ['a.npz', 'a zip archive of NumPy arrays'],
])('a web page with the name %s is named', async (name, expected) => {
  expect(await refusal({ [name]: '<!DOCTYPE html><html><body>Sign in</body></html>' })).toBe(
    `${name}: expected ${expected}, found a web page (HTML). Download the file itself: a page was saved in its place.`,
  );
});
