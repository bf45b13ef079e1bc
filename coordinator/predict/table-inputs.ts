import { DataError } from '../../shared/data/data-error.ts';
import type { DataReporter } from '../data/data-reporter.ts';
import type { TableFiles } from '../data/find-tables.ts';
import { readTable } from '../data/load-tables.ts';
import { quote, shown } from '../data/table/column-builder.ts';
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
  return samplesOf(table, preprocessing, report);
}

/**
 * A row of a table by the names of its columns. Null and NaN are missing values.
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
 * @throws DataError as tableInputs does; rows count from 0
 */
export async function rowInputs(
  rows: readonly Row[],
  model: PredictingModel,
  report: Pick<DataReporter, 'warn'>,
): Promise<SampleSource> {
  const preprocessing = tabularOf(model, ROWS);
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const { types, only } = typesOfModel({ ...preprocessing, targets: [] });
  const builder = new TableBuilder(names, { types, only, hasCommas: true });
  builder.beginFile(ROWS, names, 0);
  let table: Table;
  try {
    for (const row of rows) builder.add(names.map((name) => fieldOf(row[name])));
    table = builder.finish([]);
  } catch (error) {
    throw withoutIgnore(error);
  }
  return samplesOf(table, preprocessing, report);
}

const fieldOf = (value: Row[string]): string =>
  value === null || value === undefined || Number.isNaN(value) ? '' : String(value);

async function samplesOf(
  table: Table,
  preprocessing: TabularPreprocessing,
  report: Pick<DataReporter, 'warn'>,
): Promise<SampleSource> {
  for (const name of typesOfModel({ ...preprocessing, targets: [] }).only) columnOf(table, name);
  for (const line of describeUnknown(preprocessing, table)) report.warn(line);
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
function describeUnknown(preprocessing: TabularPreprocessing, table: Table): string[] {
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
    const { path, row } = table.locate(first);
    const value = valueOf(first);
    const found = value === '' ? 'no value' : quote(value);
    const more = count === 1 ? '' : `, the first of ${count} such rows`;
    return [
      `${path}: row ${row} has ${found} as ${shown(column.name)}${more}; the training part has ${listNames(column.values.filter((each) => each !== ''))}. It counts as none of them.`,
    ];
  });
}
