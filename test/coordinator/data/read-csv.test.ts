import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { zipBytes } from '../../support/zip-bytes.ts';
import { csvText, expectWhole, fourFiles, useScratch } from './scratch-folder.ts';

const { scratch, load, refusal } = useScratch();

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

  it('with the name of an IDX file, with a line about it', async () => {
    const files = { 'train-images-idx3-ubyte': csvText('mnist'), 't10k-images-idx3-ubyte': csvText('mnist') };
    const alone = await load(files);
    expectWhole(alone);
    const line = 'CSV text with the name of an IDX file; the labels are read from its own column.';
    expect(alone.lines.infos.filter((info) => info.endsWith(line))).toHaveLength(2);
    await rm(join(scratch.root, 'own'), { recursive: true });
    expectWhole(await load({ ...fourFiles(), ...files }));
  });

  it('with decimal numbers from 0 to 1', async () => {
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
  ])('or rejected with a sentence: %s', async (_, text, found) => {
    const message = await refusal({ 'train.csv': text, 'test.csv': csvText('mnist') });
    expect(message).toContain(join(scratch.root, 'own', 'train.csv'));
    expect(message).toContain(found);
  });
});

function windows(text: string): string {
  return `\ufeff${text.replaceAll('\n', '\r\n')}`;
}
