import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, it } from 'vitest';
import { openParquet } from '../../../../coordinator/data/table/parquet-file.ts';
import { parquetDataset } from '../../../../coordinator/data/table/parquet-dataset.ts';
import { inMemory } from '../../../../coordinator/data/table/random-access.ts';
import { isLazy, readSamples } from '../../../../shared/data/dataset.ts';
import { png } from '../images/picture-files.ts';
import { rowsOf, stored, targetsOf, useTables } from './table-files.ts';

const { own, load, refusal } = useTables();

type Options = Parameters<typeof parquetWriteBuffer>[0];
/** With a schema, columns have no types of their own. */
const parquet = (columnData: Options['columnData'], options: Partial<Options> = {}): Buffer => {
  const columns =
    options.schema === undefined ? columnData : columnData.map(({ name, data }) => ({ name, data }));
  return Buffer.from(parquetWriteBuffer({ columnData: columns, ...options }));
};

/** As the library datasets writes it. */
const huggingFace = (features: object) => ({
  kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }],
});

const HALF = { validationSplit: 0.5 };

describe('Parquet is read', () => {
  it('as a table of numbers, text, truth values and missing ones, in several row groups', async () => {
    const columns: Options['columnData'] = [
      { name: 'size', data: [1, 3, null, 5], type: 'DOUBLE' },
      { name: 'count', data: [10n, 20n, 10n, 20n], type: 'INT64' },
      { name: 'color', data: ['red', 'green', 'red', null], type: 'STRING' },
      { name: 'open', data: [true, false, true, true], type: 'BOOLEAN' },
      { name: 'day', data: Array<Date>(4).fill(new Date(0)), type: 'TIMESTAMP' },
      { name: 'y', data: [0.5, 1.5, 2.5, 3.5], type: 'FLOAT' },
    ];
    const test: Options['columnData'] = [
      { name: 'y', data: [9], type: 'FLOAT' },
      { name: 'open', data: [false], type: 'BOOLEAN' },
      { name: 'color', data: ['green'], type: 'STRING' },
      { name: 'count', data: [15], type: 'INT32' },
      { name: 'size', data: [3], type: 'DOUBLE' },
    ];
    const { dataset, lines } = await load({
      'train.parquet': parquet(columns, { rowGroupSize: 3 }),
      'test.parquet': parquet(test),
    });
    // size, count, color (none, green, red), open (false, true)
    expect(rowsOf(dataset.train, 7)).toEqual([
      [-1.224745, -1, 0, 0, 1, 0, 1],
      [0, 1, 0, 1, 0, 1, 0],
      [0, -1, 0, 0, 1, 0, 1],
      [1.224745, 1, 1, 0, 0, 0, 1],
    ]);
    expect(rowsOf(dataset.test, 7)).toEqual([[0, 0, 0, 1, 0, 1, 0]]);
    expect(targetsOf(dataset.test)).toEqual([9]);
    expect(lines.infos[0]).toBe('Left out: day, which has dates.');
  });

  it('of several files, compressed, with class names of Hugging Face', async () => {
    const part = (from: number) =>
      parquet(
        [
          { name: 'x', data: Array.from({ length: 10 }, (_, i) => from + i), type: 'DOUBLE' },
          { name: 'label', data: Array.from({ length: 10 }, (_, i) => BigInt(i % 2)), type: 'INT64' },
        ],
        { codec: 'SNAPPY', ...huggingFace({ label: { _type: 'ClassLabel', names: ['zebra', 'ant'] } }) },
      );
    const { dataset } = await load(
      {
        'data/train-00000-of-00002-0123456789abcdef.parquet': part(0.5),
        'data/train-00001-of-00002-fedcba9876543210.parquet': part(10.5),
      },
      HALF,
    );
    expect(dataset.train.count).toBe(10);
    expect(dataset.classNames).toEqual(['ant', 'zebra']);
    expect(targetsOf(dataset.train).filter((label) => label === 0)).toHaveLength(5);
  });

  it('as lists of numbers', async () => {
    const vectors = Array.from({ length: 6 }, (_, i) => [i, i + 0.5, -i]);
    const file = parquet(
      [
        { name: 'vector', data: vectors, type: 'FLOAT' } as never,
        { name: 'id', data: ['a', 'b', 'c', 'd', 'e', 'f'], type: 'STRING' },
        { name: 'y', data: [0.5, 1, 2, 3, 4, 5], type: 'DOUBLE' },
      ],
      { schema: listSchema('vector', ['id', 'BYTE_ARRAY'], ['y', 'DOUBLE']) },
    );
    const { dataset, lines } = await load({ 'vectors.parquet': file }, HALF);
    expect(dataset.inputs).toEqual([{ name: 'vector', shape: [3], dtype: 'float32' }]);
    const rows = rowsOf(dataset.train, 3);
    expect(rows.map(([first, second, third]) => [second! - first!, third! + first!])).toEqual(
      Array(3).fill([0.5, 0]),
    );
    expect(lines.infos).toContain('Left out: id, beside the lists of vector.');
  });

  const pictures = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, i) => png(2, 2, [10 * i, 1, 2, 3], 1)));
  const imageFile = async (count: number, rowGroupSize: number): Promise<Buffer> =>
    parquet(
      [
        {
          name: 'image',
          data: (await pictures(count)).map((bytes) => ({ bytes: new Uint8Array(bytes), path: null })),
        },
        { name: 'label', data: Array.from({ length: count }, (_, i) => BigInt(i % 3)), type: 'INT64' },
      ],
      {
        rowGroupSize,
        schema: IMAGE_SCHEMA,
        ...huggingFace({ image: { _type: 'Image' }, label: { _type: 'ClassLabel', names: ['c', 'a', 'b'] } }),
      },
    );

  it.each([
    ['names', ['cat', 'dog', 'owl'], 'STRING', ['cat', 'dog', 'owl']],
    ['numbers', [1, 3, 5], 'INT32', ['1', '3', '5']],
  ] as const)('as images with the classes of a model, which are %s', async (_, kinds, type, classNames) => {
    const file = async (labels: number[]): Promise<Buffer> =>
      parquet([
        { name: 'image', data: (await pictures(labels.length)).map((bytes) => new Uint8Array(bytes)) },
        { name: 'kind', data: labels.map((label) => kinds[label]!), type },
        { name: 'weight', data: labels.map((_label, i) => i), type: 'INT32' },
      ]);
    const options = { target: 'kind' } as const;
    const all = await load(
      { 'all.parquet': await file([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]) },
      { ...options, ...HALF },
    );
    expect(all.dataset.classNames).toEqual(classNames);
    const model = {
      classNames: all.dataset.classNames,
      preprocessing: all.dataset.preprocessing,
      modelTargets: all.dataset.targets,
      isMeasured: true,
      measuresAll: true,
    };
    // The target is found by its name in the model.
    const other = await load({ 'other.parquet': await file([2, 1, 2]) }, model);
    expect(targetsOf(other.dataset.test)).toEqual([2, 1, 2]);
    expect(other.dataset.classNames).toEqual(classNames);
    expect(other.dataset.targets).toEqual(all.dataset.targets);
    const { dataset } = await load(
      { 'all.parquet': await file([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]) },
      { ...model, ...HALF, measuresAll: false },
    );
    expect(targetsOf(dataset.test)).toEqual(targetsOf(all.dataset.test));
  });

  it('as images, with their classes in the order of Hugging Face', async () => {
    const { dataset, lines } = await load({
      'train.parquet': await imageFile(9, 4),
      'test.parquet': await imageFile(3, 10),
    });
    expect(dataset).toMatchObject({
      inputs: [{ name: 'image', shape: [2, 2, 1], dtype: 'uint8', scale: 1 / 255 }],
      targets: [{ name: 'label', dtype: 'uint8', classes: 3 }],
      classNames: ['c', 'a', 'b'],
      preprocessing: { kind: 'image', size: [2, 2], channels: 1, fit: 'crop' },
    });
    expect(Array.from(stored(dataset.train).inputs[0]!)).toEqual(
      Array.from({ length: 9 }, (_, i) => [10 * i, 1, 2, 3]).flat(),
    );
    expect(targetsOf(dataset.train)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
    expect(dataset.test.count).toBe(3);
    expect(lines.infos).toContain('Images: 2 x 2, gray.');
    const larger = await load(
      { 'train.parquet': await imageFile(9, 4), 'test.parquet': await imageFile(3, 10) },
      { imageSize: [4, 5], channels: 3 },
    );
    expect(larger.dataset.inputs[0]).toMatchObject({ shape: [4, 5, 3] });
  });

  it('image by image if the samples do not fit into memory, each one decoded once', async () => {
    const file = await openParquet(inMemory(await imageFile(9, 4), 'a.parquet', 'stamp'));
    expect(file.groups).toEqual([
      { from: 0, rows: 4 },
      { from: 4, rows: 4 },
      { from: 8, rows: 1 },
    ]);
    let decoded = 0;
    const decoder = {
      decode: (bytes: Uint8Array) => {
        decoded++;
        return Promise.resolve(Uint8Array.of(bytes.at(-20) ?? 0));
      },
      header: () => Promise.resolve({ height: 1, width: 1, isGray: true }),
    };
    const options = {
      divide: () => ({ train: Uint32Array.of(0, 1, 5, 8), test: Uint32Array.of(2) }),
      decoder,
      progress: () => undefined,
      warn: () => undefined,
    };
    const about = { name: 'a', description: '' };
    const open = async (maxBytes?: number) =>
      (
        await parquetDataset(
          { train: [file], test: null },
          { ...options, maxBytes, cacheFolder: own() },
          about,
        )
      ).dataset;
    const { train, test } = await open(0);
    const memory = await open();
    expect(isLazy(train) && train.labels).toEqual(Uint8Array.of(0, 1, 2, 2));
    decoded = 0;
    const numbers = Uint32Array.of(3, 0, 2, 2);
    expect(await readSamples(train, numbers)).toEqual(await readSamples(memory.train, numbers));
    expect(decoded).toBe(3);
    await readSamples(train, Uint32Array.of(1, 3));
    expect(decoded).toBe(4);
    // The other part, and another run, read what is on disk.
    expect(await readSamples(test, Uint32Array.of(0))).toEqual(
      await readSamples(memory.test, Uint32Array.of(0)),
    );
    const again = (await open(0)).train;
    decoded = 0;
    expect(await readSamples(again, numbers)).toEqual(await readSamples(memory.train, numbers));
    expect(decoded).toBe(0);
  });
});

const IMAGE_SCHEMA = [
  { name: 'schema', num_children: 2 },
  { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
  { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
  { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
] as NonNullable<Options['schema']>;

const listSchema = (name: string, ...others: [string, string][]) =>
  [
    { name: 'schema', num_children: 1 + others.length },
    { name, num_children: 1, converted_type: 'LIST', repetition_type: 'OPTIONAL' },
    { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
    { name: 'element', type: 'FLOAT', repetition_type: 'OPTIONAL' },
    ...others.map(([other, type]) => ({
      name: other,
      type,
      repetition_type: 'OPTIONAL',
      ...(type === 'BYTE_ARRAY' ? { converted_type: 'UTF8' } : {}),
    })),
  ] as NonNullable<Options['schema']>;

it('a missing number to estimate is an error in the test part too', async () => {
  const vectors = (y: (number | null)[]): Buffer =>
    parquet(
      [
        { name: 'v', data: y.map((_, i) => [i, 1]) },
        { name: 'y', data: y, type: 'DOUBLE' },
      ],
      { schema: listSchema('v', ['y', 'DOUBLE']) },
    );
  expect(
    await refusal({ 'train.parquet': vectors([0.5, 1, 2]), 'test.parquet': vectors([1, null, 3, null]) }),
  ).toContain(
    'test.parquet: row 2 has no value of the target y, the first of 2 such rows. Fill it in, or remove such rows.',
  );
});

describe('a broken Parquet file is refused with its name and reason', () => {
  const good = parquet([
    { name: 'x', data: Array.from({ length: 40 }, (_, i) => i / 3), type: 'DOUBLE' },
    { name: 'y', data: Array.from({ length: 40 }, (_, i) => i % 2), type: 'INT32' },
  ]);
  const changed = (at: number, value: number): Buffer => {
    const bytes = Buffer.from(good);
    bytes[at < 0 ? bytes.length + at : at] = value;
    return bytes;
  };
  it.each([
    ['nothing', Buffer.alloc(0), 'a.parquet: expected a Parquet file, found 0 bytes.'],
    [
      'a file that is cut short',
      good.subarray(0, -20),
      'a.parquet: expected a whole Parquet file, found one that is cut short: its end is missing. Copy or download it again.',
    ],
    [
      'another file',
      Buffer.from('{"not": "parquet"} and more text'),
      'a.parquet: expected a Parquet file, found bytes that begin with "{"no". Check the format of the file.',
    ],
    [
      'a pointer of Git LFS',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n'),
      'a.parquet: expected a Parquet file, found a Git LFS pointer instead of the file. Run git lfs pull in the repository that it comes from.',
    ],
    [
      'an encrypted file',
      Buffer.concat([Buffer.from('PARE'), good.subarray(4, -4), Buffer.from('PARE')]),
      'a.parquet: expected a Parquet file, found an encrypted one. Write it without encryption.',
    ],
    [
      'a footer beyond the file',
      changed(-5, 0x7f),
      'a.parquet: expected a whole Parquet file, found one that is cut short: its end is missing.',
    ],
    ['a damaged footer', changed(-30, 0xff), 'a.parquet: the Parquet file is damaged'],
    [
      'no rows',
      parquet([{ name: 'x', data: [], type: 'DOUBLE' }]),
      'a.parquet: expected a table with rows, found none.',
    ],
    [
      'a missing target',
      parquet([
        { name: 'x', data: [1, 2, 3], type: 'DOUBLE' },
        { name: 'y', data: [1.5, null, 2], type: 'DOUBLE' },
      ]),
      'a.parquet: row 2 has no value of the target y. Fill it in, or remove such rows.',
    ],
    [
      'lists of different lengths',
      parquet(
        [
          { name: 'v', data: [[1, 2], [3]] },
          { name: 'y', data: [0.5, 1], type: 'DOUBLE' },
        ],
        {
          schema: listSchema('v', ['y', 'DOUBLE']),
        },
      ),
      'a.parquet: row 2 of v has 1 numbers, and row 1 has 2. Write lists of one length.',
    ],
    [
      'images that are only named',
      parquet(
        [
          {
            name: 'image',
            data: [
              { bytes: null, path: 'a.png' },
              { bytes: null, path: 'b.png' },
            ],
          },
          { name: 'label', data: [0n, 1n], type: 'INT64' },
        ],
        { schema: IMAGE_SCHEMA },
      ),
      'a.parquet: row 1 of image: There is no image, perhaps only its path.',
    ],
    [
      'images that are none',
      parquet(
        [
          {
            name: 'image',
            data: Array(2).fill({ bytes: new Uint8Array(Buffer.from('no picture')), path: null }),
          },
          { name: 'label', data: [0n, 1n], type: 'INT64' },
        ],
        { schema: IMAGE_SCHEMA },
      ),
      'a.parquet: row 1 of image: Expected an image, found ',
    ],
  ])('%s', async (_, bytes, message) => {
    expect(await refusal({ 'a.parquet': bytes }, HALF)).toContain(message);
  });
});
