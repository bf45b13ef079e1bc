import { DataError } from '../../../shared/data/data-error.ts';
import type { Dataset, StoredSplit } from '../../../shared/data/dataset.ts';
import type { Tokenizer } from '../../../shared/data/preprocessing.ts';
import { NO_TOKEN, openTokenizer, type TextEncoder } from './tokenizer.ts';

/** Limit for tokens in memory: 1 GiB. */
const MAX_TOKENS = 2 ** 28;
/** Characters that are encoded at a time by a tokenizer.json, cut after a line. */
const ENCODED_LENGTH = 2 ** 16;

/** Part of a data set as chunks of text, in which no character is cut. */
export interface TextSource {
  /** Path for messages. */
  readonly path: string;
  readonly chunks: AsyncIterable<string>;
}

export interface TextOptions {
  /** @default the characters of the training part */
  readonly tokenizer?: Tokenizer | undefined;
  /** Tokens of a sample. */
  readonly length: number;
  /** Part at the end of the text that is for testing, if there is no test part. */
  readonly validationSplit: number;
}

/**
 * Data set of text in windows of `length` tokens. The target of each token is the one behind it, so that one sample trains
 * `length` predictions. Windows do not overlap: they are views of one array.
 *
 * @returns also lines about what was read
 * @throws DataError if the text is too short or too long
 */
export async function textDataset(
  { train, test }: { readonly train: TextSource; readonly test: TextSource | null },
  options: TextOptions,
  about: Pick<Dataset, 'name' | 'description'>,
): Promise<{ dataset: Dataset; lines: string[] }> {
  const { length } = options;
  const lines: string[] = [];
  const reader =
    options.tokenizer === undefined
      ? new CharacterReader()
      : new TokenReader(await openTokenizer(options.tokenizer));
  let trainTokens = await reader.read(train);
  let testTokens: Int32Array;
  if (test !== null) testTokens = await reader.read(test);
  else {
    const testSamples = Math.max(1, Math.round(countWindows(trainTokens, length) * options.validationSplit));
    const cut = trainTokens.length - testSamples * length - 1;
    testTokens = trainTokens.subarray(Math.max(0, cut));
    trainTokens = trainTokens.subarray(0, Math.max(0, cut));
  }
  const tokenizer = options.tokenizer ?? (reader as CharacterReader).fit(trainTokens);
  const { vocabulary, unit } = await openTokenizer(tokenizer);
  if (reader instanceof CharacterReader) {
    const unknown = reader.renumber(tokenizer, [trainTokens, testTokens]);
    if (unknown > 0) lines.push(`${unknown} characters of the test part are not in the training part.`);
  }
  const path = train.path;
  requireWindows(trainTokens, length, unit, 'training', path);
  requireWindows(testTokens, length, unit, 'test', test?.path ?? path);
  lines.unshift(
    `${path}: ${trainTokens.length} ${unit} to train on, ${testTokens.length} to validate on${test === null ? ', from the end of the text' : ''}; ${vocabulary} different ones.`,
    `Samples: windows of ${length} ${unit} (--sequence-length); the target of each is the next one.`,
  );
  const dataset: Dataset = {
    ...about,
    inputs: [{ name: 'text', shape: [length], dtype: 'int32', classes: vocabulary }],
    targets: [{ name: 'next', shape: [length], dtype: 'int32', classes: vocabulary }],
    train: windows(trainTokens, length),
    test: windows(testTokens, length),
    preprocessing: { kind: 'text', tokenizer, length },
  };
  return { dataset, lines };
}

const countWindows = (tokens: Int32Array, length: number): number => Math.floor((tokens.length - 1) / length);

function windows(tokens: Int32Array, length: number): StoredSplit {
  const count = countWindows(tokens, length);
  return {
    count,
    inputs: [tokens.subarray(0, count * length)],
    targets: [tokens.subarray(1, count * length + 1)],
  };
}

function requireWindows(tokens: Int32Array, length: number, unit: string, part: string, path: string): void {
  if (countWindows(tokens, length) >= 1) return;
  throw new DataError(
    `${path}: the ${part} part has ${tokens.length} ${unit}, and a sample has ${length + 1}. Use more text, or a smaller --sequence-length.`,
  );
}

/** Reads characters and numbers them in the order in which they are found. */
class CharacterReader {
  private readonly found = new Map<string, number>();

  async read({ path, chunks }: TextSource): Promise<Int32Array> {
    const tokens = new Tokens(path);
    for await (const chunk of chunks) {
      for (const character of chunk) {
        let number = this.found.get(character);
        if (number === undefined) {
          number = this.found.size;
          this.found.set(character, number);
        }
        tokens.push(number);
      }
    }
    return tokens.toArray();
  }

  /** The characters of the training part, in the order of their code points. */
  fit(train: Int32Array): Tokenizer {
    const isUsed = new Uint8Array(this.found.size);
    for (const number of train) isUsed[number] = 1;
    const characters = [...this.found]
      .filter(([, number]) => isUsed[number] === 1)
      .map(([character]) => character);
    const codePoint = (character: string): number => character.codePointAt(0) ?? 0;
    return { kind: 'characters', characters: characters.toSorted((a, b) => codePoint(a) - codePoint(b)) };
  }

  /** Replaces the numbers by the ids of a tokenizer. @returns the number of unknown characters */
  renumber(tokenizer: Tokenizer, parts: readonly Int32Array[]): number {
    const characters = tokenizer.kind === 'characters' ? tokenizer.characters : [];
    const byCharacter = new Map(characters.map((character, i) => [character, i + 1]));
    const ids = Int32Array.from(this.found.keys(), (character) => byCharacter.get(character) ?? NO_TOKEN);
    let unknown = 0;
    for (const tokens of parts) {
      for (let i = 0; i < tokens.length; i++) {
        const id = ids[tokens[i] as number] as number;
        if (id === NO_TOKEN) unknown++;
        tokens[i] = id;
      }
    }
    return unknown;
  }
}

/** Encodes text in pieces that end with a line. */
class TokenReader {
  private readonly encoder: TextEncoder;

  constructor(encoder: TextEncoder) {
    this.encoder = encoder;
  }

  async read({ path, chunks }: TextSource): Promise<Int32Array> {
    const tokens = new Tokens(path);
    let rest = '';
    const encode = (text: string): void => {
      for (const id of Array.from(this.encoder.encode(text))) tokens.push(id);
    };
    for await (const chunk of chunks) {
      rest += chunk;
      while (rest.length >= ENCODED_LENGTH) {
        const lineEnd = rest.lastIndexOf('\n', ENCODED_LENGTH) + 1;
        const wordEnd = rest.lastIndexOf(' ', ENCODED_LENGTH);
        const end = lineEnd > 0 ? lineEnd : wordEnd > 0 ? wordEnd : ENCODED_LENGTH;
        encode(rest.slice(0, end));
        rest = rest.slice(end);
      }
    }
    encode(rest);
    return tokens.toArray();
  }
}

/** Growing list of tokens. */
class Tokens {
  private values = new Int32Array(2 ** 16);
  private length = 0;
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** @throws DataError if there are too many */
  push(value: number): void {
    if (this.length === this.values.length) {
      if (this.length >= MAX_TOKENS) {
        throw new DataError(
          `${this.path}: more than ${MAX_TOKENS} tokens do not fit into memory. Use a part of the text.`,
        );
      }
      const larger = new Int32Array(2 * this.length);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  toArray(): Int32Array {
    return this.values.slice(0, this.length);
  }
}

/**
 * Ids of texts in rows of `length`: the first tokens of each, with padding in front, so that the last one is next to the end,
 * where a recurrent layer has its output.
 */
export function encodeTexts(
  texts: Iterable<string>,
  count: number,
  length: number,
  { encode }: TextEncoder,
): Int32Array {
  const ids = new Int32Array(count * length).fill(NO_TOKEN);
  let row = 0;
  for (const text of texts) {
    const own = Array.from(encode(text)).slice(0, length);
    ids.set(own, (row + 1) * length - own.length);
    row++;
  }
  return ids;
}
