import * as v from 'valibot';
import type { SchemaFields } from '../util/schema-fields.ts';
import { sanitizeForTerminal } from '../util/sanitize.ts';
import { DataError } from './data-error.ts';

/**
 * How a raw file becomes tensors: saved with the model, so that new data is treated like the training data. All parts are
 * JSON, and are parsed like everything that comes from a file.
 */

const finite = v.pipe(v.number(), v.finite());
const size = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(2 ** 24));
const MAX_NAME_LENGTH = 1000;
const name = v.pipe(v.string(), v.maxLength(MAX_NAME_LENGTH));
const positive = v.pipe(
  finite,
  v.check((value) => value > 0, 'a number above 0'),
);

/** Limits of a file of a model: of larger ones, no run makes use. */
const MAX_COLUMNS = 100_000;
const MAX_VALUES = 1_000_000;

const names = v.pipe(v.array(name), v.maxLength(MAX_VALUES));

interface NumberColumn {
  readonly name: string;
  readonly type: 'number';
  /** A value becomes (value - mean) / std. */
  readonly mean: number;
  readonly std: number;
  /** Number that takes the place of a missing one. */
  readonly missing: number;
}

interface CategoryColumn {
  readonly name: string;
  readonly type: 'category';
  /** A value becomes one-hot in this order. A missing or unknown one is all zeros, unless '' is a value. */
  readonly values: string[];
}

export type Column = NumberColumn | CategoryColumn;

const columnSchema = v.variant('type', [
  v.object({
    name,
    type: v.literal('number'),
    mean: finite,
    std: positive,
    missing: finite,
  } satisfies SchemaFields<NumberColumn>),
  v.object({ name, type: v.literal('category'), values: names } satisfies SchemaFields<CategoryColumn>),
]);

/** Types of a column that `types` of DataOptions can name. */
export type ColumnType = Column['type'];

interface NumberTarget {
  readonly name: string;
  readonly type: 'number';
  readonly mean: number;
  readonly std: number;
}

interface CategoryTarget {
  readonly name: string;
  readonly type: 'category';
  readonly values: string[];
}

/** Target: a number as it is, or the place of a value among the classes. */
export type Target = NumberTarget | CategoryTarget;

const targetSchema = v.variant('type', [
  v.object({
    name,
    type: v.literal('number'),
    mean: finite,
    std: positive,
  } satisfies SchemaFields<NumberTarget>),
  v.object({ name, type: v.literal('category'), values: names } satisfies SchemaFields<CategoryTarget>),
]);
const targets = v.pipe(v.array(targetSchema), v.maxLength(MAX_COLUMNS));

interface CharacterTokenizer {
  readonly kind: 'characters';
  /** Character i has the id i + 1; 0 is an unknown character, or none. */
  readonly characters: string[];
}

interface WordTokenizer {
  readonly kind: 'words';
  /** Word i in lower case has the id i + 2; 0 is no word, 1 an unknown one. */
  readonly words: string[];
}

interface HuggingFaceTokenizer {
  readonly kind: 'huggingface';
  /** Contents of a tokenizer.json. */
  readonly json: Record<string, unknown>;
}

export type Tokenizer = CharacterTokenizer | WordTokenizer | HuggingFaceTokenizer;

const tokenizerSchema = v.variant('kind', [
  v.object({ kind: v.literal('characters'), characters: names } satisfies SchemaFields<CharacterTokenizer>),
  v.object({ kind: v.literal('words'), words: names } satisfies SchemaFields<WordTokenizer>),
  v.object({
    kind: v.literal('huggingface'),
    json: v.record(v.string(), v.unknown()),
  } satisfies SchemaFields<HuggingFaceTokenizer>),
]);

export interface ImagePreprocessing {
  readonly kind: 'image';
  /** Height and width. */
  readonly size: [number, number];
  readonly channels: 1 | 3 | 4;
  readonly fit: 'crop' | 'pad' | 'stretch';
}

export interface TablePreprocessing {
  readonly kind: 'table';
  /** Columns of the only input, in its order. */
  readonly columns: Column[];
  readonly targets: Target[];
}

export interface TextPreprocessing {
  readonly kind: 'text';
  readonly tokenizer: Tokenizer;
  /** Tokens of a sample. */
  readonly length: number;
  /** Column of a table that holds the text. @default the file is the text, and the next token the target */
  readonly column?: string | undefined;
  /** Targets of a table with text. */
  readonly targets?: Target[] | undefined;
}

/**
 * Preprocessing of a data set.
 * @example
 * ```ts
 * const preprocessing: Preprocessing = { kind: 'image', size: [64, 64], channels: 3, fit: 'crop' };
 * ```
 */
export type Preprocessing = ImagePreprocessing | TablePreprocessing | TextPreprocessing;

const preprocessingSchema = v.variant('kind', [
  v.object({
    kind: v.literal('image'),
    size: v.tuple([size, size]),
    channels: v.picklist([1, 3, 4]),
    fit: v.picklist(['crop', 'pad', 'stretch']),
  } satisfies SchemaFields<ImagePreprocessing>),
  v.object({
    kind: v.literal('table'),
    columns: v.pipe(v.array(columnSchema), v.minLength(1), v.maxLength(MAX_COLUMNS)),
    targets,
  } satisfies SchemaFields<TablePreprocessing>),
  v.object({
    kind: v.literal('text'),
    tokenizer: tokenizerSchema,
    length: size,
    column: v.optional(name),
    targets: v.optional(targets),
  } satisfies SchemaFields<TextPreprocessing>),
]);

/**
 * Parses the preprocessing in the metadata of a saved model.
 * @returns undefined if the model takes the values of files as they are
 * @throws Error with a part of a sentence that names the field
 */
export function parsePreprocessing(value: unknown): Preprocessing | undefined {
  if (value === undefined) return undefined;
  const { success, output, issues } = v.safeParse(preprocessingSchema, value);
  if (success) return output;
  const [issue] = issues;
  throw new Error(`Its preprocessing is damaged at ${v.getDotPath(issue) ?? 'kind'}: ${issue.message}.`);
}

/**
 * Checks before a run that its model can be loaded after it.
 * @param source path of the data, for the message
 * @throws DataError that names the column, and what about it a saved model cannot have
 * @example
 * ```ts
 * requireSavable({ kind: 'image', size: [28, 28], channels: 1, fit: 'crop' }, 'digits.parquet');
 * ```
 */
export function requireSavable(preprocessing: Preprocessing, source: string): void {
  const { success, issues } = v.safeParse(preprocessingSchema, preprocessing);
  if (success) return;
  const [issue] = issues;
  const [list, place, field = ''] = issue.path?.map(({ key }) => key) ?? [];
  const columns = {
    columns: preprocessing.kind === 'table' ? preprocessing.columns : [],
    targets: preprocessing.kind === 'image' ? [] : (preprocessing.targets ?? []),
  };
  const column =
    (list === 'columns' || list === 'targets') && typeof place === 'number'
      ? columns[list][place]
      : undefined;
  if (column === undefined) {
    throw new DataError(
      `${source}: a model could not be saved with ${v.getDotPath(issue) ?? 'this data'} (${issue.message}). Use data with less of it.`,
    );
  }
  const shown = sanitizeForTerminal(column.name.slice(0, 60));
  throw new DataError(
    field === 'name' || field === 'values'
      ? `${source}: the column ${shown} has a ${field === 'name' ? 'name' : 'value'} of more than ${MAX_NAME_LENGTH} characters, or more than ${MAX_VALUES} values. Shorten them, or leave the column out with --ignore.`
      : `${source}: the column ${shown} has numbers that are too large to be standardized. Divide them, or leave the column out with --ignore.`,
  );
}
