import type { DataReporter } from '../data/data-reporter.ts';
import type { TableFiles } from '../data/find-tables.ts';
import { readTable } from '../data/load-tables.ts';
import { quote, shown } from '../data/table/column-builder.ts';
import { targetValues } from '../data/table/encode-columns.ts';
import { listNames, type Table } from '../data/table/read-table.ts';
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
  const table = await readTable(files, format, { types, only }, report);
  for (const name of only) columnOf(table, name);
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

function tabularOf(model: PredictingModel, path: string): TabularPreprocessing {
  const { preprocessing } = model.metadata;
  if (preprocessing?.kind === 'table') return preprocessing;
  if (preprocessing?.kind === 'text' && preprocessing.column !== undefined) return preprocessing;
  throw otherKindError(`${path} is a table`, model);
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
