import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ColumnBuilder } from '../../../../coordinator/data/table/column-builder.ts';
import { detectDelimiter, parseCsv } from '../../../../coordinator/data/table/parse-csv.ts';
import { isHeader } from '../../../../coordinator/data/table/read-table.ts';
import { loadFolder, refusalOf } from '../scratch-folder.ts';
import { rowsOf, targetsOf, useTables } from './table-files.ts';

const { own, write, load, refusal } = useTables();

/** Two flowers of each kind to train on, and one to test. */
const TRAIN = 'length,width,species\n1,10,rose\n3,10,rose\n5,20,lily\n7,20,lily\n';
const TEST = 'length,width,species\n4,15,lily\n8,10,rose\n';
/** Mean 4 and deviation sqrt(5); mean 15 and deviation 5. */
const STANDARDIZED = [
  [-1.341641, -1],
  [-0.447214, -1],
  [0.447214, 1],
  [1.341641, 1],
];

describe('a table is read', () => {
  it.each([
    ['with commas', 'train.csv', TRAIN],
    ['with semicolons', 'train.csv', TRAIN.replaceAll(',', ';')],
    ['with tabs', 'train.tsv', TRAIN.replaceAll(',', '\t')],
    [
      'with semicolons and decimal commas',
      'train.csv',
      TRAIN.replaceAll(',', ';').replaceAll(/\b(\d+)\b/g, '$1,0'),
    ],
    [
      'with a byte order mark and line breaks of Windows',
      'train.csv',
      `\ufeff${TRAIN.replaceAll('\n', '\r\n')}`,
    ],
    [
      'with quotes and spaces',
      'train.csv',
      TRAIN.replaceAll(/[a-z]+/g, '"$&"')
        .replaceAll(',', ' , ')
        .replaceAll(' "', '"')
        .replaceAll('" ', '"'),
    ],
    ['with empty lines and a missing last line break', 'train.csv', TRAIN.replaceAll('\n', '\n\n').trimEnd()],
    ['packed', 'train.csv.gz', gzipSync(TRAIN)],
  ])('%s', async (_, name, text) => {
    const test = name.endsWith('.tsv') ? { 'test.tsv': TEST.replaceAll(',', '\t') } : { 'test.csv': TEST };
    const { dataset } = await load({ [name]: text, ...test });
    expect(dataset).toMatchObject({
      inputs: [{ name: 'features', shape: [2], dtype: 'float32' }],
      targets: [{ name: 'species', shape: [], dtype: 'uint8', classes: 2 }],
      classNames: ['lily', 'rose'],
    });
    expect(rowsOf(dataset.train, 2)).toEqual(STANDARDIZED);
    expect(targetsOf(dataset.train)).toEqual([1, 1, 0, 0]);
    // With the statistics of the training part.
    expect(rowsOf(dataset.test, 2)).toEqual([
      [0, 0],
      [1.788854, -1],
    ]);
    expect(targetsOf(dataset.test)).toEqual([0, 1]);
  });

  it('with lines about the target, the inputs and what is left out', async () => {
    const rows = Array.from(
      { length: 30 },
      (_, i) =>
        `${i + 1},u${i}x,${i % 7},${['red', 'green'][i % 2]!},1,2026-01-${String((i % 28) + 1).padStart(2, '0')},${i % 3}`,
    );
    const { dataset, lines } = await load({
      'my data.csv': `id,user,size,color,unit,day,class\n${rows.join('\n')}\n`,
    });
    expect(lines.infos).toEqual([
      'Target: class (by its name; --target names another), 3 whole numbers as classes: 0, 1, 2 (--types class:number estimates the number).',
      'Left out: id, which numbers the rows.',
      'Left out: user, 30 different texts in 30 rows, as identifiers have.',
      'Left out: unit, which is 1 in all rows.',
      'Left out: day, dates such as "2026-01-01", which gradcast does not read.',
      'Validation: 6 of 30 rows, chosen at random with the same part of each class (--validation-split, --test-data).',
      'Inputs: 1 number, standardized: size; 1 category, one-hot: color (2); 3 values.',
    ]);
    expect(dataset).toMatchObject({ name: 'my data', classNames: ['0', '1', '2'] });
    expect(dataset.train.count).toBe(24);
    expect(
      [0, 1, 2].map((label) => targetsOf(dataset.test).filter((other) => other === label).length),
    ).toEqual([2, 2, 2]);
    expect(dataset.preprocessing).toMatchObject({
      kind: 'table',
      columns: [
        { name: 'size', type: 'number' },
        { name: 'color', type: 'category', values: ['green', 'red'] },
      ],
      targets: [{ name: 'class', type: 'category', values: ['0', '1', '2'] }],
    });
  });

  it('with missing values: numbers get the mean, categories a value of their own', async () => {
    const train = 'size,color,y\n1,red,0.5\n,green,1.5\n3,NA,2.5\nNaN,?,3.5\n';
    const { dataset, lines } = await load({ 'train.csv': train, 'test.csv': 'size,color,y\nnull,blue,1\n' });
    expect(rowsOf(dataset.train, 4)).toEqual([
      [-1, 0, 0, 1],
      [0, 0, 1, 0],
      [1, 1, 0, 0],
      [0, 1, 0, 0],
    ]);
    expect(rowsOf(dataset.test, 4)).toEqual([[0, 0, 0, 0]]);
    expect(dataset.targets).toEqual([{ name: 'y', shape: [], dtype: 'float32' }]);
    expect(targetsOf(dataset.train)).toEqual([0.5, 1.5, 2.5, 3.5]);
    expect(lines.infos).toContain(
      'Missing in the training part: size (2), color (2). Numbers get the mean of the others, categories a value of their own.',
    );
    expect(lines.infos.at(-1)).toMatch(
      /rows with a category that the training part lacks, which counts as none: color \(1\)\.$/,
    );
  });

  it('with several targets: numbers in one tensor, others in one each', async () => {
    const text = 'x,a,b,c\n1,0.5,2,u\n2,1.5,4,v\n3,2.5,7,u\n4,3.5,9.5,v\n5,1,2,u\n6,2,3,v\n';
    const numbers = await load(
      { 'data.csv': text },
      { target: ['a', 'b'], ignore: ['c'], validationSplit: 0.5 },
    );
    expect(numbers.dataset.targets).toEqual([{ name: 'targets', shape: [2], dtype: 'float32' }]);
    expect(targetsOf(numbers.dataset.train)).toHaveLength(6);
    const mixed = await load({ 'data.csv': text }, { target: ['c', 'a'], validationSplit: 0.5 });
    expect(mixed.dataset.targets).toEqual([
      { name: 'c', shape: [], dtype: 'uint8', classes: 2 },
      { name: 'a', shape: [], dtype: 'float32' },
    ]);
    expect(rowsOf(mixed.dataset.train, 2)).toHaveLength(3);
  });

  it('without names, with the last column as its target', async () => {
    const { dataset, lines } = await load(
      { 'iris.data': '5.1,3.5,setosa\n4.9,3.0,setosa\n6.2,3.4,virginica\n5.9,3.0,virginica\n' },
      { validationSplit: 0.5 },
    );
    expect(dataset.classNames).toEqual(['setosa', 'virginica']);
    expect(lines.infos[0]).toMatch(
      /iris\.data: the first row has values, so the columns are named column1, column2, column3\.$/,
    );
    expect(lines.infos[1]).toContain('Target: column3 (the last column; --target names another)');
  });

  it('with types that are said: a regression of whole numbers, and categories that are numbers', async () => {
    const text = `zip,quality\n${Array.from({ length: 24 }, (_, i) => `0${i % 2},${i % 3}`).join('\n')}\n`;
    const types = { zip: 'category', quality: 'number' } as const;
    const { dataset } = await load({ 'wine.csv': text }, { target: 'quality', types });
    expect(dataset.targets).toEqual([{ name: 'quality', shape: [], dtype: 'float32' }]);
    expect(dataset.preprocessing).toMatchObject({ columns: [{ name: 'zip', values: ['00', '01'] }] });
  });

  it('with a part of its rows for testing if the file named test has no target, as on Kaggle', async () => {
    const { dataset, lines } = await load(
      {
        'train.csv': TRAIN,
        'test.csv': 'length,width\n4,15\n',
        'sample_submission.csv': 'id,species\n1,rose\n',
      },
      {},
    );
    expect([dataset.train.count, dataset.test.count]).toEqual([3, 1]);
    expect(lines.infos.join('\n')).toContain(
      'test.csv has no column species, which is the target, so a part of the training rows validates.',
    );
    expect(lines.infos).toContain('Not used: sample_submission.csv.');
  });

  it('with a test file of another folder, or instead of the one beside it with a part of the training rows', async () => {
    await write({ 'a.csv': TRAIN, 'more/b.csv': TEST });
    const named = await loadFolder(join(own(), 'a.csv'), { test: join(own(), 'more', 'b.csv') });
    expect(targetsOf(named.dataset.test)).toEqual([0, 1]);
    await write({ 'set/train.csv': TRAIN, 'set/test.csv': TEST });
    const { dataset, lines } = await loadFolder(join(own(), 'set'), { validationSplit: 0.5 });
    expect([dataset.train.count, dataset.test.count]).toEqual([2, 2]);
    expect(lines.infos).toContain('Not used: test.csv, because of --validation-split.');
  });

  it('as a text with a class, if only that has anything to learn from', async () => {
    const reviews = Array.from(
      { length: 40 },
      (_, i) =>
        `${i},"This film, the ${i}th, was ${i % 2 === 0 ? 'very good' : 'too long'}!",${i % 2 === 0 ? 'pos' : 'neg'}`,
    );
    const { dataset, lines } = await load({ 'reviews.csv': `id,review,sentiment\n${reviews.join('\n')}\n` });
    expect(dataset.inputs).toMatchObject([{ name: 'review', dtype: 'int32', shape: [10] }]);
    expect(dataset.preprocessing).toMatchObject({
      kind: 'text',
      column: 'review',
      tokenizer: { kind: 'words' },
    });
    const row = rowsOf(dataset.train, 10)[0]!;
    // 'this' and 'film' are in all texts, '!' is last.
    const { tokenizer } = dataset.preprocessing as { tokenizer: { words: string[] } };
    expect(row.map((id) => tokenizer.words[id - 2] ?? '').join(' ')).toMatch(
      /^this film , the \d+th , was (very good|too long) !$/,
    );
    expect(lines.infos.at(-1)).toContain('Input: the text of review, its first 10 words (--sequence-length)');
  });

  it('with more different numbers than are kept as text', async () => {
    const text = `x,y\n${Array.from({ length: 3000 }, (_, i) => `${i / 8},${i % 2}`).join('\n')}\n`;
    const { dataset } = await load({ 'big.csv': text }, { validationSplit: 0.1 });
    expect(dataset.train.count).toBe(2700);
    expect(dataset.preprocessing).toMatchObject({ columns: [{ name: 'x', type: 'number' }] });
  });
});

describe('the first row has names', () => {
  it.each([
    ['years beside words', 'country,2019,2020,label\nFrance,1.5,2,a\nSpain,3,4.5,b\nItaly,2,1,a\n', '2019'],
    ['columns that pandas has counted', '0,1,2,species\n5.1,3.5,1.4,rose\n4.9,3,1.3,lily\n6,2,3,rose\n', '0'],
    ['columns counted from 1, and a class', 'y,1,2,3\n0,3.5,1.4,8\n1,3,1.3,7\n0,9,1.3,6\n', '1'],
    ['all columns counted', '0,1,2,3\n5.1,3.5,1.4,0\n4.9,3,1.3,1\n6,2,3,0\n', '0'],
  ])('%s', async (_, text, name) => {
    const { dataset, lines } = await load({ 'a.csv': text }, { validationSplit: 0.34 });
    expect(dataset.train.count + dataset.test.count).toBe(3);
    expect(dataset.preprocessing).toMatchObject({
      columns: expect.arrayContaining([expect.objectContaining({ name })]) as unknown,
    });
    expect(lines.infos.join('\n')).toContain('a.csv: the first row names the columns, some by numbers: ');
  });

  it.each([
    [
      'years of cars, and prices',
      [
        ['ford', '2019', '12000'],
        ['bmw', '2018', '9000'],
      ],
    ],
    [
      'years alone',
      [
        ['ford', '2019'],
        ['bmw', '2018'],
      ],
    ],
    [
      'a word that is a value',
      [
        ['rose', '0', '1', '2'],
        ['lily', '3', '1', '2'],
        ['rose', '3', '1', '2'],
      ],
    ],
    [
      'measures',
      [
        ['5.1', '3.5', 'setosa'],
        ['4.9', '3.0', 'virginica'],
      ],
    ],
    [
      'two equal numbers',
      [
        ['1', '1', 'b'],
        ['2', '3', 'a'],
      ],
    ],
  ])('or is a row of values: %s', (_, [first, ...below]) => {
    expect(isHeader(first ?? [], below)).toBe(false);
  });
});

it('pixels whose names are counted are images, and other numbers with such names are none', async () => {
  const names = Array.from({ length: 36 }, (_, i) => i).join(',');
  const rows = (divisor: number): string =>
    Array.from(
      { length: 10 },
      (_, row) => `${row % 2},${Array.from({ length: 36 }, (__, i) => ((row * i) % 7) / divisor).join(',')}`,
    ).join('\n');
  const images = await load({ 'a.csv': `label,${names}\n${rows(1)}\n` });
  expect(images.dataset.inputs[0]?.shape).toEqual([6, 6, 1]);
  const { dataset } = await load({ 'b.csv': `label,${names}\n${rows(4)}\n` });
  expect(dataset.preprocessing?.kind).toBe('table');
});

it('a broken link is named', async () => {
  await mkdir(own(), { recursive: true });
  await symlink('nowhere.csv', join(own(), 'a.csv'));
  expect(await refusalOf(loadFolder(join(own(), 'a.csv')))).toContain(
    'a.csv (from --data) is a link to nowhere.csv, where nothing can be read. Correct the link, or name another file.',
  );
});

it('many columns that are left out are not all listed', async () => {
  const names = Array.from({ length: 30 }, (_, i) => `unit${i}`);
  const rows = Array.from({ length: 20 }, (_, i) => `${names.map(() => 1).join(',')},${i / 3},${i % 2}`);
  const { lines } = await load({ 'a.csv': `${names.join(',')},x,y\n${rows.join('\n')}\n` });
  const dropped = lines.infos.filter((line) => line.startsWith('Left out: '));
  expect(dropped).toHaveLength(10);
  expect(dropped.at(-1)).toBe('Left out: 21 more columns of such kinds.');
});

describe('a row without values', () => {
  it('keeps its place among the others, and is left out before the first and after the last one', async () => {
    const rows: string[][] = [];
    const text = ',,\na,b,c\n1,2,3\n,,\n , ,\n4,5,6\n,,\n,,\n';
    await parseCsv(Readable.from([Buffer.from(text)]), { path: 'a.csv' }, (row) => void rows.push(row));
    expect(rows.map((row) => row.join('').trim())).toEqual(['abc', '123', '', '', '456']);
  });

  it('is named in an error with its number', async () => {
    expect(await refusal({ 'a.csv': 'x,y\n1,0\n,\n3,1\n,\n' })).toBe(
      'a.csv: row 3 has no value of the target y. Fill it in, or remove such rows.',
    );
  });
});

describe('many columns or texts', () => {
  it('are read in the memory that they need', async () => {
    const width = 20_000;
    const names = Array.from({ length: width }, (_, i) => `gene${i}`);
    const rows = Array.from(
      { length: 6 },
      (_, row) => `${names.map((__, i) => (i + row * row) % 7).join(',')},${row % 2}`,
    );
    const before = process.memoryUsage().arrayBuffers;
    const { dataset } = await load(
      { 'wide.csv': `${names.join(',')},class\n${rows.join('\n')}\n` },
      { types: { class: 'category' } },
    );
    expect(dataset.inputs[0]!.shape[0]).toBeGreaterThan(width / 2);
    // 65,536 numbers a column would be 10 GB.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 29);
  });

  it('of a few words each are kept, and names are not', () => {
    const column = (textOf: (i: number) => string) => {
      const builder = new ColumnBuilder({
        name: 'text',
        hasCommas: true,
        locate: (row) => ({ path: 'a.csv', row }),
        memory: { used: 0 },
      });
      for (let i = 0; i < 100_100; i++) builder.add(textOf(i), i);
      return builder.finish();
    };
    expect(column((i) => `it was text ${i}`)).toMatchObject({ kind: 'values', values: { length: 100_100 } });
    expect(column((i) => `user ${i}x`)).toMatchObject({ kind: 'unkept' });
  });

  it('are refused together if they take too much memory', () => {
    const memory = { used: 2 ** 29 - 1000 };
    const options = { hasCommas: true, locate: (row: number) => ({ path: 'a.csv', row }), memory };
    const [first, second] = ['a', 'b'].map((name) => new ColumnBuilder({ ...options, name }));
    first?.add('x'.repeat(500), 1);
    expect(() => second?.add('y'.repeat(500), 1)).toThrow(
      'a.csv: up to row 1, different texts take more than 536870912 characters of memory, the column b 500 of them.',
    );
  });
});

describe('a model of the data could not be loaded again', () => {
  it.each([
    [
      'a long name',
      `${'n'.repeat(1001)},y\n1,0\n2,1\n3,0\n4,1\n`,
      {},
      ' has a name of more than 1000 characters',
    ],
    [
      'a long category',
      `a,y\n${`${'c'.repeat(1001)},0\nd,1\nd,0\n${'c'.repeat(1001)},1\n`.repeat(5)}`,
      { types: { a: 'category' } as const },
      ': the column a has a value of more than 1000 characters',
    ],
    [
      'huge numbers',
      'a,y\n1e300,0\n-1e300,1\n3,0\n1e299,1\n',
      {},
      ': the column a has numbers that are too large to be standardized.',
    ],
  ])('so it is refused before the run: %s', async (_, text, options, message) => {
    expect(await refusal({ 'a.csv': text }, { validationSplit: 0.5, ...options })).toContain(message);
  });

  it('nor trained to estimate numbers that float32 does not have', async () => {
    expect(
      await refusal({ 'a.csv': 'a,y\n1,1.5\n2,1e39\n3,2.5\n4,3\n' }, { validationSplit: 0.5 }),
    ).toContain('a.csv: row 3 has 1e+39 as y, and float32 numbers go up to 3.4e38.');
  });
});

describe('a saved preprocessing', () => {
  it('treats the rows of a new file as those of the training', async () => {
    const { dataset } = await load({ 'train.csv': TRAIN, 'test.csv': TEST });
    await write({ 'new/rows.csv': 'species,note,width,length\nlily,x,15,4\n' });
    const again = await loadFolder(own(), {
      preprocessing: dataset.preprocessing,
      isMeasured: true,
      test: join(own(), 'new', 'rows.csv'),
    });
    expect(rowsOf(again.dataset.test, 2)).toEqual([[0, 0]]);
    expect(targetsOf(again.dataset.test)).toEqual([0]);
    await write({ 'new/rows.csv': 'species,width\nlily,15\n' });
    const wrong = loadFolder(own(), {
      preprocessing: dataset.preprocessing,
      isMeasured: true,
      test: join(own(), 'new', 'rows.csv'),
    });
    expect(await refusalOf(wrong)).toBe(
      `${join(own(), 'new', 'rows.csv')} has no column length, which is an input. It has species, width.`,
    );
  });

  it('measures the rows that training left out of a folder whose test part has no target, or all of another', async () => {
    const row = (i: number, kind: string): string => `${i * i},${i % 7}${kind}`;
    const rows = (count: number, hasKind: boolean): string =>
      Array.from({ length: count }, (_, i) => row(i, hasKind ? `,${'ab'[i % 2]}` : '')).join('\n');
    const files = {
      'train.csv': `x,z,class\n${rows(50, true)}\n`,
      'test.csv': `x,z\n${rows(20, false)}\n`,
    };
    const { dataset } = await load(files);
    const model = { preprocessing: dataset.preprocessing, isMeasured: true };
    const again = await loadFolder(own(), model);
    expect(rowsOf(again.dataset.test, 2)).toEqual(rowsOf(dataset.test, 2));
    expect(targetsOf(again.dataset.test)).toEqual(targetsOf(dataset.test));
    expect(again.lines.infos[0]).toBe(
      `${join(own(), 'test.csv')} has no column class, which is the target, so it is not measured.`,
    );
    const all = await loadFolder(own(), { ...model, measuresAll: true });
    expect(all.dataset.test.count).toBe(50);
    // A file that the person names is not left out.
    const named = loadFolder(own(), { ...model, test: join(own(), 'test.csv') });
    expect(await refusalOf(named)).toMatch(/test\.csv has no column class/);
  });

  it('measures the rows that training left out', async () => {
    const text = `x,class\n${Array.from({ length: 50 }, (_, i) => `${i * i},${i % 2 === 0 ? 'a' : 'b'}`).join('\n')}\n`;
    const { dataset } = await load({ 'data.csv': text });
    const again = await load(
      { 'data.csv': text },
      { preprocessing: dataset.preprocessing, isMeasured: true },
    );
    expect(again.dataset.test.count).toBe(10);
    expect(rowsOf(again.dataset.test, 1)).toEqual(rowsOf(dataset.test, 1));
  });
});

const mixedRows = (bad: string): string =>
  `age,y\n${Array.from({ length: 40 }, (_, i) => `${i * 1.5},${i % 2}`).join('\n')}\n${bad},1\n`;
const manyRows = (bad: string): string =>
  `age,y\n${Array.from({ length: 1200 }, (_, i) => `${i / 4},${i % 2}`).join('\n')}\n${bad},1\n`;

describe('a broken table is refused with its file, row and reason', () => {
  it.each([
    [
      'a ragged row',
      'a,b,y\n1,2,0\n1,2\n',
      {},
      'data.csv: expected 3 fields in every row, found 2 in row 3, which begins with "1 2". Correct the row; a field that contains the delimiter needs quotes.',
    ],
    [
      'two columns with one name',
      'a,b,a\n1,2,3\n',
      {},
      'data.csv: expected columns with different names in row 1, found two columns named a, column 1 and column 3. Rename one of them.',
    ],
    [
      'a word among numbers',
      mixedRows('old'),
      {},
      'data.csv: row 42 of the column age has "old" among numbers. Correct it, or leave the column out with --ignore age.',
    ],
    [
      'a word behind many numbers',
      manyRows('?!'),
      {},
      'data.csv: row 1202 of the column age has "?!" among numbers. Correct it, or leave the column out with --ignore age.',
    ],
    [
      'a decimal comma among decimal points',
      'a;y\n1.5;0\n2,5;1\n',
      {},
      'data.csv: row 3 of the column a has a comma in a number, and row 2 a decimal point. Write all numbers with a decimal point and no other sign.',
    ],
    [
      'commas between thousands',
      'a,y\n"1,234",0\n"2,345",1\n',
      {},
      'data.csv: row 2 of the column a has "1,234", whose comma may stand for decimals or between thousands. Write numbers with a decimal point and no other sign.',
    ],
    [
      'a quote that is not closed',
      'a,y\n"1,0\n2,1\n3,1\n',
      {},
      'data.csv: expected rows of at most 16777216 bytes with each quote closed, found a quote in row 2 that is not closed, or a row that does not end. Close the quote, or double it where it is part of the text.',
    ],
    [
      'a missing target',
      'a,y\n1,0\n2,\n3,NA\n4,1\n',
      {},
      'data.csv: row 3 has no value of the target y, the first of 2 such rows. Fill it in, or remove such rows.',
    ],
    [
      'a target that there is not',
      'a,Price\n1,2\n2,3\n',
      { target: 'price' },
      "data.csv has no column price (from --target). Did you mean 'Price'? It has a, Price.",
    ],
    [
      'a column to ignore that there is not',
      'a,b\n1,2\n2,3\n',
      { ignore: ['c'] },
      'data.csv has no column c (from --ignore). It has a, b.',
    ],
    [
      'free text as its target',
      `a,y\n${Array.from({ length: 30 }, (_, i) => `${i / 2},a text with number ${i}`).join('\n')}\n`,
      {},
      'data.csv: the target y has 30 different texts in 30 rows, which are no classes. Name another column with --target.',
    ],
    [
      'a constant target',
      'a,y\n1,0\n2,0\n3,0\n',
      {},
      'data.csv: the target y has the value 0 in all rows. Name another column with --target.',
    ],
    [
      'no input',
      'a,y\n1,0\n1,1\n1,0\n',
      {},
      'data.csv: no column remains to predict y from: left out are a (which is 1 in all rows). Name another --target, or use a table with numbers or categories.',
    ],
    [
      'names alone',
      'a,b,y\n',
      {},
      'data.csv: expected a row of names and rows of values, found a single row. Get the file again from where it came.',
    ],
    [
      'nothing',
      '',
      {},
      'data.csv: expected CSV text, found an empty file (0 bytes). Get the file again from where it came, or point --data at another folder.',
    ],
    [
      'a web page',
      '<!DOCTYPE html><html>',
      {},
      'data.csv: expected CSV text, found a web page (HTML). Download the file itself: a page was saved in its place.',
    ],
    [
      'one row',
      'a,y\n1,2\n',
      { types: { y: 'number' } },
      'data.csv: the target y has the value 2 in all rows. Name another column with --target.',
    ],
  ] as const)('%s', async (_, text, options, message) => {
    expect(await refusal({ 'data.csv': text }, options)).toBe(message);
  });

  it('text in Latin-1, with the line and what to do', async () => {
    const text = Buffer.from('a,y\n1,x\n2,caf\xe9 noir\n', 'latin1');
    expect(await refusal({ 'data.csv': text })).toBe(
      'data.csv: line 3 is not UTF-8 text; read as Latin-1 it has "2,café noir". Convert the file first: iconv -f LATIN1 -t UTF-8 FILE > NEW_FILE.',
    );
  });

  it('a class of the test file that training does not have', async () => {
    expect(await refusal({ 'train.csv': TRAIN, 'test.csv': TEST.replace('lily', 'tulip') })).toBe(
      'test.csv: row 2 has "tulip" as species, which is no class of the training data: lily, rose. Correct it, or leave the row out.',
    );
  });

  it('a test file that is named and has no target, or another format', async () => {
    await write({ 'a.csv': TRAIN, 'b.csv': 'length,width\n1,2\n2,3\n', 'c.txt': 'text' });
    const named = (test: string) => refusalOf(loadFolder(join(own(), 'a.csv'), { test: join(own(), test) }));
    expect(await named('b.csv')).toBe(
      `${join(own(), 'b.csv')} has no column species, which is the target. Name test data with it, or leave --test-data out.`,
    );
    expect(await named('c.txt')).toBe(
      `${join(own(), 'c.txt')} (from --test-data): expected a csv file like the training data, found a text file. Name a file of the same format.`,
    );
  });

  it('several tables of which none is named train', async () => {
    expect(await refusal({ 'cats.csv': TRAIN, 'dogs.csv': TRAIN })).toBe(
      'own has several tables: cats.csv, dogs.csv. Name one of them, or give one train and another test in its name.',
    );
  });
});

describe('the parser', () => {
  const parse = async (chunks: readonly (string | Buffer)[]): Promise<string[][]> => {
    const rows: string[][] = [];
    const source = Readable.from(chunks.map((chunk) => Buffer.from(chunk as string)));
    await parseCsv(source, { path: 'a.csv' }, (row) => rows.push(row));
    return rows;
  };

  it('reads characters and line breaks that are cut between chunks', async () => {
    const bytes = Buffer.from('é,"a\r\nb"\r\n"x ""y""",\u{1f600}\r\n');
    const chunks = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
    expect(await parse(chunks)).toEqual([
      ['é', 'a\r\nb'],
      ['x "y"', '\u{1f600}'],
    ]);
  });

  it('ends with the error of its receiver', async () => {
    const source = Readable.from(Array.from({ length: 1000 }, () => Buffer.from('1,2\n')));
    let rows = 0;
    const stop = parseCsv(source, { path: 'a.csv' }, () => {
      if (++rows === 3) throw new Error('enough');
    });
    await expect(stop).rejects.toThrow('enough');
    expect(rows).toBe(3);
  });

  it('finds the delimiter, also with others in quotes and text', () => {
    expect(detectDelimiter('a;b;c\n1,5;2,5;3\n')).toBe(';');
    expect(detectDelimiter('"a,b"\tc\n"1,2,3"\t4\n')).toBe('\t');
    expect(detectDelimiter('a|b\n1|2\n')).toBe('|');
    expect(detectDelimiter('text,label\n"one; two; three",x\n"no",y\n')).toBe(',');
    expect(detectDelimiter('x\n1\n2\n')).toBe(',');
  });
});
