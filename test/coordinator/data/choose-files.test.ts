import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseFiles } from '../../../coordinator/data/choose-files.ts';
import { memoryFile } from '../../../coordinator/data/data-file.ts';
import { parseRole } from '../../../coordinator/data/file-names.ts';
import { DataError } from '../../../shared/data/data-error.ts';
import { checkProperty } from '../../support/property.ts';

const chooseIn = (folder: string, ...names: string[]) =>
  chooseFiles(
    names.map((name) => memoryFile(new Uint8Array(), name)),
    folder,
    '--data',
  );
const choose = (...names: string[]) => chooseIn('/own', ...names);
const refusal = (...names: string[]): string => refuseIn('/own', ...names);
const refuseIn = (folder: string, ...names: string[]): string => {
  try {
    chooseIn(folder, ...names);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as Error).message;
  }
  throw new Error('it was chosen');
};

describe("parseRole reads a file's part from its path", () => {
  it.each([
    ['emnist-letters-train-images-idx3-ubyte.gz', 'train images of emnist-letters'],
    ['gzip/emnist-letters-test-labels-idx1-ubyte.gz', 'test labels of gzip/emnist-letters'],
    ['EMNIST/raw/emnist-letters-train-images-idx3-ubyte', 'train images of EMNIST/raw/emnist-letters'],
    ['train-labels-idx1-ubyte/train-labels-idx1-ubyte', 'train labels of '],
    ['T10K-LABELS.IDX1-UBYTE', 'test labels of '],
    ['fashion-mnist_train.csv', 'train table of fashion-mnist'],
    ['validation/images.idx', 'val images of '],
    ['kmnist-train-imgs.npz', undefined],
    ['train-images-idx3-ubyte.png', 'nothing'],
    ['test_images.py', 'nothing'],
    ['images-idx3-ubyte', 'nothing'],
    ['train', 'nothing'],
    [`train-images${' '.repeat(100_000)}x`, 'nothing'],
  ])('%.60s', (path, expected) => {
    const role = parseRole(path);
    const description = role === null ? 'nothing' : `${role.split} ${role.kind} of ${role.set}`;
    // .npz is an ordinary part of the name: the format is detected from the contents.
    expect(description).toBe(expected ?? 'train images of kmnist-npz');
  });
});

describe('chooseFiles', () => {
  const idx = ['train-images', 'train-labels', 't10k-images', 't10k-labels'];

  it('chooses the set in the higher folder, and IDX files before a table', () => {
    const below = idx.map((name) => `old/${name}`);
    expect(choose(...below, ...idx, 'train.csv', 'test.csv').train.images?.name).toBe('train-images');
    expect(choose(...below, 'train.csv', 'test.csv').train.table?.name).toBe('train.csv');
    expect(choose(...below).test?.labels?.name).toBe('old/t10k-labels');
  });

  it('chooses test files before validation files if both are complete', () => {
    const val = ['val-images', 'val-labels'];
    expect(choose(...idx, ...val).test?.images?.name).toBe('t10k-images');
    expect(choose(...idx.slice(0, 3), ...val).test?.images?.name).toBe('val-images');
  });

  it('combines files with different set names if there is one of each kind', () => {
    const { train, test } = choose('a-train-images', 'train-labels', 'b-test-images', 'test-labels');
    expect([train.images?.name, test?.images?.name]).toEqual(['a-train-images', 'b-test-images']);
  });

  it('chooses files to train on alone if no name is of a test part', () => {
    const { train, test } = choose('own-train-images', 'own-train-labels');
    expect([train.images?.name, test]).toEqual(['own-train-images', null]);
    expect(choose('train.csv').test).toBeNull();
    expect(
      choose('own-train-images', 'own-train-labels', 'test-images', 'test-labels').test?.images?.name,
    ).toBe('test-images');
    expect(refusal('train-images', 'train-labels', 'test-labels')).toContain('lacks test images');
  });

  it('names missing files and those that are present', () => {
    expect(refusal('train-images', 't10k-labels', 'notes.txt')).toBe(
      '/own (from --data) lacks train labels and test images; found train-images, t10k-labels. ' +
        'Put train-labels-idx1-ubyte, t10k-images-idx3-ubyte beside them, bare or packed (names with test or val are read too).',
    );
    expect(refusal()).toContain('holds no files');
    expect(refuseIn('/own.zip', 'a/1.png', 'b/2.png')).toBe(
      '/own.zip (from --data) holds 2 images, which are read from folders only. Unpack it, and point --data at the folder.',
    );
    expect(refusal('a.parquet', 'b.parquet', 'c')).toContain('2 .parquet, 1 without an extension');
  });

  it('returns a choice or throws a DataError for any names', () => {
    const word = fc.constantFrom(
      'train',
      'test',
      'val',
      'images',
      'labels',
      'x',
      '.csv',
      '/',
      '-',
      ' (1)',
      '.gz',
      'é',
    );
    const name = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join(''));
    checkProperty(
      fc.property(fc.array(fc.oneof(name, fc.string()), { maxLength: 12 }), (names) => {
        try {
          const { train, test } = choose(...names);
          for (const files of [train, test]) {
            if (files === null) continue;
            expect(
              files.table !== undefined || (files.images !== undefined && files.labels !== undefined),
            ).toBe(true);
          }
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
        }
      }),
      { seed: 3, numRuns: 500 },
    );
  });
});
