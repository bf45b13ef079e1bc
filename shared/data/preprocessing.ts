import * as v from 'valibot';
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

const numberColumn = v.object({
  name,
  type: v.literal('number'),
  /** A value becomes (value - mean) / std. */
  mean: finite,
  std: positive,
  /** Number that takes the place of a missing one. */
  missing: finite,
});
const categoryColumn = v.object({
  name,
  type: v.literal('category'),
  /** A value becomes one-hot in this order. A missing or unknown one is all zeros, unless '' is a value. */
  values: names,
});
export const columnSchema = v.variant('type', [numberColumn, categoryColumn]);
export type Column = v.InferOutput<typeof columnSchema>;

/** Types of a column that `types` of DataOptions can name. */
export type ColumnType = Column['type'];

/** Target: a number as it is, or the place of a value among the classes. */
export const targetSchema = v.variant('type', [
  v.object({ name, type: v.literal('number'), mean: finite, std: positive }),
  v.object({ name, type: v.literal('category'), values: names }),
]);
export type Target = v.InferOutput<typeof targetSchema>;

const targets = v.pipe(v.array(targetSchema), v.maxLength(MAX_COLUMNS));

export const tokenizerSchema = v.variant('kind', [
  /** Character i has the id i + 1; 0 is an unknown character, or none. */
  v.object({ kind: v.literal('characters'), characters: names }),
  /** Word i in lower case has the id i + 2; 0 is no word, 1 an unknown one. */
  v.object({ kind: v.literal('words'), words: names }),
  /** Contents of a tokenizer.json. */
  v.object({ kind: v.literal('huggingface'), json: v.record(v.string(), v.unknown()) }),
]);
export type Tokenizer = v.InferOutput<typeof tokenizerSchema>;

const imagePreprocessing = v.object({
  kind: v.literal('image'),
  /** Height and width. */
  size: v.tuple([size, size]),
  channels: v.picklist([1, 3, 4]),
  fit: v.picklist(['crop', 'pad', 'stretch']),
});

const tablePreprocessing = v.object({
  kind: v.literal('table'),
  /** Columns of the only input, in its order. */
  columns: v.pipe(v.array(columnSchema), v.minLength(1), v.maxLength(MAX_COLUMNS)),
  targets,
});

const textPreprocessing = v.object({
  kind: v.literal('text'),
  tokenizer: tokenizerSchema,
  /** Tokens of a sample. */
  length: size,
  /** Column of a table that holds the text. @default the file is the text, and the next token the target */
  column: v.optional(name),
  /** Targets of a table with text. */
  targets: v.optional(targets),
});

export const preprocessingSchema = v.variant('kind', [
  imagePreprocessing,
  tablePreprocessing,
  textPreprocessing,
]);

/**
 * Preprocessing of a data set.
 * @example
 * ```ts
 * const preprocessing: Preprocessing = { kind: 'image', size: [64, 64], channels: 3, fit: 'crop' };
 * ```
 */
export type Preprocessing = v.InferOutput<typeof preprocessingSchema>;

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

export type ImagePreprocessing = v.InferOutput<typeof imagePreprocessing>;
export type TablePreprocessing = v.InferOutput<typeof tablePreprocessing>;
export type TextPreprocessing = v.InferOutput<typeof textPreprocessing>;
