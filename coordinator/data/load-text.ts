import { basename } from 'node:path';
import { invalidFileError } from '../../shared/data/data-error.ts';
import type { Tokenizer } from '../../shared/data/preprocessing.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import type { DataFile } from './data-file.ts';
import { DEFAULT_SEQUENCE_LENGTH, DEFAULT_VALIDATION_SPLIT } from './data-options.ts';
import {
  listFiles,
  openText,
  type About,
  type Loaded,
  type TableFiles,
  type TableLoadOptions,
} from './find-tables.ts';
import { utf8Chunks } from './table/parse-csv.ts';
import { textDataset, type TextSource } from './text/text-dataset.ts';
import { parseTokenizer } from './text/tokenizer.ts';

/** Loads text, whose samples are windows of tokens. @throws DataError */
export async function loadText(files: TableFiles, options: TableLoadOptions, about: About): Promise<Loaded> {
  const { sequenceLength: length = DEFAULT_SEQUENCE_LENGTH, validationSplit = DEFAULT_VALIDATION_SPLIT } =
    options;
  const source = (parts: readonly DataFile[]): TextSource => ({
    path: listFiles(parts),
    chunks: readText(parts),
  });
  const { preprocessing, isTest = false } = options;
  const test = files.test ?? (isTest ? files.train : null);
  const settings =
    preprocessing?.kind === 'text'
      ? { length: preprocessing.length, tokenizer: preprocessing.tokenizer }
      : { length, tokenizer: await readTokenizer(options.tokenizer) };
  return textDataset(
    { train: source(files.train), test: test === null ? null : source(test) },
    { ...settings, validationSplit },
    about,
  );
}

/** Text of files, one after the other, with line breaks as \n and without byte order marks. */
async function* readText(files: readonly DataFile[]): AsyncGenerator<string> {
  for (const file of files) {
    const contents = await openText(file, 'text');
    try {
      let isFirst = true;
      let carriageReturn = '';
      for await (const bytes of utf8Chunks(contents.chunks, file.path)) {
        let text = carriageReturn + bytes.toString('utf8');
        if (isFirst) text = text.replace(/^\ufeff/, '');
        isFirst = false;
        // A line break may be cut between two chunks.
        carriageReturn = text.endsWith('\r') ? '\r' : '';
        yield (carriageReturn === '' ? text : text.slice(0, -1)).replaceAll(/\r\n?/g, '\n');
      }
      if (carriageReturn !== '') yield '\n';
    } finally {
      await contents.close();
    }
  }
}

/** Characters of a text that is one sample, or the beginning of one that a model continues. */
const MAX_SAMPLE_TEXT = 2 ** 24;

/** Reads files as one text. @throws DataError if it is longer than a sample can be */
export async function readAllText(files: readonly DataFile[]): Promise<string> {
  let text = '';
  for await (const part of readText(files)) {
    text += part;
    if (text.length > MAX_SAMPLE_TEXT)
      throw invalidFileError(
        listFiles(files),
        `a text of at most ${MAX_SAMPLE_TEXT} characters`,
        'a longer one',
        'Use a part of it.',
      );
  }
  return text;
}

/** A tokenizer.json of a large model has 20 MB. */
const MAX_TOKENIZER_BYTES = 2 ** 27;

/** Reads the file of --tokenizer. @throws DataError */
export async function readTokenizer(path: string | undefined): Promise<Tokenizer | undefined> {
  if (path === undefined) return undefined;
  const shown = sanitizeForTerminal(path);
  let bytes: Buffer;
  try {
    bytes = await readRegularFile(path, MAX_TOKENIZER_BYTES);
  } catch (error) {
    throw invalidFileError(
      shown,
      'a tokenizer.json of Hugging Face',
      `none: ${describeDiskError(error)}`,
      `Name the file itself with --tokenizer: ${basename(shown)} cannot be read.`,
    );
  }
  return parseTokenizer(bytes.toString('utf8'), shown);
}
