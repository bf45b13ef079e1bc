import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zipSync } from 'fflate';
import { parquetWriteBuffer } from 'hyparquet-writer';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { computingModel } from '../../../coordinator/api/compute-model.ts';
import { predictModel, type PredictFlags } from '../../../coordinator/commands/predict-model.ts';
import { loadDataset, type LoadDatasetOptions } from '../../../coordinator/data/load-dataset.ts';
import { npyHeader } from '../../../coordinator/predict/write-predictions.ts';
import { readSamples, type Dataset, type Split } from '../../../shared/data/dataset.ts';
import { sampleSize } from '../../../shared/model/tensors.ts';
import { RecordingDataReport } from '../../support/data-mirror.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { twoInputsTwoOutputs } from '../../support/functional-model.ts';
import { saveUntrained, type SavedFixture } from '../../support/saved-model.ts';
import { recordingReport } from '../../support/test-coordinator.ts';
import { wasmEngine } from '../../support/wasm-engine.ts';

let scratch = '';
beforeEach(async () => void (scratch = await mkdtemp(join(tmpdir(), 'gradcast-predict-'))));
afterEach(() => rm(scratch, { recursive: true }));

const load = (source: string, options: Partial<LoadDatasetOptions> = {}): Promise<Dataset> =>
  loadDataset({
    dataDir: source,
    env: {},
    seed: 1,
    cacheDir: join(scratch, 'cache'),
    fetch: () => Promise.reject(new Error('offline')),
    report: new RecordingDataReport(),
    ...options,
  });

interface Predicted {
  readonly lines: string[];
  readonly isDone: boolean;
  readonly warnings: readonly string[];
}

async function predict(
  { dir }: Pick<SavedFixture, 'dir'>,
  paths: readonly string[],
  flags: PredictFlags = {},
  signal = new AbortController().signal,
): Promise<Predicted> {
  const lines: string[] = [];
  const warnings: string[] = [];
  const isDone = await predictModel(dir, paths, flags, {
    openEngine: async () => ({ engine: await wasmEngine(), close: () => Promise.resolve() }),
    write: (line) => void lines.push(line),
    report: { ...recordingReport(), warn: (line) => void warnings.push(line) },
    signal,
    showsProgress: false,
  });
  return { lines, isDone, warnings };
}

const json = async (...args: Parameters<typeof predict>): Promise<Record<string, unknown>[]> => {
  const { lines } = await predict(args[0], args[1], { ...args[2], json: true });
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
};

/** Probabilities of the samples that training reads, as text in the order of their values. */
async function ofTraining({ job, weights }: SavedFixture, splits: readonly Split[]): Promise<string[]> {
  const computer = await (await wasmEngine()).load(job);
  computer.setWeights(weights.slice());
  const size = sampleSize(job.outputs[0]!);
  const all: string[] = [];
  for (const split of splits) {
    const numbers = Uint32Array.from({ length: split.count }, (_, i) => i);
    const { inputs } = await readSamples(split, numbers);
    const values = await computer.predict(inputs, split.count);
    for (let i = 0; i < split.count; i++) all.push(rounded(values.subarray(i * size, (i + 1) * size)));
  }
  computer.dispose();
  return all.toSorted();
}

// Batches of other sizes may be added in another order.
const rounded = (values: Iterable<number>): string =>
  Array.from(values, (value) => value.toFixed(4)).join(' ');

const probabilitiesOf = (records: readonly Record<string, unknown>[], name: string): string[] =>
  records
    .map(({ outputs }) => {
      const output = (outputs as Record<string, { probabilities: Record<string, number> }>)[name];
      return rounded(Object.values(output!.probabilities));
    })
    .toSorted();

/** Rows with numbers, a category and a class or a number. */
function flowers(target: (i: number) => string, count = 40): string {
  const rows = Array.from({ length: count }, (_, i) =>
    [(i * 7) % 11, ((i * 13) % 17) / 4, ['north', 'south'][i % 2], target(i)].join(','),
  );
  return `width,height,region,kind\n${rows.join('\n')}\n`;
}

const kinds = ['rose', 'daisy', 'lily'];

describe('predictions of a table', () => {
  it('are those of the samples that training made of its rows, with or without the target', async () => {
    const path = join(scratch, 'flowers.csv');
    const text = flowers((i) => kinds[i % 3]!);
    await writeFile(path, text);
    const dataset = await load(path);
    const model = await saveUntrained(scratch, dataset);
    const expected = await ofTraining(model, [dataset.train, dataset.test]);
    const records = await json(model, [path]);
    expect(records).toHaveLength(40);
    expect(records[0]).toMatchObject({ file: path, row: 2 });
    expect(probabilitiesOf(records, 'kind')).toEqual(expected);
    const without = join(scratch, 'new.csv');
    await writeFile(without, text.replaceAll(/,[^,\n]*(?=\n)/g, ''));
    expect(probabilitiesOf(await json(model, [without]), 'kind')).toEqual(expected);
  });

  it('are the same for the same rows as TSV and Parquet', async () => {
    const path = join(scratch, 'flowers.csv');
    const text = flowers((i) => kinds[i % 3]!);
    await writeFile(path, text);
    const model = await saveUntrained(scratch, await load(path));
    const expected = (await json(model, [path])).map(({ outputs }) => outputs);
    const tsv = join(scratch, 'new.tsv');
    await writeFile(tsv, text.replaceAll(',', '\t'));
    expect((await json(model, [tsv])).map(({ outputs }) => outputs)).toEqual(expected);
    const [names = [], ...rows] = text
      .trim()
      .split('\n')
      .map((line) => line.split(','));
    const column = (i: number): (string | number)[] =>
      rows.map((row) => (i < 2 ? Number(row[i]) : (row[i] ?? '')));
    const columnData = names.slice(0, 3).map((name, i) => ({ name, data: column(i) }));
    const parquet = join(scratch, 'new.parquet');
    await writeFile(parquet, Buffer.from(parquetWriteBuffer({ columnData })));
    const records = await json(model, [parquet]);
    expect(records.map(({ outputs }) => outputs)).toEqual(expected);
    expect(records[0]).toMatchObject({ file: parquet, row: 1 });
  });

  it('are the same for rows of a program, whose columns may have any order', async () => {
    const path = join(scratch, 'flowers.csv');
    const text = flowers((i) => (i % 9 === 4 ? kinds[0]! : kinds[i % 3]!));
    await writeFile(path, text.replace('\n7,', '\n,'));
    const dataset = await load(path);
    const { dir, job, weights } = await saveUntrained(scratch, dataset);
    const expected = (await json({ dir }, [path])).map(({ outputs }) => outputs);
    const model = computingModel(
      job,
      weights,
      async () => ({ engine: await wasmEngine(), close: () => Promise.resolve() }),
      dataset,
      () => Promise.resolve(undefined),
    );
    const rows = text
      .trim()
      .split('\n')
      .slice(1)
      .map((line, i) => {
        const [width, height, region] = line.split(',');
        return { region, note: 'ignored', height: Number(height), width: i === 1 ? null : Number(width) };
      });
    expect(await model.predictRows(rows)).toEqual(expected);
    expect(await model.predictRows([])).toEqual([]);
    await expect(model.predictRows([{ width: 1, region: 'north' }])).rejects.toThrow(
      'rows has no column height. It has width, region.',
    );
    await expect(model.predictRows([{ width: 'wide', height: 1, region: 'north' }])).rejects.toThrow(
      'rows[0].width is "wide", where training had numbers.',
    );
    await expect(
      model.predictRows([
        { width: ' 1.5 ', height: 'NA', region: 'north' },
        { width: 1, height: true, region: 'north' },
      ]),
    ).rejects.toThrow('rows[1].height is true, where training had numbers.');
  });

  it('have class names, one line a row, and fill columns of a CSV file', async () => {
    const path = join(scratch, 'flowers.csv');
    await writeFile(
      path,
      flowers((i) => kinds[i % 3]!),
    );
    const model = await saveUntrained(scratch, await load(path));
    const { lines } = await predict(model, [path]);
    expect(lines).toHaveLength(41);
    expect(lines[1]).toMatch(
      /flowers\.csv row 2: (rose|daisy|lily) \(\d+\.\d%\) {3}then (rose|daisy|lily) \(.*%\), \w+ \(.*%\)$/,
    );
    const out = join(scratch, 'out.csv');
    expect((await predict(model, [path], { out })).lines).toEqual([]);
    const rows = (await readFile(out, 'utf8')).split('\n');
    expect(rows[0]).toBe('file,row,kind,probability,p_daisy,p_lily,p_rose');
    expect(rows).toHaveLength(42);
    const [, row, kind, probability, ...each] = rows[3]!.split(',');
    expect([row, kinds.includes(kind!), Math.max(...each.map(Number))]).toEqual([
      '4',
      true,
      Number(probability),
    ]);
    // Nothing else is left beside the file.
    expect((await readdir(scratch)).filter((name) => name.startsWith('out'))).toEqual(['out.csv']);
  });

  it('are values in the unit of a target that is a number', async () => {
    const path = join(scratch, 'prices.csv');
    await writeFile(
      path,
      flowers((i) => String(1000.5 + 7 * i)),
    );
    const model = await saveUntrained(scratch, await load(path));
    const [first] = await json(model, [path]);
    const value = (first!.outputs as { kind: number }).kind;
    const { lines } = await predict(model, [path]);
    // The last layer begins at the mean of the target.
    expect(value).toBeGreaterThan(900);
    expect(/row 2: (.*)$/.exec(lines[1]!)![1]).toBe(value.toPrecision(4));
  });

  it('name the first row with an unknown category, and refuse a missing column and text among numbers', async () => {
    const path = join(scratch, 'flowers.csv');
    const text = flowers((i) => kinds[i % 3]!);
    await writeFile(path, text);
    const model = await saveUntrained(scratch, await load(path));
    await writeFile(path, text.replaceAll('south', 'Mars'));
    const { warnings } = await predict(model, [path]);
    expect(warnings).toEqual([
      `${path}: row 3 has "Mars" as region, the first of 20 such rows; the training part has north, south. It counts as none of them.`,
    ]);
    await writeFile(path, text.replace('height', 'size'));
    await expect(predict(model, [path])).rejects.toThrow('has no column height. It has width, size, region');
    await writeFile(path, text.replace(/\n7,/, '\nseven,'));
    await expect(predict(model, [path])).rejects.toThrow(
      /row 3 of the column width has "seven" among numbers\. Correct it\.$/,
    );
    await writeFile(join(scratch, 'a.txt'), 'some words');
    await expect(predict(model, [join(scratch, 'a.txt')])).rejects.toThrow(
      'a.txt is text, but the model takes rows with the columns width, height, region. Name data of that kind.',
    );
  });
});

describe('predictions of images', () => {
  async function colors(): Promise<string> {
    const folder = join(scratch, 'colors');
    for (const [label, name] of ['red', 'green'].entries()) {
      await mkdir(join(folder, name), { recursive: true });
      for (const [i, extension] of ['png', 'jpg', 'webp', 'gif', 'png'].entries()) {
        const background = { r: 200 * (1 - label) + i, g: 200 * label, b: 40 * i };
        await sharp({ create: { width: 9 + i, height: 8, channels: 3, background } }).toFile(
          join(folder, name, `${i}.${extension}`),
        );
      }
    }
    return folder;
  }

  it('are those of the samples that training made of PNG, JPEG, WebP and GIF files', async () => {
    const folder = await colors();
    const dataset = await load(folder, { imageSize: [6, 6] });
    const model = await saveUntrained(scratch, dataset);
    const records = await json(model, [folder]);
    expect(records).toHaveLength(10);
    expect(records[0]).toMatchObject({ file: join(folder, 'green/0.png') });
    expect(probabilitiesOf(records, 'label')).toEqual(await ofTraining(model, [dataset.train, dataset.test]));
    const { lines } = await predict(model, [join(folder, 'red/1.jpg'), join(folder, 'red/2.webp')]);
    expect(lines).toHaveLength(3);
    expect(lines.slice(1).every((line) => /(red|green) \(.*%\) {3}then (red|green)/.test(line))).toBe(true);
  });

  it('refuse a table, a damaged image and arrays of another size or type', async () => {
    const model = await saveUntrained(scratch, await load(await colors(), { imageSize: [6, 6] }));
    const write = async (name: string, bytes: Uint8Array | string): Promise<string> => {
      await writeFile(join(scratch, name), bytes);
      return join(scratch, name);
    };
    const table = await write('t.csv', 'a,b\n1,2\n3,4\n');
    await expect(predict(model, [table])).rejects.toThrow('t.csv is a table, but the model takes images.');
    const damaged = await write('cat.png', Buffer.from('\x89PNG\r\n\x1a\n and no more', 'latin1'));
    await expect(predict(model, [damaged])).rejects.toThrow(/cat\.png: expected an image, found a PNG image/);
    const array = (dimensions: number[], type: string, size: number): Uint8Array => {
      const length = dimensions.reduce((product, side) => product * side, size);
      const header = Buffer.from(npyHeader(dimensions)).toString('latin1').replace('<f4', type);
      return Buffer.concat([Buffer.from(header, 'latin1'), new Uint8Array(length)]);
    };
    const large = await write('x.npy', array([2, 8, 8, 3], '|u1', 1));
    await expect(predict(model, [large])).rejects.toThrow(
      /x\.npy: expected samples of \[6, 6, 3\], found an array of \[2, 8, 8, 3\]/,
    );
    const floats = await write('f.npy', array([2, 6, 6, 3], '<f4', 4));
    await expect(predict(model, [floats])).rejects.toThrow(
      'expected bytes from 0 to 255 (uint8), found float32. Save it with .astype("uint8").',
    );
    const bytes = await write('b.npy', array([2, 6, 6, 3], '|u1', 1));
    const records = await json(model, [bytes, join(scratch, 'colors/red/0.png')]);
    expect(records.map(({ file, sample }) => [file, sample])).toEqual([
      [bytes, 0],
      [bytes, 1],
      [join(scratch, 'colors/red/0.png'), undefined],
    ]);
  });
});

describe('predictions of the files that a model without settings of images was trained on', () => {
  const SIDE = 6;
  const PIXELS = SIDE * SIDE;
  const pixels = (count: number, channels = 1): Uint8Array =>
    Uint8Array.from({ length: count * PIXELS * channels }, (_, i) => (i * 37) % 251);
  const labels = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => i % 3);
  const rows = (count: number, hasLabel: boolean): string => {
    const values = pixels(count);
    const names = Array.from({ length: PIXELS }, (_, i) => `pixel${i}`);
    const lines = Array.from({ length: count }, (_, i) =>
      [...(hasLabel ? [i % 3] : []), ...values.subarray(i * PIXELS, (i + 1) * PIXELS)].join(','),
    );
    return `${[...(hasLabel ? ['label'] : []), ...names].join(',')}\n${lines.join('\n')}\n`;
  };
  const write = async (name: string, bytes: Uint8Array | string): Promise<string> => {
    await mkdir(join(scratch, 'own'), { recursive: true });
    await writeFile(join(scratch, 'own', name), bytes);
    return join(scratch, 'own', name);
  };
  const outputsOf = (records: readonly Record<string, unknown>[]): unknown[] =>
    records.map(({ outputs }) => outputs);

  it('are those of training for IDX files and rows of pixels, bare or packed, with or without labels', async () => {
    const images = await write('train-images-idx3-ubyte', idxBytes([12, SIDE, SIDE], [...pixels(12)]));
    await write('train-labels-idx1-ubyte', idxBytes([12], [...labels(12)]));
    const dataset = await load(join(scratch, 'own'));
    const model = await saveUntrained(scratch, dataset);
    const records = await json(model, [images]);
    expect(records).toHaveLength(12);
    expect(records[0]).toMatchObject({ file: images, sample: 0 });
    expect(probabilitiesOf(records, 'label')).toEqual(await ofTraining(model, [dataset.train, dataset.test]));
    const expected = outputsOf(records);
    const packed = await write('images.gz', gzipSync(await readFile(images)));
    expect(outputsOf(await json(model, [packed]))).toEqual(expected);
    for (const hasLabel of [true, false]) {
      const table = await write('new.csv', rows(12, hasLabel));
      const ofRows = await json(model, [table]);
      expect(outputsOf(ofRows)).toEqual(expected);
      expect(ofRows[0]).toMatchObject({ file: table, row: 2 });
    }
    const wide = await write('wide.csv', rows(3, true).replaceAll('\n', ',1\n').replace(',1', ',pixel36'));
    await expect(predict(model, [wide])).rejects.toThrow(
      'expected 36 columns of pixels for samples of [6, 6, 1], with or without a label, found 38 columns.',
    );
    await expect(predict(model, [join(scratch, 'own/train-labels-idx1-ubyte')])).rejects.toThrow(
      'single numbers, which are labels, not images',
    );
  });

  it('take light and dark of an image as they are', async () => {
    const table = await write('gray.csv', rows(12, true));
    const model = await saveUntrained(scratch, await load(table));
    // A light border, which a model of digits would take for paper.
    const values = pixels(1).map((value, i) => (i < SIDE || i >= PIXELS - SIDE ? 250 : value));
    const image = join(scratch, 'gray.png');
    await sharp(values, { raw: { width: SIDE, height: SIDE, channels: 1 } })
      .png()
      .toFile(image);
    const header = Buffer.from(npyHeader([1, SIDE, SIDE]))
      .toString('latin1')
      .replace('<f4', '|u1');
    const array = await write('x.npy', Buffer.concat([Buffer.from(header, 'latin1'), values]));
    expect(outputsOf(await json(model, [image]))).toEqual(outputsOf(await json(model, [array])));
  });

  it('keep the opacity of an image with four channels', async () => {
    const spec = { name: 'image', shape: [SIDE, SIDE, 4], dtype: 'uint8' as const };
    const split = { count: 12, inputs: [pixels(12, 4)], targets: [labels(12)] };
    const targets = [{ name: 'label', shape: [], dtype: 'uint8' as const, classes: 3 }];
    const dataset = {
      name: 'glass',
      description: 'made',
      inputs: [spec],
      targets,
      train: split,
      test: split,
    };
    const model = await saveUntrained(scratch, dataset);
    const values = pixels(1, 4);
    const image = join(scratch, 'glass.png');
    await sharp(values, { raw: { width: SIDE, height: SIDE, channels: 4 } })
      .png()
      .toFile(image);
    const header = Buffer.from(npyHeader([1, SIDE, SIDE, 4]))
      .toString('latin1')
      .replace('<f4', '|u1');
    const array = await write('x.npy', Buffer.concat([Buffer.from(header, 'latin1'), values]));
    expect(outputsOf(await json(model, [image]))).toEqual(outputsOf(await json(model, [array])));
  });

  it('are those of training for images and lists in Parquet', async () => {
    const kinds = Array.from({ length: 12 }, (_, i) => ['a', 'b', 'c'][i % 3]!);
    const images = await Promise.all(
      kinds.map((_, i) =>
        sharp({ create: { width: 9, height: 7, channels: 3, background: { r: 20 * i, g: 9, b: 200 - i } } })
          .png()
          .toBuffer(),
      ),
    );
    const columnData = [
      { name: 'image', data: images.map((bytes) => new Uint8Array(bytes)) },
      { name: 'kind', data: kinds },
    ];
    const pictures = await write(
      'pictures.parquet',
      Buffer.from(parquetWriteBuffer({ columnData, rowGroupSize: 5 })),
    );
    const ofImages = await load(pictures, { target: 'kind', imageSize: [6, 6] });
    const model = await saveUntrained(scratch, ofImages);
    const records = await json(model, [pictures]);
    expect(records.map(({ row }) => row)).toEqual(kinds.map((_, i) => i + 1));
    expect(probabilitiesOf(records, 'kind')).toEqual(
      await ofTraining(model, [ofImages.train, ofImages.test]),
    );

    const lists = Array.from({ length: 12 }, (_, i) => [i, i / 2, 3 - i]);
    const schema = [
      { name: 'schema', num_children: 2 },
      { name: 'vector', num_children: 1, converted_type: 'LIST', repetition_type: 'OPTIONAL' },
      { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
      { name: 'element', type: 'FLOAT', repetition_type: 'OPTIONAL' },
      { name: 'kind', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    ] as Parameters<typeof parquetWriteBuffer>[0]['schema'];
    const listFile = async (name: string, data: number[][]): Promise<string> =>
      write(
        name,
        Buffer.from(
          parquetWriteBuffer({
            columnData: [
              { name: 'vector', data },
              { name: 'kind', data: kinds },
            ],
            ...(schema && { schema }),
          }),
        ),
      );
    const vectors = await listFile('vectors.parquet', lists);
    const ofLists = await load(vectors, { target: 'kind' });
    const other = await saveUntrained(scratch, ofLists);
    expect(probabilitiesOf(await json(other, [vectors]), 'kind')).toEqual(
      await ofTraining(other, [ofLists.train, ofLists.test]),
    );
    const short = await listFile(
      'short.parquet',
      lists.map((list, i) => (i === 7 ? [1, 2] : list)),
    );
    await expect(predict(other, [short])).rejects.toThrow(
      'short.parquet: row 8 of vector has 2 numbers, and the model takes 3. Write lists of that length.',
    );
    await expect(predict(other, [pictures])).rejects.toThrow(
      'pictures.parquet is a table, but the model takes',
    );
  });

  it('say what is wrong with a file that cannot be read', async () => {
    const model = await saveUntrained(scratch, await load(await write('gray.csv', rows(12, true))));
    const cut = await write('cut.zip', Buffer.from('PK\x03\x04 and no more', 'latin1'));
    await expect(predict(model, [cut])).rejects.toThrow('cut.zip: expected a whole zip archive');
    const two = await write(
      'two.zip',
      zipSync({ 'a.csv': Buffer.from('a,b\n1,2\n'), 'b.csv': Buffer.from('c,d\n1,2\n') }),
    );
    await expect(predict(model, [two])).rejects.toThrow('two.zip has several tables: a.csv, b.csv.');
    const other = await write('a.pdf', '%PDF-1.7');
    await expect(predict(model, [other])).rejects.toThrow(
      'a.pdf: expected an image, a folder of images, CSV, TSV, Parquet, .npy, .npz, IDX or text, found a PDF document. Name one of these.',
    );
  });

  it('have a column for each of many classes', async () => {
    const inputs = [{ name: 'x', shape: [2], dtype: 'float32' as const }];
    const targets = [{ name: 'word', shape: [], dtype: 'int32' as const, classes: 1200 }];
    const split = { count: 4, inputs: [new Float32Array(8)], targets: [Int32Array.of(0, 1, 2, 3)] };
    const dataset: Dataset = {
      name: 'words',
      description: 'made',
      inputs,
      targets,
      train: split,
      test: split,
    };
    const model = await saveUntrained(scratch, dataset);
    const x = await write('x.npy', Buffer.concat([npyHeader([4, 2]), new Uint8Array(32)]));
    const out = join(scratch, 'words.csv');
    await predict(model, [x], { out });
    const lines = (await readFile(out, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => line.split(','));
    expect(lines.map(({ length }) => length)).toEqual(Array(5).fill(4 + 1200));
    expect([lines[0]![4], lines[0]!.at(-1)]).toEqual(['p_0', 'p_1199']);
  });
});

describe('predictions of a model with several inputs and outputs', () => {
  const dataset = (): Dataset => {
    const count = 12;
    const values = (size: number): Float32Array =>
      Float32Array.from({ length: count * size }, (_, i) => Math.sin(i + size));
    const split = {
      count,
      inputs: [values(6), values(4)],
      targets: [Uint8Array.from({ length: count }, (_, i) => i % 3), values(2)],
    };
    return {
      name: 'made',
      description: 'made',
      inputs: [
        { name: 'x0', shape: [6], dtype: 'float32' },
        { name: 'x1', shape: [4], dtype: 'float32' },
      ],
      targets: [
        { name: 'kind', shape: [], dtype: 'uint8', classes: 3 },
        { name: 'size', shape: [2], dtype: 'float32' },
      ],
      train: split,
      test: split,
    };
  };
  const npy = (values: Float32Array, size: number): Uint8Array =>
    Buffer.concat([npyHeader([values.length / size, size]), new Uint8Array(values.buffer)]);

  it('have each output by its name, of arrays by the names of the inputs', async () => {
    const data = dataset();
    const model = await saveUntrained(scratch, data, { topology: twoInputsTwoOutputs });
    const { inputs } = await readSamples(data.test, Uint32Array.of(0, 1, 2));
    const archive = join(scratch, 'x.npz');
    const files = {
      'x1.npy': npy(inputs[1] as Float32Array, 4),
      'x0.npy': npy(inputs[0] as Float32Array, 6),
    };
    await writeFile(archive, zipSync(files));
    const computer = await (await wasmEngine()).load(model.job);
    computer.setWeights(model.weights.slice());
    const [a, b] = [await computer.predict(inputs, 3, 0), await computer.predict(inputs, 3, 1)];
    computer.dispose();
    const records = await json(model, [archive]);
    expect(records).toHaveLength(3);
    for (const [i, { outputs }] of records.entries()) {
      const { a: kind, b: size } = outputs as { a: { probabilities: object }; b: number[] };
      expect(Object.values(kind.probabilities)).toEqual([...a.subarray(3 * i, 3 * i + 3)]);
      expect(size).toEqual([...b.subarray(2 * i, 2 * i + 2)]);
    }
    const { lines } = await predict(model, [archive]);
    expect(lines.slice(1, 4)).toEqual([
      `${archive} [0]:`,
      expect.stringMatching(/^ {2}a: \d \(.*%\) {3}then /),
      expect.stringMatching(/^ {2}b: -?[\d.]+, -?[\d.]+$/),
    ]);
    await expect(predict(model, [archive], { out: join(scratch, 'out.npy') })).rejects.toThrow(
      'a .npy file has one array, and the model has 2 outputs. Use a .csv file.',
    );
    await writeFile(archive, zipSync({ 'x0.npy': files['x0.npy'] }));
    await expect(predict(model, [archive])).rejects.toThrow(
      'expected an array for each input: x0, x1, found x0.',
    );
  });

  it('are written as an array of NumPy', async () => {
    const path = join(scratch, 'flowers.csv');
    await writeFile(
      path,
      flowers((i) => kinds[i % 3]!),
    );
    const model = await saveUntrained(scratch, await load(path));
    const out = join(scratch, 'p.npy');
    await predict(model, [path], { out });
    const bytes = await readFile(out);
    expect(bytes.toString('latin1', 0, 128)).toContain(
      "{'descr': '<f4', 'fortran_order': False, 'shape': (40, 3), }",
    );
    expect(bytes.length).toBe(128 + 4 * 40 * 3);
    const [{ outputs }] = (await json(model, [path])) as [{ outputs: { kind: { probabilities: object } } }];
    const first = [bytes.readFloatLE(128), bytes.readFloatLE(132), bytes.readFloatLE(136)];
    expect(Object.values(outputs.kind.probabilities)).toEqual(first);
  });

  it('stop at a signal without a file', async () => {
    const path = join(scratch, 'flowers.csv');
    await writeFile(
      path,
      flowers((i) => kinds[i % 3]!),
    );
    const model = await saveUntrained(scratch, await load(path));
    const out = join(scratch, 'p.csv');
    expect((await predict(model, [path], { out }, AbortSignal.abort())).isDone).toBe(false);
    expect((await readdir(scratch)).filter((name) => name.startsWith('p.'))).toEqual([]);
  });
});

describe('text', () => {
  it('is continued with the same tokens for the same seed', async () => {
    const path = join(scratch, 'fox.txt');
    await writeFile(path, 'the quick brown fox jumps over the lazy dog. '.repeat(20));
    const model = await saveUntrained(scratch, await load(path, { sequenceLength: 8 }));
    const generate = async (flags: PredictFlags): Promise<string> =>
      (await predict(model, [], { text: ['the quick'], tokens: 20, ...flags })).lines.join('|');
    const text = await generate({ seed: 1 });
    expect(text).toMatch(/^the quick[a-z. ]{20}$/);
    expect(await generate({ seed: 1 })).toBe(text);
    expect(await generate({ seed: 2 })).not.toBe(text);
    expect(await generate({ temperature: 0, seed: 1 })).toBe(await generate({ temperature: 0, seed: 2 }));
    const prompt = join(scratch, 'prompt.txt');
    await writeFile(prompt, 'the quick\n');
    const [record] = await json(model, [prompt], { tokens: 20, seed: 1 });
    expect(record).toMatchObject({ prompt: 'the quick', text: text.slice(9), tokens: 20, seed: 1 });
    const { warnings } = await predict(model, [], { text: ['the É'], tokens: 1 });
    expect(warnings).toEqual([
      'The prompt has 1 token that the training text lacks; the model reads them as unknown.',
    ]);
    await expect(predict(model, [], { text: ['É'] })).rejects.toThrow(
      'The prompt has no characters that the',
    );
    await expect(predict(model, ['cat.png'])).rejects.toThrow(
      'cat.png is an image, but the model takes a text to continue',
    );
  });

  it('is classified by a model of a column of text', async () => {
    const path = join(scratch, 'reviews.csv');
    const rows = Array.from({ length: 40 }, (_, i) =>
      i % 2 === 0
        ? `"a film to remember, number ${i} of a long series of good ones",good`
        : `"a film to forget and never to see again, number ${i} of the bad",bad`,
    );
    await writeFile(path, `review,label\n${rows.join('\n')}\n`);
    const dataset = await load(path);
    const model = await saveUntrained(scratch, dataset);
    const records = await json(model, [path]);
    expect(probabilitiesOf(records, 'label')).toEqual(await ofTraining(model, [dataset.train, dataset.test]));
    const [own] = await json(model, [], {
      text: ['a film to remember, number 0 of a long series of good ones'],
    });
    expect(own!.file).toBe('"a film to remember, number 0 of a long s..."');
    expect(own!.outputs).toEqual(records[0]!.outputs);
    await expect(predict(model, [path], { tokens: 5 })).rejects.toThrow(
      '--tokens is for models that predict the next',
    );
  });
});
