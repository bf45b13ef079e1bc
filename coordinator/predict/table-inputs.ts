import { DataError } from '../../shared/data/data-error.ts';
import type { DataReporter } from '../data/data-reporter.ts';
import type { TableFiles } from '../data/find-tables.ts';
import { readTable } from '../data/load-tables.ts';
import { isMissing, isNumber, quote, shown, type Locate } from '../data/table/column-builder.ts';
import { targetValues } from '../data/table/encode-columns.ts';
import { listNames, TableBuilder, type Table } from '../data/table/read-table.ts';
import { rowEncoder, typesOfModel, type TabularPreprocessing } from '../data/table/table-dataset.ts';
import { columnOf } from '../data/table/table-targets.ts';
import { otherKindError, type PredictingModel, type SampleSource } from './inputs.ts';

/**
 * Rows of a table as samples, with or without the target column.
 * @throws DataError if a column that the model takes is missing or has other values, or if the model takes no rows
 */
export async function tableInputs(
  { train: files, format }: TableFiles,
  model: PredictingModel,
  report: DataReporter,
): Promise<SampleSource> {
  const preprocessing = tabularOf(model, files[0]?.path ?? '');
  const { types, only } = typesOfModel({ ...preprocessing, targets: [] });
  const table = await readTable(files, format, { types, only }, report).catch((error: unknown) => {
    throw withoutIgnore(error);
  });
  return samplesOf(
    table,
    preprocessing,
    (line) => report.warn(line),
    ({ path, row }, name, found) => `${path}: row ${row} has ${found} as ${name}`,
  );
}

/**
 * A row of a table by the names of its columns. Null and NaN are missing values. Of a column of categories, true and false are also
 * yes and no, or 1 and 0, if training had those.
 * @example
 * ```ts
 * const row: Row = { area: 120, city: 'Bonn', garage: true, built: null };
 * ```
 */
export type Row = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Name of rows in errors, in place of a file's. */
const ROWS = 'rows';

/**
 * Rows of a program as samples; columns that the model does not take are ignored.
 * @param warn receives a line about each column with a category that training lacks
 * @throws DataError as tableInputs does; rows count from 0
 */
export async function rowInputs(
  rows: readonly Row[],
  model: PredictingModel,
  warn: (line: string) => void,
): Promise<SampleSource> {
  const preprocessing = tabularOf(model, ROWS);
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const { types, only } = typesOfModel({ ...preprocessing, targets: [] });
  checkNumbers(rows, preprocessing);
  const builder = new TableBuilder(names, { types, only, hasCommas: true });
  builder.beginFile(ROWS, names, 0);
  const fields = names.map((name) => fieldReader(preprocessing, name));
  let table: Table;
  try {
    for (const row of rows) builder.add(fields.map((read) => read(row)));
    table = builder.finish([]);
  } catch (error) {
    throw withoutIgnore(error);
  }
  return samplesOf(
    table,
    preprocessing,
    warn,
    ({ row }, name, found) => `rows[${row}].${name} ${found === NO_VALUE ? 'has' : 'is'} ${found}`,
  );
}

/** @throws DataError that names the first value that is no number, in a column of numbers */
function checkNumbers(rows: readonly Row[], preprocessing: TabularPreprocessing): void {
  if (preprocessing.kind !== 'table') return;
  for (const { name, type } of preprocessing.columns) {
    if (type !== 'number') continue;
    const at = rows.findIndex((row) => {
      const text = fieldOf(row[name]).trim();
      return !isMissing(text) && !isNumber(text);
    });
    if (at < 0) continue;
    const value = rows[at]?.[name];
    const found = typeof value === 'string' ? quote(value) : String(value);
    throw new DataError(`rows[${at}].${shown(name)} is ${found}, where training had numbers.`);
  }
}

const fieldOf = (value: Row[string]): string =>
  value === null || value === undefined || Number.isNaN(value) ? '' : String(value);

/** Words of tables for true and false. */
const BOOLEANS = { true: ['true', 'yes', '1'], false: ['false', 'no', '0'] } as const;

/** Reads the field of a column. A boolean is the category that stands for it, if training had one of them alone. */
function fieldReader(preprocessing: TabularPreprocessing, name: string): (row: Row) => string {
  const column =
    preprocessing.kind === 'table' ? preprocessing.columns.find((known) => known.name === name) : undefined;
  if (column?.type !== 'category') return (row) => fieldOf(row[name]);
  const categoryFor = (value: 'true' | 'false'): string => {
    const words: readonly string[] = BOOLEANS[value];
    const known = column.values.filter((category) => words.includes(category.toLowerCase()));
    return known.length === 1 ? (known[0] ?? value) : value;
  };
  const categories = { true: categoryFor('true'), false: categoryFor('false') };
  return (row) => {
    const value = row[name];
    return typeof value === 'boolean' ? categories[value ? 'true' : 'false'] : fieldOf(value);
  };
}

const NO_VALUE = 'no value';
/** Beginning of a line about a value of a row. */
type DescribeFound = (place: ReturnType<Locate>, column: string, found: string) => string;

async function samplesOf(
  table: Table,
  preprocessing: TabularPreprocessing,
  warn: (line: string) => void,
  describe: DescribeFound,
): Promise<SampleSource> {
  for (const name of typesOfModel({ ...preprocessing, targets: [] }).only) columnOf(table, name);
  for (const line of describeUnknown(preprocessing, table, describe)) warn(line);
  const encode = await rowEncoder(preprocessing);
  return {
    count: table.rows,
    place(number) {
      const { path: file, row } = table.locate(number);
      return { file, row };
    },
    read(from, to) {
      const rows = Uint32Array.from({ length: to - from }, (_, i) => from + i);
      return Promise.resolve([encode({ table, rows }, []).values]);
    },
  };
}

/** Same error without the advice to leave a column out: the model takes all of these. */
function withoutIgnore(error: unknown): unknown {
  if (!(error instanceof DataError)) return error;
  return new DataError(error.message.replace(/, or leave the column out with --ignore .*\.$/, '.'), {
    cause: error,
  });
}

function tabularOf(model: PredictingModel, path: string): TabularPreprocessing {
  const { preprocessing } = model.metadata;
  if (preprocessing?.kind === 'table') return preprocessing;
  if (preprocessing?.kind === 'text' && preprocessing.column !== undefined) return preprocessing;
  throw otherKindError(path === ROWS ? 'The rows are a table' : `${path} is a table`, model);
}

/** Lines about categories that the training part lacks. They are encoded as in the test part of a run: as none of the known ones. */
function describeUnknown(
  preprocessing: TabularPreprocessing,
  table: Table,
  describe: DescribeFound,
): string[] {
  if (preprocessing.kind !== 'table') return [];
  return preprocessing.columns.flatMap((column) => {
    if (column.type !== 'category') return [];
    const known = new Set(column.values);
    const valueOf = targetValues(columnOf(table, column.name));
    let first = -1;
    let count = 0;
    for (let row = 0; row < table.rows; row++) {
      if (known.has(valueOf(row))) continue;
      if (first < 0) first = row;
      count++;
    }
    if (first < 0) return [];
    const value = valueOf(first);
    const found = value === '' ? NO_VALUE : quote(value);
    const more = count === 1 ? '' : `, the first of ${count} such rows`;
    return [
      `${describe(table.locate(first), shown(column.name), found)}${more}; the training part has ${listNames(column.values.filter((each) => each !== ''))}. It counts as none of them.`,
    ];
  });
}
