import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { fitWords, openTokenizer, parseTokenizer } from '../../../../coordinator/data/text/tokenizer.ts';
import { textDataset } from '../../../../coordinator/data/text/text-dataset.ts';
import { loadFolder, refusalOf } from '../scratch-folder.ts';
import { rowsOf, targetsOf, useTables } from '../table/table-files.ts';

const { own, write, load, refusal } = useTables();

/** A small tokenizer.json: words, divided at spaces. */
const WORDS_JSON = JSON.stringify({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'WhitespaceSplit' },
  post_processor: null,
  decoder: null,
  model: {
    type: 'WordPiece',
    vocab: { '[UNK]': 0, the: 1, cat: 2, sat: 3 },
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
  },
});

describe('text is read', () => {
  it('as windows of characters, each with the next one as its target', async () => {
    const text = 'abcabcabcabcabcabcabcab';
    const { dataset, lines } = await load(
      { 'letters.txt': text },
      { sequenceLength: 3, validationSplit: 0.25 },
    );
    expect(dataset).toMatchObject({
      name: 'letters',
      inputs: [{ name: 'text', shape: [3], dtype: 'int32', classes: 4 }],
      targets: [{ name: 'next', shape: [3], dtype: 'int32', classes: 4 }],
      preprocessing: {
        kind: 'text',
        length: 3,
        tokenizer: { kind: 'characters', characters: ['a', 'b', 'c'] },
      },
    });
    // 23 characters are 7 windows, of which the last 2 are for testing, with the character behind them.
    expect([dataset.train.count, dataset.test.count]).toEqual([5, 2]);
    expect(rowsOf(dataset.train, 3).slice(0, 2)).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
    expect(targetsOf(dataset.train).slice(0, 6)).toEqual([2, 3, 1, 2, 3, 1]);
    expect(rowsOf(dataset.test, 3)[0]).toEqual([2, 3, 1]);
    expect(lines.infos).toEqual([
      'letters.txt: 16 characters to train on, 7 to validate on, from the end of the text; 4 different ones.',
      'Samples: windows of 3 characters (--sequence-length); the target of each is the next one.',
    ]);
  });

  it('with line breaks of Windows, a byte order mark and characters beyond 16 bits', async () => {
    const { dataset } = await load(
      { 'a.txt.gz': gzipSync('\ufeffa\r\n\u{1f600}\r\na\n\u{1f600}\n') },
      { sequenceLength: 1, validationSplit: 0.3 },
    );
    expect(dataset.preprocessing).toMatchObject({ tokenizer: { characters: ['\n', 'a', '\u{1f600}'] } });
    expect(rowsOf(dataset.train, 1).flat()).toEqual([2, 1, 3, 1]);
  });

  it('of a folder: files named train and test, with unknown characters said', async () => {
    const { dataset, lines } = await load(
      { 'train/1.txt': 'abab', 'train/2.txt': 'baba', 'test.txt': 'axb' },
      { sequenceLength: 2 },
    );
    expect(rowsOf(dataset.train, 2)).toEqual([
      [1, 2],
      [1, 2],
      [2, 1],
    ]);
    expect(rowsOf(dataset.test, 2)).toEqual([[1, 0]]);
    expect(targetsOf(dataset.test)).toEqual([0, 2]);
    expect(lines.infos).toContain('1 characters of the test part are not in the training part.');
  });

  it('with a tokenizer.json of Hugging Face', async () => {
    await write({ 'tokenizer.json': WORDS_JSON });
    const tokenizer = join(own(), 'tokenizer.json');
    const { dataset } = await load(
      { 'cat.txt': 'The cat sat\nthe dog sat the cat sat' },
      { tokenizer, sequenceLength: 2, validationSplit: 0.5 },
    );
    expect(dataset.inputs[0]).toMatchObject({ classes: 4 });
    // Nine tokens are four windows; two of them and a target are for testing, and a token remains.
    expect(rowsOf(dataset.train, 2)).toEqual([[1, 2]]);
    expect(targetsOf(dataset.train)).toEqual([2, 3]);
    expect(rowsOf(dataset.test, 2).flat()).toEqual([0, 3, 1, 2]);
    expect(dataset.preprocessing).toMatchObject({
      tokenizer: { kind: 'huggingface', json: { model: { type: 'WordPiece' } } },
    });
  });

  it('with the characters of a saved model', async () => {
    const { dataset } = await load({ 'a.txt': 'abcdabcdabcd' }, { sequenceLength: 2 });
    await write({ 'new.txt': 'dcbax' });
    const again = await loadFolder(own(), {
      preprocessing: dataset.preprocessing,
      isMeasured: true,
      test: join(own(), 'new.txt'),
    });
    expect(rowsOf(again.dataset.test, 2)).toEqual([
      [4, 3],
      [2, 1],
    ]);
    expect(targetsOf(again.dataset.test)).toEqual([3, 2, 1, 0]);
  });

  it('in pieces, by a tokenizer, without losing a part', async () => {
    const words = Array.from({ length: 40_000 }, (_, i) => ['the', 'cat', 'sat'][i % 3]!).join(' ');
    const pieces = Array.from({ length: Math.ceil(words.length / 1000) }, (_, i) =>
      words.slice(1000 * i, 1000 * (i + 1)),
    );
    const tokenizer = await parseTokenizer(WORDS_JSON, 'tokenizer.json');
    const { dataset } = await textDataset(
      { train: { path: 'a', chunks: Readable.from(pieces) }, test: null },
      { tokenizer, length: 3, validationSplit: 0.1 },
      { name: 'a', description: '' },
    );
    const rows = rowsOf(dataset.train, 3);
    expect(rows.every(([a, b, c]) => a === 1 && b === 2 && c === 3)).toBe(true);
    expect(dataset.train.count + dataset.test.count).toBe(Math.floor(39_999 / 3) - 1);
  });
});

describe('a tokenizer of words', () => {
  it('has the most frequent words, and one id for all others', async () => {
    const tokenizer = fitWords(['The cat! the dog', "Don't, the cat"], 3);
    expect(tokenizer).toEqual({ kind: 'words', words: ['the', 'cat', '!'] });
    const { encode, vocabulary } = await openTokenizer(tokenizer);
    expect(vocabulary).toBe(5);
    expect(encode('THE bird! cat')).toEqual([2, 1, 4, 3]);
  });
});

describe('a broken text is refused with its file and what to do', () => {
  it.each([
    [
      'Latin-1',
      Buffer.from('one\ntwo caf\xe9\n', 'latin1'),
      {},
      'a.txt: line 2 is not UTF-8 text; read as Latin-1 it has "two café". Convert the file first: iconv -f LATIN1 -t UTF-8 FILE > NEW_FILE.',
    ],
    [
      'a character that is cut at the end',
      Buffer.from('abc\xe2\x82', 'latin1'),
      {},
      'a.txt: line 1 is not UTF-8 text',
    ],
    [
      'UTF-16',
      Buffer.from('\ufeffabc', 'utf16le'),
      {},
      'a.txt: expected text, found text in UTF-16. Save it as UTF-8.',
    ],
    ['nothing', '', {}, 'a.txt: expected text, found an empty file (0 bytes).'],
    [
      'too little',
      'abc',
      {},
      'a.txt: the training part has 0 characters, and a sample has 65. Use more text, or a smaller --sequence-length.',
    ],
    [
      'bytes',
      Buffer.from([5, 0, 1, 2, 3]),
      {},
      'a.txt: expected text, found bytes that begin with 0x05000102.',
    ],
    [
      'a web page',
      '<html><body>',
      {},
      'a.txt: expected text, found a web page (HTML). Download the file itself: a page was saved in its place.',
    ],
    ['a document', '%PDF-1.4', {}, 'a.txt: expected text, found a PDF document.'],
    [
      'a pointer of Git LFS',
      'version https://git-lfs.github.com/spec/v1\n',
      {},
      'a.txt: expected text, found a Git LFS pointer instead of the file. Run git lfs pull in the repository that it comes from.',
    ],
    [
      'options of tables',
      'abc',
      { target: 'y' },
      '--target is for tables with names of columns; a.txt is text. Leave it out, or choose another --format.',
    ],
  ] as const)('%s', async (_, text, options, message) => {
    expect(await refusal({ 'a.txt': text }, options)).toContain(message);
  });

  it.each([
    [
      'none',
      undefined,
      'tokenizer.json: expected a tokenizer.json of Hugging Face, found none: the file or a folder above it does not exist.',
    ],
    [
      'no JSON',
      'model',
      'tokenizer.json: expected a tokenizer.json of Hugging Face, found text that is not JSON. Download the file itself.',
    ],
    [
      'a configuration',
      '{"tokenizer_class": "GPT2Tokenizer"}',
      'tokenizer.json: expected a tokenizer.json of Hugging Face, found JSON without a model. Name the file tokenizer.json, not tokenizer_config.json or vocab.json.',
    ],
    [
      'a model that there is not',
      '{"model": {"type": "Abacus"}}',
      'tokenizer.json: the tokenizer cannot be used:',
    ],
  ])('a tokenizer: %s', async (_, json, message) => {
    await write({ 'a.txt': 'abc', ...(json === undefined ? {} : { 'tokenizer.json': json }) });
    const loading = loadFolder(join(own(), 'a.txt'), { tokenizer: join(own(), 'tokenizer.json') });
    expect(await refusalOf(loading)).toContain(message);
  });
});
