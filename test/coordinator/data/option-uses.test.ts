import { join } from 'node:path';
import { zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import {
  refuseOtherOptions,
  withoutOwnOptions,
  type ContentOptions,
} from '../../../coordinator/data/option-uses.ts';
import { npyHeader } from '../../../coordinator/predict/write-predictions.ts';
import type { Preprocessing } from '../../../shared/data/preprocessing.ts';
import { idxBytes } from '../../support/idx-bytes.ts';
import { png } from './images/picture-files.ts';
import { fourFiles, loadFolder, refusalOf, useScratch, writeFiles } from './scratch-folder.ts';

const { scratch } = useScratch();

const table = `width,kind\n${Array.from({ length: 20 }, (_, i) => `${i / 3},${i % 2 === 0 ? 'a' : 'b'}`).join('\n')}\n`;
const pixels = `label,${Array.from({ length: 36 }, (_, i) => `pixel${i}`).join(',')}\n${Array.from(
  { length: 20 },
  (_, i) => [i % 2, ...Array.from({ length: 36 }, (_, at) => (i * at) % 200)].join(','),
).join('\n')}\n`;
const arrays = zipSync({
  'x.npy': Buffer.concat([npyHeader([20, 3]), new Uint8Array(4 * 20 * 3)]),
  'y.npy': Buffer.concat([
    npyHeader([20]),
    new Uint8Array(Float32Array.from({ length: 20 }, (_, i) => i % 2).buffer),
  ]),
});

const TOKENIZER = JSON.stringify({
  version: '1.0',
  truncation: null,
  padding: null,
  normalizer: null,
  post_processor: null,
  decoder: null,
  added_tokens: [],
  pre_tokenizer: { type: 'WhitespaceSplit' },
  model: {
    type: 'WordPiece',
    vocab: { '[UNK]': 0, the: 1 },
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
  },
});

type Case = readonly [
  kind: string,
  files: () => Promise<Record<string, Uint8Array | string>>,
  used: string[],
];
const CASES: readonly Case[] = [
  [
    'is a folder of images',
    async () => ({
      'cats/1.png': await png(8, 8, [1], 1),
      'cats/2.png': await png(8, 8, [2], 1),
      'dogs/1.png': await png(8, 8, [3], 1),
      'dogs/2.png': await png(8, 8, [4], 1),
    }),
    ['imageSize', 'channels', 'fit', 'transpose'],
  ],
  ['has IDX files', () => Promise.resolve(fourFiles()), ['transpose']],
  ['is a table of pixels', () => Promise.resolve({ 'p.csv': pixels }), ['target', 'transpose']],
  [
    'is a table of numbers and categories',
    () => Promise.resolve({ 't.csv': table }),
    ['target', 'ignore', 'types'],
  ],
  ['has arrays', () => Promise.resolve({ 'a.npz': arrays }), ['types']],
  [
    'is text',
    () => Promise.resolve({ 'a.txt': 'the quick brown fox '.repeat(40) }),
    ['tokenizer', 'sequenceLength'],
  ],
];
const GIVEN: Readonly<Record<string, [flag: string, options: ContentOptions]>> = {
  imageSize: ['--image-size', { imageSize: [6, 6] }],
  channels: ['--channels', { channels: 1 }],
  fit: ['--fit', { fit: 'pad' }],
  target: ['--target', { target: 'label' }],
  ignore: ['--ignore', { ignore: ['width'] }],
  types: ['--types', { types: { y: 'category' } }],
  sequenceLength: ['--sequence-length', { sequenceLength: 9 }],
  transpose: ['--transpose', { transpose: true }],
};

describe.each(CASES)('data that %s', (kind, make, used) => {
  it('refuses each option that it has no use for by its name', async () => {
    const folder = await writeFiles(join(scratch.root, 'own'), await make());
    const tokenizer = join(scratch.root, 'tokenizer.json');
    await writeFiles(scratch.root, { 'tokenizer.json': TOKENIZER });
    const given = { ...GIVEN, tokenizer: ['--tokenizer', { tokenizer }] as const };
    const unused = Object.entries(given).filter(([name]) => !used.includes(name));
    expect(unused.length).toBeGreaterThan(3);
    for (const [name, [flag, options]] of unused) {
      const sentence = await refusalOf(loadFolder(folder, options));
      expect(sentence).toContain(`${flag} is for `);
      // What a table holds is known when it is read.
      if (kind.startsWith('is a table of numbers'))
        expect(sentence).toMatch(/own is a table[^;]*\. Leave it out/);
      else if (name !== 'transpose') expect(sentence).toContain(`own ${kind}. Leave it out`);
    }
  });
});

describe('a data set with a name of its own', () => {
  it('refuses options of files, also if it is read because none is named', async () => {
    for (const dataDir of ['mnist', undefined]) {
      const load = (options: ContentOptions) => refusalOf(loadFolder('', { ...options, dataDir }));
      expect(await load({ target: 'kind' })).toBe(
        '--target is for tables with names of columns; mnist is a data set with a name of its own. Leave it out, or name other --data.',
      );
    }
  });
});

describe('the options of a saved model', () => {
  const image: Preprocessing = { kind: 'image', size: [8, 6], channels: 3, fit: 'crop' };
  const ofTable: Preprocessing = {
    kind: 'table',
    columns: [{ name: 'width', type: 'number', mean: 0, std: 1, missing: 0 }],
    targets: [{ name: 'kind', type: 'category', values: ['a', 'b'] }],
  };
  const text: Preprocessing = {
    kind: 'text',
    tokenizer: { kind: 'characters', characters: ['a'] },
    length: 8,
  };

  it.each<[Preprocessing, ContentOptions, string]>([
    [
      image,
      { imageSize: [8, 8] },
      '--image-size differs from the training of the model, by which new data is read (8x6). Leave it out.',
    ],
    [
      image,
      { channels: 1 },
      '--channels differs from the training of the model, by which new data is read (3)',
    ],
    [image, { fit: 'pad' }, '(crop)'],
    [ofTable, { target: ['width'] }, '(kind)'],
    [ofTable, { ignore: ['id', 'width'] }, '(it takes width)'],
    [ofTable, { types: { width: 'category' } }, '(width:number)'],
    [ofTable, { tokenizer: 'a.json' }, '(it has its own)'],
    [text, { sequenceLength: 9 }, '(8)'],
    [text, { tokenizer: 'a.json' }, '(it has its own)'],
  ])('are not changed: %#', (preprocessing, options, sentence) => {
    expect(() => refuseOtherOptions(options, preprocessing)).toThrow(sentence);
  });

  it('may be repeated, and those that the model lacks are its own business', () => {
    expect(() => {
      refuseOtherOptions({ imageSize: [8, 6], channels: 3, fit: 'crop', target: 'label' }, image);
      refuseOtherOptions(
        { target: 'kind', ignore: ['id'], types: { width: 'number', id: 'category' } },
        ofTable,
      );
      refuseOtherOptions({ sequenceLength: 8, ignore: ['id'] }, text);
    }).not.toThrow();
    const recorded: ContentOptions = {
      imageSize: [8, 6],
      target: 'label',
      tokenizer: 'a.json',
      transpose: true,
    };
    expect(withoutOwnOptions(recorded, image)).toEqual({
      target: 'label',
      tokenizer: 'a.json',
      transpose: true,
    });
    expect(withoutOwnOptions(recorded, ofTable)).toEqual({ imageSize: [8, 6], transpose: true });
    expect(withoutOwnOptions(recorded, undefined)).toEqual(recorded);
  });
});

describe('data that a saved model is measured on', () => {
  const measured = { isMeasured: true, measuresAll: true };
  const idx = (labels: number[], part: string): Record<string, Uint8Array> => ({
    [`${part}-images-idx3-ubyte`]: idxBytes(
      [labels.length, 6, 6],
      labels.flatMap((label) => Array<number>(36).fill(label)),
    ),
    [`${part}-labels-idx1-ubyte`]: idxBytes([labels.length], labels),
  });
  const count = async (
    files: Record<string, Uint8Array | string>,
    options: object = measured,
  ): Promise<number> => {
    const names = Object.keys(files);
    const folder = await writeFiles(join(scratch.root, 'own'), files);
    const path = names.length === 1 && !names[0]!.includes('/') ? join(folder, names[0]!) : folder;
    return (await loadFolder(path, options)).dataset.test.count;
  };

  it('is all of other pixels, in CSV, in IDX and named as a test part, unless a part is asked for', async () => {
    expect(await count({ 'p.csv': pixels })).toBe(20);
    expect(await count({ 'p.csv': pixels }, { isMeasured: true })).toBe(4);
    expect(await count({ 'p.csv': pixels }, { ...measured, validationSplit: 0.5 })).toBe(10);
  });

  it.each([
    ['IDX files to train on', idx([0, 1, 2, 0, 1], 'train')],
    ['IDX files of a test part alone', idx([0, 1, 2, 0, 1], 't10k')],
    ['a table of a test part alone', { 'x/test.csv': `width,kind\n1,a\n2,b\n3,a\n4,b\n5,b\n` }],
  ])('is all of %s', async (_, files) => {
    const preprocessing: Preprocessing | undefined =
      'x/test.csv' in files
        ? {
            kind: 'table',
            columns: [{ name: 'width', type: 'number', mean: 0, std: 1, missing: 0 }],
            targets: [{ name: 'kind', type: 'category', values: ['a', 'b'] }],
          }
        : undefined;
    expect(await count(files, { ...measured, preprocessing })).toBe(5);
  });

  it('is the test part of other data that has one', async () => {
    expect(await count({ ...idx([0, 1, 2, 0, 1], 'train'), ...idx([0, 1, 2], 't10k') })).toBe(3);
  });

  it('is the test part of other text that has one', async () => {
    const files = { 'a/train.txt': 'abcdefgh'.repeat(40), 'a/test.txt': 'abcdefgh'.repeat(10) };
    expect(await count(files, { ...measured, sequenceLength: 8 })).toBeLessThan(11);
  });

  it('is read with options of the training that it has a use for', async () => {
    const trainedWith: ContentOptions = { target: 'width', sequenceLength: 5, imageSize: [2, 2] };
    const folder = await writeFiles(join(scratch.root, 'own'), { 't.csv': table });
    const { dataset } = await loadFolder(join(folder, 't.csv'), { trainedWith });
    expect(dataset.targets).toEqual([{ name: 'width', shape: [], dtype: 'float32' }]);
    const given = await loadFolder(join(folder, 't.csv'), { trainedWith, target: 'kind' });
    expect(given.dataset.classNames).toEqual(['a', 'b']);
    const letters = await writeFiles(join(scratch.root, 'letters'), fourFiles());
    const [upright, turned] = [
      await loadFolder(letters),
      await loadFolder(letters, { trainedWith: { transpose: true } }),
    ];
    expect([upright.dataset.isTransposed, turned.dataset.isTransposed]).toEqual([undefined, true]);
    expect(
      (await loadFolder(letters, { trainedWith: { transpose: true }, transpose: false })).dataset
        .isTransposed,
    ).toBe(undefined);
  });
});
