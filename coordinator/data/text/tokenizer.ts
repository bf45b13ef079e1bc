import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import type { Tokenizer } from '../../../shared/data/preprocessing.ts';
import { errorMessage } from '../../../shared/util/error-message.ts';

/** Tokenizer that is ready to encode. */
export interface TextEncoder {
  /** Number of ids; each is below it. */
  readonly vocabulary: number;
  /** Unit of the tokens, for messages. */
  readonly unit: 'characters' | 'words' | 'tokens';
  /** @returns the ids of a text's tokens, without special tokens */
  readonly encode: (text: string) => ArrayLike<number>;
  /** @returns the text of tokens, as far as their ids say it */
  readonly decode: (ids: readonly number[]) => string;
  /** First id that stands for a token of its own; those below are padding and unknown tokens. */
  readonly firstToken: number;
}

/** The part of @huggingface/tokenizers that is used. */
interface TokenizersLibrary {
  readonly Tokenizer: new (
    json: object,
    config: object,
  ) => {
    get_vocab(withAddedTokens: boolean): Map<string, number>;
    encode(text: string, options: { readonly add_special_tokens: boolean }): { readonly ids: number[] };
    decode(ids: readonly number[], options: { readonly skip_special_tokens: boolean }): string;
  };
}

/** Id of what is no token: padding, and a character that the training part lacks. */
export const NO_TOKEN = 0;
const UNKNOWN_WORD = 1;
const FIRST_WORD = 2;
/** Words of the training part that are kept, the most frequent ones. */
const MAX_WORDS = 20_000;
/** A word, or a sign that is not a space. */
const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}]+)*|[^\s\p{L}\p{N}]/gu;
/** A larger tokenizer.json is not one. */
const MAX_IDS = 2 ** 20;

/**
 * Opens a tokenizer.
 * @throws Error if the contents of a tokenizer.json are not understood
 * @example
 * ```ts
 * const { encode, vocabulary } = await openTokenizer({ kind: 'characters', characters: ['a', 'b'] });
 * encode('ab?'); // [1, 2, 0]
 * ```
 */
export async function openTokenizer(tokenizer: Tokenizer): Promise<TextEncoder> {
  switch (tokenizer.kind) {
    case 'characters': {
      const { characters } = tokenizer;
      const ids = new Map(characters.map((character, i) => [character, i + 1]));
      const encode = (text: string): number[] =>
        Array.from(text, (character) => ids.get(character) ?? NO_TOKEN);
      const decode = (tokens: readonly number[]): string =>
        tokens.map((id) => characters[id - 1] ?? '').join('');
      return { vocabulary: characters.length + 1, unit: 'characters', encode, decode, firstToken: 1 };
    }
    case 'words': {
      const { words } = tokenizer;
      const ids = new Map(words.map((word, i) => [word, i + FIRST_WORD]));
      const encode = (text: string): number[] =>
        splitWords(text).map((word) => ids.get(word) ?? UNKNOWN_WORD);
      const decode = (tokens: readonly number[]): string =>
        tokens.map((id) => words[id - FIRST_WORD] ?? '').join(' ');
      return { vocabulary: words.length + FIRST_WORD, unit: 'words', encode, decode, firstToken: FIRST_WORD };
    }
    case 'huggingface': {
      const { Tokenizer: Model } = (await import('@huggingface/tokenizers')) as unknown as TokenizersLibrary;
      const model = new Model(tokenizer.json, {});
      let vocabulary = 0;
      for (const id of model.get_vocab(true).values()) vocabulary = Math.max(vocabulary, id + 1);
      if (vocabulary === 0 || vocabulary > MAX_IDS) throw new Error(`It has ${vocabulary} tokens.`);
      const encode = (text: string): number[] => model.encode(text, { add_special_tokens: false }).ids;
      // A model may have more ids than the tokenizer has tokens.
      const decode = (tokens: readonly number[]): string =>
        tokens.length === 0 ? '' : model.decode(tokens, { skip_special_tokens: true });
      return { vocabulary, unit: 'tokens', encode, decode, firstToken: 0 };
    }
  }
}

/**
 * Parses the contents of a tokenizer.json and tries it.
 * @param path for messages
 * @throws DataError if it is no tokenizer, or one that is not supported
 */
export async function parseTokenizer(text: string, path: string): Promise<Tokenizer> {
  const expected = 'a tokenizer.json of Hugging Face';
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw invalidFileError(path, expected, 'text that is not JSON', 'Download the file itself.');
  }
  if (typeof json !== 'object' || json === null || !('model' in json)) {
    throw invalidFileError(
      path,
      expected,
      'JSON without a model',
      'Name the file tokenizer.json, not tokenizer_config.json or vocab.json.',
    );
  }
  const tokenizer: Tokenizer = { kind: 'huggingface', json: { ...json } };
  try {
    const encoder = await openTokenizer(tokenizer);
    const { vocabulary } = encoder;
    const ids = Array.from(encoder.encode('One text, to try it: 1 2 3.'));
    if (ids.every((id) => Number.isInteger(id) && id >= 0 && id < vocabulary)) return tokenizer;
    throw new Error('It gives tokens without an id.');
  } catch (error) {
    throw new DataError(
      `${path}: the tokenizer cannot be used: ${errorMessage(error)} Use one that the package @huggingface/tokenizers reads.`,
    );
  }
}

/** Words in lower case and signs of a text. */
const splitWords = (text: string): string[] => text.toLowerCase().match(WORD) ?? [];

/** Tokenizer of the words that are most frequent in texts; equally frequent ones in the order of their characters. */
export function fitWords(texts: Iterable<string>, limit = MAX_WORDS): Tokenizer {
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const word of splitWords(text)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const words = [...counts]
    .toSorted(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .slice(0, limit)
    .map(([word]) => word);
  return { kind: 'words', words };
}
