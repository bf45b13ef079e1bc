import { DataError } from '../../shared/data/data-error.ts';
import type { DataArray } from './data-array.ts';

const LABEL_NAMES = ['label', 'labels', 'class', 'target', 'y', 'digit', 'character'];

/** Names of a column of row numbers, as pandas writes it. */
const INDEX_NAMES = ['', 'unnamed: 0', 'index', 'id'];

/** Images and labels of a CSV file that has both. */
export interface TableParts {
  readonly images: DataArray;
  readonly labels: DataArray;
}

/**
 * Splits a table into labels and pixels. Labels are the column named label (or class, target, y), or the first column if
 * there are no names and the other columns make a square image.
 * @returns null if the table has pixels only
 */
export function splitTable(table: DataArray): TableParts | null {
  const { columns, dimensions, values, path } = dropIndexColumn(table);
  const [rows = 0, width = 0] = dimensions;
  const namedColumn = columns?.findIndex((name) => LABEL_NAMES.includes(name)) ?? -1;
  if (width < 2 || (namedColumn < 0 && !isSquare(width - 1))) return null;
  const labelColumn = Math.max(0, namedColumn);
  const areBytes = values instanceof Uint8Array;
  const pixels = areBytes ? new Uint8Array(rows * (width - 1)) : new Float32Array(rows * (width - 1));
  const labels = areBytes ? new Uint8Array(rows) : new Float32Array(rows);
  for (let row = 0, to = 0; row < rows; row++) {
    for (let column = 0; column < width; column++) {
      const value = values[row * width + column] as number;
      if (column === labelColumn) labels[row] = value;
      else pixels[to++] = value;
    }
  }
  const isFloat = !areBytes && !pixels.every((value) => Number.isInteger(value));
  const type = isFloat ? 'decimal' : 'whole-number';
  return {
    images: {
      path,
      isFloat,
      type,
      dimensions: [rows, width - 1],
      values: pixels,
      ...(pixels instanceof Uint8Array ? { bytes: pixels } : {}),
      columns: columns?.filter((_, column) => column !== labelColumn) ?? null,
    },
    labels: { path, isFloat: false, type: 'whole-number', dimensions: [rows], values: labels },
  };
}

/** Table without a first column of row numbers. */
export function dropIndexColumn(table: DataArray): DataArray {
  const [rows = 0, width = 0] = table.dimensions;
  if (table.columns == null || !INDEX_NAMES.includes(table.columns[0] ?? 'none')) return table;
  return {
    ...table,
    ...compactValues(table.values.filter((_, at) => at % width > 0)),
    dimensions: [rows, width - 1],
    columns: table.columns.slice(1),
  };
}

/** Converts to bytes if possible: row numbers may have been the only larger values. */
function compactValues(values: DataArray['values']): Pick<DataArray, 'values' | 'bytes'> {
  if (!values.every((value) => Number.isInteger(value) && value >= 0 && value <= 255)) return { values };
  const bytes = Uint8Array.from(values);
  return { values: bytes, bytes };
}

/** Splits a table into labels and pixels. @throws DataError if it has no labels */
export function splitLabeled(table: DataArray): TableParts {
  const parts = splitTable(table);
  if (parts !== null) return parts;
  throw new DataError(
    `${table.path} has ${table.dimensions[1]} columns of pixels and no label. Use a file whose first column is the label.`,
  );
}

/** Rows of an array with one or two dimensions. */
export function takeRows(array: DataArray, rows: Uint32Array): DataArray {
  const [, width = 1] = array.dimensions;
  const { values } = array;
  const taken = values.slice(0, rows.length * width);
  for (const [i, row] of rows.entries())
    taken.set(values.subarray(row * width, (row + 1) * width), i * width);
  return {
    ...array,
    dimensions: [rows.length, ...array.dimensions.slice(1)],
    values: taken,
    ...(taken instanceof Uint8Array ? { bytes: taken } : {}),
  };
}

/** Pixels below which a table is not taken for images: as many as the default model needs. */
const MIN_SQUARE_PIXELS = 36;
const PIXEL_NAME = /^(?:\d{1,4}x\d{1,4}|(?:pixel|px)[\d_ x]*\d)$/i;

export const isLabelName = (name: string): boolean => LABEL_NAMES.includes(name.trim().toLowerCase());

/** Whether all names but those of labels and row numbers are names of pixels. */
export function hasPixelNames(names: readonly string[]): boolean {
  const others = names.filter(
    (name) => !isLabelName(name) && !INDEX_NAMES.includes(name.trim().toLowerCase()),
  );
  return (
    others.length > 1 &&
    others.length >= names.length - 2 &&
    others.every((name) => PIXEL_NAME.test(name.trim()))
  );
}

/** Whether the names beside that of the label are 0, 1, 2 and so on, or 1, 2, 3, of a square image. */
export function hasCountedNames(names: readonly string[]): boolean {
  const others = names.filter((name) => !isLabelName(name)).map((name) => name.trim());
  const start = Number(others[0]);
  return (
    others.length === names.length - 1 &&
    isSquareImage(others.length) &&
    (start === 0 || start === 1) &&
    others.every((name, i) => name === String(start + i))
  );
}

/** Whether so many numbers make a square image that is large enough to be one. */
export const isSquareImage = (pixels: number): boolean => pixels >= MIN_SQUARE_PIXELS && isSquare(pixels);

const isSquare = (pixels: number): boolean => Number.isInteger(Math.sqrt(pixels));
