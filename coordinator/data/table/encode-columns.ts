import { DataError } from '../../../shared/data/data-error.ts';
import type { Column, Target } from '../../../shared/data/preprocessing.ts';
import type { TensorValues } from '../../../shared/model/tensors.ts';
import { distinctNumbers } from './choose-columns.ts';
import {
  isNumber,
  quote,
  shown,
  type Locate,
  type NumberColumn,
  type ReadColumn,
  type ValueColumn,
} from './column-builder.ts';
import { listNames, type Table } from './read-table.ts';

/** Rows of a table. */
export interface TableRows {
  readonly table: Table;
  readonly rows: Uint32Array;
}

/** Value of a category for rows without one. */
const NO_VALUE = '';

const MAX_FLOAT32 = 2 ** 128 - 2 ** 104;

/** Number of values that a column becomes. */
export const columnWidth = (column: Column): number => (column.type === 'number' ? 1 : column.values.length);

/**
 * Statistics and categories of columns in the training rows. Columns that are constant there are left out.
 * @param lines receives a line about missing values
 */
export function fitColumns(
  inputs: readonly (NumberColumn | ValueColumn)[],
  rows: Uint32Array,
  lines: string[],
): Column[] {
  const missing: string[] = [];
  const columns = inputs.flatMap((input): Column[] => {
    const count = countMissing(input, rows);
    if (count > 0) missing.push(`${shown(input.name)} (${count})`);
    if (input.kind === 'number') {
      const { mean, std } = statistics(input.values, rows);
      if (std > 0) return [{ name: input.name, type: 'number', mean, std, missing: mean }];
    } else {
      const values = categories(input, rows);
      if (values.length > 1) return [{ name: input.name, type: 'category', values }];
    }
    lines.push(`Left out: ${shown(input.name)}, which is the same in all rows of the training part.`);
    return [];
  });
  if (missing.length > 0) {
    lines.push(
      `Missing in the training part: ${listNames(missing, 8)}. Numbers get the mean of the others, categories a value of their own.`,
    );
  }
  return columns;
}

function countMissing(column: NumberColumn | ValueColumn, rows: Uint32Array): number {
  let count = 0;
  for (const row of rows) {
    if (column.kind === 'number' ? Number.isNaN(column.values[row]) : column.codes[row] === 0) count++;
  }
  return count;
}

/** Mean and standard deviation (of the population, as in scikit-learn) without missing numbers; std is 0 for a constant. */
function statistics(values: Float64Array, rows: Uint32Array): { mean: number; std: number } {
  let count = 0;
  let mean = 0;
  let squares = 0;
  let min = Infinity;
  let max = -Infinity;
  // Welford, "Note on a method for calculating corrected sums of squares and products", 1962.
  for (const row of rows) {
    const value = values[row] as number;
    if (Number.isNaN(value)) continue;
    count++;
    const difference = value - mean;
    mean += difference / count;
    squares += difference * (value - mean);
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { mean, std: count === 0 || min === max ? 0 : Math.sqrt(squares / count) };
}

/** Values of the training rows in their order as text, numbers by size; the one of missing values is first. */
function categories({ codes, values }: ValueColumn, rows: Uint32Array): string[] {
  const isUsed = new Uint8Array(values.length + 1);
  for (const row of rows) isUsed[codes[row] as number] = 1;
  const used = values.filter((_, i) => isUsed[i + 1] === 1);
  return [...(isUsed[0] === 1 ? [NO_VALUE] : []), ...sortValues(used)];
}

function sortValues(values: readonly string[]): string[] {
  return values.every(isNumber)
    ? values.toSorted((a, b) => Number(a) - Number(b))
    : values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/**
 * Inputs of rows: [rows, values], row-major.
 * @param lines receives a line about categories that the training part lacks
 * @throws DataError if a column is missing, or has text in place of numbers
 */
export function encodeInputs(
  columns: readonly Column[],
  { table, rows }: TableRows,
  lines: string[],
): Float32Array {
  const width = columns.reduce((sum, column) => sum + columnWidth(column), 0);
  const encoded = new Float32Array(rows.length * width);
  const unknown: string[] = [];
  const byName = new Map(table.columns.map((read) => [read.name, read]));
  let from = 0;
  for (const column of columns) {
    const read = byName.get(column.name);
    if (read === undefined) throw missingColumnError(column.name, table);
    if (column.type === 'number') {
      const { mean, std, missing } = column;
      if (read.kind !== 'number') throw otherKindError(column.name, read, table);
      for (const [i, row] of rows.entries()) {
        const value = read.values[row] as number;
        encoded[i * width + from] = ((Number.isNaN(value) ? missing : value) - mean) / std;
      }
    } else {
      const places = new Map(column.values.map((value, i) => [value, i]));
      const valueOf = targetValues(read);
      let count = 0;
      for (const [i, row] of rows.entries()) {
        const place = places.get(valueOf(row));
        if (place === undefined) count++;
        else encoded[i * width + from + place] = 1;
      }
      if (count > 0) unknown.push(`${shown(column.name)} (${count})`);
    }
    from += columnWidth(column);
  }
  if (unknown.length > 0) {
    lines.push(
      `${table.path}: rows with a category that the training part lacks, which counts as none: ${listNames(unknown)}.`,
    );
  }
  return encoded;
}

function missingColumnError(name: string, { path, names }: Table): DataError {
  return new DataError(
    `${path} has no column ${shown(name)}, which is an input. It has ${listNames(names)}.`,
  );
}

function otherKindError(name: string, read: ReadColumn, { path }: Table): DataError {
  const found =
    read.kind === 'values' && read.values.length > 0
      ? `text such as ${quote(read.values[0] ?? '')}`
      : 'no numbers';
  return new DataError(
    `${path}: the column ${shown(name)} has ${found}, and numbers in the training data. Correct the column.`,
  );
}

/** Reads a column's values as text; those that are missing are ''. */
export function targetValues(column: ReadColumn): (row: number) => string {
  switch (column.kind) {
    case 'number':
      return (row) => {
        const value = column.values[row] as number;
        return Number.isNaN(value) ? NO_VALUE : String(value);
      };
    case 'values':
      return (row) => column.values[(column.codes[row] as number) - 1] ?? NO_VALUE;
    case 'unkept':
      throw new DataError(`The column ${shown(column.name)} has ${column.reason}.`);
  }
}

/** Classes of a target, of all rows of a table; statistics of a number, of the training rows. */
export function fitTarget(column: NumberColumn | ValueColumn, isClass: boolean, rows: Uint32Array): Target {
  const { name } = column;
  if (isClass) {
    const values =
      column.kind === 'values'
        ? sortValues(column.values)
        : (distinctNumbers(column.values, Infinity) ?? []).map(String);
    return { name, type: 'category', values };
  }
  const { mean, std } = statistics(column.kind === 'number' ? column.values : new Float64Array(0), rows);
  // A target that is constant in the training part has nothing to be scaled by.
  return { name, type: 'number', mean, std: std > 0 ? std : 1 };
}

/** @throws DataError if a row has a class that the model does not have */
export function encodeTarget(
  column: ReadColumn,
  target: Target,
  rows: Uint32Array,
  locate: Locate,
): TensorValues {
  if (target.type === 'number') {
    if (column.kind !== 'number')
      throw new DataError(`The target ${shown(target.name)} has text in place of numbers.`);
    return Float32Array.from(rows, (row) => {
      const value = column.values[row] as number;
      if (Math.abs(value) <= MAX_FLOAT32) return value;
      const at = locate(row);
      throw new DataError(
        `${at.path}: row ${at.row} has ${value} as ${shown(target.name)}, and float32 numbers go up to 3.4e38. Divide the column's numbers.`,
      );
    });
  }
  const places = new Map(target.values.map((value, i) => [value, i]));
  const valueOf = targetValues(column);
  const encoded = target.values.length <= 256 ? new Uint8Array(rows.length) : new Int32Array(rows.length);
  for (const [i, row] of rows.entries()) {
    const value = valueOf(row);
    const place = places.get(value) ?? (isNumber(value) ? places.get(String(Number(value))) : undefined);
    if (place === undefined) {
      const at = locate(row);
      throw new DataError(
        `${at.path}: row ${at.row} has ${quote(value)} as ${shown(target.name)}, which is no class of the training data: ${listNames(target.values)}. Correct it, or leave the row out.`,
      );
    }
    encoded[i] = place;
  }
  return encoded;
}
