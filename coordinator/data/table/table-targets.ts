import { DataError } from '../../../shared/data/data-error.ts';
import type { Target } from '../../../shared/data/preprocessing.ts';
import type { TensorSpec, TensorValues } from '../../../shared/model/tensors.ts';
import type { ChosenTarget } from './choose-columns.ts';
import { shown, type NumberColumn, type ReadColumn, type ValueColumn } from './column-builder.ts';
import { encodeTarget, fitTarget, type TableRows } from './encode-columns.ts';
import { listNames, type Table } from './read-table.ts';

/** Divides the samples into a training part and a test part. @param labels class of each sample, or zeros */
export type Divide = (labels: ArrayLike<number>) => {
  readonly train: Uint32Array;
  readonly test: Uint32Array;
};

/** Numbers of all rows. */
export const allRows = ({ rows }: Table): Uint32Array => Uint32Array.from({ length: rows }, (_, row) => row);

const NO_ROWS = new Uint32Array(0);
const classesOf = (table: Table, target: Target): TensorValues =>
  encodeTarget(columnOf(table, target.name), target, allRows(table), table.locate);

/**
 * Divides rows with the same part of each class of the first target that has classes.
 * @throws DataError if there are too few rows
 */
export function divideRows(table: Table, targets: readonly Target[], divide: Divide): ReturnType<Divide> {
  const classes = targets.find(({ type }) => type === 'category');
  try {
    return divide(classes === undefined ? new Uint8Array(table.rows) : classesOf(table, classes));
  } catch (error) {
    if (error instanceof RangeError) throw new DataError(`${table.path}: ${error.message}`);
    throw error;
  }
}

/** Divides the rows of a training table. @param lines receives a line about it */
export function divideSamples(
  table: Table,
  chosen: readonly ChosenTarget[],
  divide: Divide,
  lines: string[],
): ReturnType<Divide> {
  const parts = divideRows(table, fitTargets(chosen, NO_ROWS), divide);
  const stratified = chosen.some(({ isClass }) => isClass) ? ' with the same part of each class' : '';
  lines.push(
    `Validation: ${parts.test.length} of ${table.rows} rows, chosen at random${stratified} (--validation-split, --test-data).`,
  );
  return parts;
}

/** Classes of all rows, and statistics of numbers in the training rows. */
export const fitTargets = (chosen: readonly ChosenTarget[], trainRows: Uint32Array): Target[] =>
  chosen.map(({ column, isClass }) => fitTarget(column, isClass, trainRows));

const labelsOf = (column: NumberColumn | ValueColumn): ArrayLike<number> =>
  column.kind === 'number' ? column.values : column.codes;

/** @throws DataError if the table has no such column */
export function columnOf({ columns, path, names }: Table, name: string): ReadColumn {
  const column = columns.find((other) => other.name === name);
  if (column !== undefined) return column;
  throw new DataError(`${path} has no column ${shown(name)}. It has ${listNames(names)}.`);
}

/** @throws DataError that names the first row without a value */
export function requireTargetValues(column: ReadColumn, { locate }: Table): void {
  if (column.kind === 'unkept') return;
  const isLacking = (value: number): boolean =>
    column.kind === 'number' ? Number.isNaN(value) : value === 0;
  const values: ArrayLike<number> = labelsOf(column);
  let first = -1;
  let count = 0;
  for (let row = 0; row < values.length; row++) {
    if (!isLacking(values[row] as number)) continue;
    if (first < 0) first = row;
    count++;
  }
  if (count === 0) return;
  const { path, row } = locate(first);
  throw new DataError(
    `${path}: row ${row} has no value of the target ${shown(column.name)}${count === 1 ? '' : `, the first of ${count} such rows`}. ` +
      'Fill it in, or remove such rows.',
  );
}

/** One tensor if all targets are numbers, else one for each. */
export function targetSpecs(targets: readonly Target[]): TensorSpec[] {
  if (targets.length > 1 && targets.every(({ type }) => type === 'number')) {
    return [{ name: 'targets', shape: [targets.length], dtype: 'float32' }];
  }
  return targets.map((target) =>
    target.type === 'number'
      ? { name: target.name, shape: [], dtype: 'float32' }
      : {
          name: target.name,
          shape: [],
          dtype: target.values.length <= 256 ? 'uint8' : 'int32',
          classes: target.values.length,
        },
  );
}

/** Values of all targets for rows, in the tensors of targetSpecs. @throws DataError for a class that the model does not have */
export function encodeTargets({ table, rows }: TableRows, targets: readonly Target[]): TensorValues[] {
  const each = targets.map((target) =>
    encodeTarget(columnOf(table, target.name), target, rows, table.locate),
  );
  if (targetSpecs(targets).length === each.length) return each;
  const joined = new Float32Array(rows.length * each.length);
  for (const [i, values] of each.entries()) {
    for (let row = 0; row < rows.length; row++) joined[row * each.length + i] = values[row] as number;
  }
  return [joined];
}
