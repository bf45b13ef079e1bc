import { DataError } from '../../../shared/data/data-error.ts';
import type { Dataset, StoredSplit } from '../../../shared/data/dataset.ts';
import type {
  Column,
  ColumnType,
  Preprocessing,
  Target,
  Tokenizer,
} from '../../../shared/data/preprocessing.ts';
import type { TensorSpec, TensorValues } from '../../../shared/model/tensors.ts';
import { encodeTexts } from '../text/text-dataset.ts';
import { fitWords, openTokenizer } from '../text/tokenizer.ts';
import { chooseColumns, type ChosenTarget, type ColumnChoice } from './choose-columns.ts';
import { shown, type NumberColumn, type ReadColumn, type ValueColumn } from './column-builder.ts';
import { columnWidth, encodeInputs, fitColumns, targetValues, type TableRows } from './encode-columns.ts';
import { listNames, type Table } from './read-table.ts';
import {
  allRows,
  columnOf,
  divideRows,
  divideSamples,
  encodeTargets,
  fitTargets,
  requireTargetValues,
  targetSpecs,
  type Divide,
} from './table-targets.ts';

/** Values of a sample; more are a mistake in a table. */
const MAX_WIDTH = 100_000;
/** Bytes of the encoded samples. */
const MAX_BYTES = 2 ** 31;
/** Tokens of a text if no number is given: those of most texts, up to this many. */
const MAX_DEFAULT_LENGTH = 256;
const USUAL_FRACTION = 0.95;

export interface TableDatasetOptions extends ColumnChoice {
  /** Divides the samples if there is no test table. */
  readonly divide: Divide;
  readonly tokenizer?: Tokenizer | undefined;
  /** @default that of most texts */
  readonly sequenceLength?: number | undefined;
  /** Reads the test table with the types of the training table; null if there is none. */
  readonly readTest: ((types: TypesOf) => Promise<Table>) | null;
  /** Whether the user named the test table, which must have the targets then. */
  readonly isTestNamed: boolean;
}

/** Preprocessing of a table with numbers, categories or text. */
export type TabularPreprocessing = Exclude<Preprocessing, { kind: 'image' }>;

/** Columns to read of a table and their types. */
export interface TypesOf {
  readonly types: Readonly<Record<string, ColumnType>>;
  /** Names of the columns to read. */
  readonly only: readonly string[];
}

/** Samples of both parts. */
interface Parts {
  readonly train: TableRows;
  readonly test: TableRows;
}

/**
 * Data set of a table: its numbers standardized, its categories one-hot, or its only column of free text as tokens.
 *
 * @returns also lines about what was chosen, filled in and left out
 * @throws DataError with file, row and reason
 */
export async function tableDataset(
  table: Table,
  options: TableDatasetOptions,
  about: Pick<Dataset, 'name' | 'description'>,
): Promise<{ dataset: Dataset; lines: string[] }> {
  const chosen = chooseColumns(table, options);
  const lines = [...table.notes, ...chosen.lines];
  const inputs = chosen.text === undefined ? chosen.inputs : [chosen.text];
  const { targets } = chosen;
  for (const { column } of targets) requireTargetValues(column, table);
  const parts = await divide(table, inputs, targets, options, lines);
  const fittedTargets = fitTargets(targets, parts.train.rows);
  if (parts.test.table !== table)
    for (const { name } of fittedTargets)
      requireTargetValues(columnOf(parts.test.table, name), parts.test.table);
  const encoded = {
    train: encodeTargets(parts.train, fittedTargets),
    test: encodeTargets(parts.test, fittedTargets),
  };
  const [first] = fittedTargets;
  const isText = chosen.text !== undefined;
  const samples = isText
    ? await encodeTextColumn(chosen.text, parts, fittedTargets, options, lines)
    : encodeNumbers(chosen.inputs, parts, fittedTargets, lines);
  const dataset: Dataset = {
    ...about,
    inputs: [samples.spec],
    targets: targetSpecs(fittedTargets),
    ...(first?.type === 'category' ? { classNames: first.values } : {}),
    train: split(samples.train, encoded.train, parts.train.rows.length),
    test: split(samples.test, encoded.test, parts.test.rows.length),
    preprocessing: samples.preprocessing,
  };
  return { dataset, lines };
}

/**
 * Data set of a table with the preprocessing of a saved model, for measuring it.
 * @param divideLabels divides the rows as in training; null to have all rows in both parts
 * @throws DataError if a column is missing, or if a value cannot be encoded
 */
export async function encodeLikeModel(
  table: Table,
  preprocessing: TabularPreprocessing,
  about: Pick<Dataset, 'name' | 'description'>,
  divideLabels: Divide | null,
): Promise<{ dataset: Dataset; lines: string[] }> {
  const lines: string[] = [];
  const { targets = [] } = preprocessing;
  for (const { name } of targets) requireTargetValues(columnOf(table, name), table);
  const [first] = targets;
  const rows = divideLabels === null ? allRows(table) : divideRows(table, targets, divideLabels).test;
  if (divideLabels !== null) {
    lines.push(
      `Measured: the ${rows.length} of ${table.rows} rows that training left out (--test-data FILE measures all rows of a file).`,
    );
  }
  const part = { table, rows };
  const samples = (await rowEncoder(preprocessing))(part, lines);
  const whole = split(samples.values, encodeTargets(part, targets), rows.length);
  const dataset: Dataset = {
    ...about,
    inputs: [samples.spec],
    targets: targetSpecs(targets),
    ...(first?.type === 'category' ? { classNames: first.values } : {}),
    train: whole,
    test: whole,
    preprocessing,
  };
  return { dataset, lines };
}

/** Encodes the inputs of rows. @param lines receives a line about values that the training part lacks */
export type RowEncoder = (
  rows: TableRows,
  lines: string[],
) => { readonly spec: TensorSpec; readonly values: TensorValues };

/**
 * Opens the encoder of a saved model.
 * @example
 * ```ts
 * const { values } = (await rowEncoder(preprocessing))({ table, rows: Uint32Array.of(0, 1) }, lines);
 * ```
 */
export async function rowEncoder(preprocessing: TabularPreprocessing): Promise<RowEncoder> {
  if (preprocessing.kind === 'table') {
    const { columns } = preprocessing;
    const spec = vectorSpec(columns);
    return (part, lines) => ({ spec, values: encodeInputs(columns, part, lines) });
  }
  const { tokenizer, length, column = '' } = preprocessing;
  const encoder = await openTokenizer(tokenizer);
  const spec: TensorSpec = { name: column, shape: [length], dtype: 'int32', classes: encoder.vocabulary };
  return ({ table, rows }) => ({
    spec,
    values: encodeTexts(textsOf(columnOf(table, column), rows), rows.length, length, encoder),
  });
}

/** Columns of a saved model with their types, for reading a table. */
export function typesOfModel(preprocessing: TabularPreprocessing): TypesOf {
  const { targets = [] } = preprocessing;
  const columns =
    preprocessing.kind === 'table'
      ? preprocessing.columns
      : [{ name: preprocessing.column ?? '', type: 'category' as const }];
  return {
    only: [...columns, ...targets].map(({ name }) => name),
    // Classes can be numbers that are written in another way, such as 1.0.
    types: Object.fromEntries([
      ...columns.map(({ name, type }) => [name, type] as const),
      ...targets.flatMap(({ name, type }) => (type === 'number' ? [[name, type] as const] : [])),
    ]),
  };
}

const split = (inputs: TensorValues, targets: TensorValues[], count: number): StoredSplit => ({
  inputs: [inputs],
  targets,
  count,
});
async function divide(
  table: Table,
  inputs: readonly (NumberColumn | ValueColumn)[],
  targets: readonly ChosenTarget[],
  options: TableDatasetOptions,
  lines: string[],
): Promise<Parts> {
  if (options.readTest !== null) {
    const types = Object.fromEntries([
      ...inputs.map(({ name, kind }) => [name, kind === 'number' ? 'number' : 'category'] as const),
      ...targets.flatMap(({ column, isClass }) => (isClass ? [] : [[column.name, 'number'] as const])),
    ]);
    const only = [...inputs, ...targets.map(({ column }) => column)].map(({ name }) => name);
    const test = await options.readTest({ types, only });
    const lacking = targets.find(({ column }) => !test.names.includes(column.name));
    if (lacking === undefined) {
      return { train: { table, rows: allRows(table) }, test: { table: test, rows: allRows(test) } };
    }
    const { name } = lacking.column;
    if (options.isTestNamed) {
      throw new DataError(
        `${test.path} has no column ${shown(name)}, which is the target. Name test data with it, or leave --test-data out.`,
      );
    }
    lines.push(
      `${test.path} has no column ${shown(name)}, which is the target, so a part of the training rows validates.`,
    );
  }
  const { train, test } = divideSamples(table, targets, options.divide, lines);
  return { train: { table, rows: train }, test: { table, rows: test } };
}

interface EncodedSamples {
  readonly spec: TensorSpec;
  readonly train: TensorValues;
  readonly test: TensorValues;
  readonly preprocessing: Preprocessing;
}

const vectorSpec = (columns: readonly Column[]): TensorSpec => ({
  name: 'features',
  shape: [columns.reduce((sum, column) => sum + columnWidth(column), 0)],
  dtype: 'float32',
});

function encodeNumbers(
  inputs: readonly (NumberColumn | ValueColumn)[],
  { train, test }: Parts,
  targets: readonly Target[],
  lines: string[],
): EncodedSamples {
  const { path } = train.table;
  const columns = fitColumns(inputs, train.rows, lines);
  if (columns.length === 0)
    throw new DataError(`${path}: all columns are constant in the training part. Use more rows.`);
  const spec = vectorSpec(columns);
  const [width = 0] = spec.shape;
  const bytes = 4 * width * (train.rows.length + test.rows.length);
  if (width > MAX_WIDTH || bytes > MAX_BYTES) {
    throw new DataError(
      `${path}: ${width} values in each of ${train.rows.length + test.rows.length} samples need ${Math.ceil(bytes / 2 ** 20)} MiB. ` +
        'Use fewer rows, or leave columns out with --ignore.',
    );
  }
  lines.push(describeInputs(columns, width));
  return {
    spec,
    train: encodeInputs(columns, train, lines),
    test: encodeInputs(columns, test, lines),
    preprocessing: { kind: 'table', columns, targets: [...targets] },
  };
}

function describeInputs(columns: readonly Column[], width: number): string {
  const numbers = columns.filter(({ type }) => type === 'number').map(({ name }) => name);
  const categories = columns.flatMap((column) =>
    column.type === 'category' ? [`${shown(column.name)} (${column.values.length})`] : [],
  );
  const kinds = [
    ...(numbers.length === 0
      ? []
      : [
          `${numbers.length} ${numbers.length === 1 ? 'number' : 'numbers'}, standardized: ${listNames(numbers)}`,
        ]),
    ...(categories.length === 0
      ? []
      : [
          `${categories.length} ${categories.length === 1 ? 'category' : 'categories'}, one-hot: ${listNames(categories)}`,
        ]),
  ];
  return `Inputs: ${kinds.join('; ')}${categories.length === 0 ? '' : `; ${width} values`}.`;
}

async function encodeTextColumn(
  column: ValueColumn,
  { train, test }: Parts,
  targets: readonly Target[],
  { tokenizer: given, sequenceLength }: TableDatasetOptions,
  lines: string[],
): Promise<EncodedSamples> {
  const { name } = column;
  const tokenizer = given ?? fitWords(textsOf(column, train.rows));
  const encoder = await openTokenizer(tokenizer);
  const length =
    sequenceLength ??
    usualLength(Array.from(textsOf(column, train.rows), (text) => encoder.encode(text).length));
  const encode = ({ table, rows }: TableRows): Int32Array =>
    encodeTexts(textsOf(columnOf(table, name), rows), rows.length, length, encoder);
  lines.push(
    `Input: the text of ${shown(name)}, its first ${length} ${encoder.unit} (--sequence-length); ${encoder.vocabulary} different ones.`,
  );
  return {
    spec: { name, shape: [length], dtype: 'int32', classes: encoder.vocabulary },
    train: encode(train),
    test: encode(test),
    preprocessing: { kind: 'text', tokenizer, length, column: name, targets: [...targets] },
  };
}

function usualLength(lengths: readonly number[]): number {
  const sorted = lengths.toSorted((a, b) => a - b);
  return Math.max(
    1,
    Math.min(MAX_DEFAULT_LENGTH, sorted[Math.floor(USUAL_FRACTION * (sorted.length - 1))] ?? 1),
  );
}

function* textsOf(column: ReadColumn, rows: Uint32Array): Generator<string> {
  const values = targetValues(column);
  for (const row of rows) yield values(row);
}
