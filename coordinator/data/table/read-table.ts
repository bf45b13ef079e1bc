import { DataError, invalidFileError } from '../../../shared/data/data-error.ts';
import type { ColumnType } from '../../../shared/data/preprocessing.ts';
import {
  ColumnBuilder,
  isMissing,
  isNumber,
  quote,
  shown,
  type Locate,
  type ReadColumn,
} from './column-builder.ts';
import { parseCsv, type Chunks, type Delimiter } from './parse-csv.ts';

/** Limit for numbers in memory: 2 GiB. */
export const MAX_CELLS = 2 ** 28;

/** Columns of one or several files. */
export interface Table {
  /** Path of the first file, for messages. */
  readonly path: string;
  readonly rows: number;
  /** Names of all columns, those that were ignored too. */
  readonly names: readonly string[];
  readonly columns: readonly ReadColumn[];
  /** Path and row of a sample, for errors. */
  readonly locate: Locate;
  /** Lines about how the files were read. */
  readonly notes: readonly string[];
}

export interface TableOptions {
  /** Columns that are not read. */
  readonly ignore?: readonly string[] | undefined;
  /** Columns that are read. @default all but the ignored ones */
  readonly only?: readonly string[] | undefined;
  /** Types of columns for which they are known. @default detected */
  readonly types?: Readonly<Record<string, ColumnType>> | undefined;
}

/** File of a table, not yet opened. */
export interface TableFile {
  readonly path: string;
  readonly open: () => Promise<{ readonly chunks: Chunks; readonly close: () => Promise<void> }>;
}

/**
 * Reads CSV files with the same columns as one table.
 * @param delimiter @default detected
 * @param onBytes receives the number of bytes that were read
 * @throws DataError with file, row and reason
 */
export async function readCsvTable(
  files: readonly TableFile[],
  { delimiter, ...options }: TableOptions & { readonly delimiter?: Delimiter | undefined },
  onBytes: (bytes: number) => void = () => undefined,
): Promise<Table> {
  let builder: TableBuilder | null = null;
  const notes: string[] = [];
  for (const { path, open } of files) {
    const { chunks, close } = await open();
    const rows = new HeaderReader(path, (names, hasHeader, found) => {
      if (!hasHeader)
        notes.push(`${path}: the first row has values, so the columns are named ${listNames(names)}.`);
      builder ??= new TableBuilder(names, { ...options, hasCommas: found === ',' });
      builder.beginFile(path, names, hasHeader ? 2 : 1);
      return builder;
    });
    try {
      const onDelimiter = (found: Delimiter): void => void (rows.delimiter = found);
      await parseCsv(countBytes(chunks, onBytes), { path, delimiter, onDelimiter }, (row) => rows.add(row));
      rows.finish();
    } finally {
      await close();
    }
  }
  return (builder as unknown as TableBuilder).finish(notes);
}

async function* countBytes(chunks: Chunks, onBytes: (bytes: number) => void): Chunks {
  for await (const chunk of chunks) {
    onBytes(chunk.length);
    yield chunk;
  }
}

/** Finds out whether the first row has names, and hands the other rows on. */
class HeaderReader {
  delimiter: Delimiter = ',';
  private first: readonly string[] | null = null;
  private builder: TableBuilder | null = null;
  private readonly path: string;
  private readonly begin: (
    names: readonly string[],
    hasHeader: boolean,
    delimiter: Delimiter,
  ) => TableBuilder;

  constructor(path: string, begin: HeaderReader['begin']) {
    this.path = path;
    this.begin = begin;
  }

  add(row: readonly string[]): void {
    if (this.builder !== null) this.builder.add(row);
    else if (this.first === null) this.first = row;
    else this.decide(this.first, row);
  }

  private decide(first: readonly string[], second: readonly string[]): void {
    const hasHeader = isHeader(first, second);
    const names = hasHeader ? nameColumns(first, this.path) : first.map((_, i) => `column${i + 1}`);
    this.builder = this.begin(names, hasHeader, this.delimiter);
    if (!hasHeader) this.builder.add(first);
    this.builder.add(second);
  }

  /** @throws DataError if there is no row of values */
  finish(): void {
    if (this.builder !== null) return;
    throw this.first === null
      ? invalidFileError(this.path, 'a table', 'an empty file', 'Get the file again from where it came.')
      : invalidFileError(
          this.path,
          'a row of names and rows of values',
          'a single row',
          'Get the file again from where it came.',
        );
  }
}

/**
 * Whether the first row has names: it has no number and no second field without a value, and either the second row has numbers
 * or all names differ.
 */
function isHeader(first: readonly string[], second: readonly string[]): boolean {
  if (first.some((field) => isNumber(field.trim()))) return false;
  if (second.some((field) => isNumber(field.trim()))) return true;
  const names = first.map((field) => field.trim());
  return new Set(names).size === names.length && !names.some((name, i) => i > 0 && isMissing(name));
}

/** @throws DataError if two columns have the same name */
function nameColumns(first: readonly string[], path: string): string[] {
  const names = first.map((field, i) =>
    field.trim() === '' ? (i === 0 ? INDEX_NAME : `column${i + 1}`) : field.trim(),
  );
  const twice = names.findIndex((name, i) => names.indexOf(name) !== i);
  if (twice < 0) return names;
  const name = names[twice] ?? '';
  throw invalidFileError(
    path,
    'columns with different names in row 1',
    `two columns named ${shown(name)}, column ${names.indexOf(name) + 1} and column ${twice + 1}`,
    'Rename one of them.',
  );
}

/** Name for the first column without one, which pandas writes: the row's number. */
export const INDEX_NAME = 'index';

/** The first names, for a message. */
export function listNames(names: readonly string[], limit = 8): string {
  const listed = names.slice(0, limit).map(shown);
  return names.length > limit ? `${listed.join(', ')} and ${names.length - limit} more` : listed.join(', ');
}

interface FilePart {
  readonly path: string;
  /** Number of its first sample in the table. */
  readonly from: number;
  /** Row of that sample in the file, counted from 1. */
  readonly firstRow: number;
}

/** Collects rows of several files in columns. */
export class TableBuilder {
  private readonly builders: readonly (ColumnBuilder | null)[];
  private readonly names: readonly string[];
  private readonly parts: FilePart[] = [];
  private readonly kept: number;
  private rows = 0;
  /** For each column, its place in the rows of the current file. */
  private places: readonly number[] = [];

  constructor(names: readonly string[], options: TableOptions & { readonly hasCommas: boolean }) {
    this.names = names;
    const ignored = new Set(options.ignore);
    const only = options.only === undefined ? undefined : new Set(options.only);
    this.builders = names.map((name) => {
      if (ignored.has(name) || only?.has(name) === false) return null;
      const type = Object.hasOwn(options.types ?? {}, name) ? options.types?.[name] : undefined;
      return new ColumnBuilder({ name, type, hasCommas: options.hasCommas, locate: this.locate });
    });
    this.kept = Math.max(1, this.builders.filter((builder) => builder !== null).length);
  }

  /** Path and row of a sample. */
  readonly locate: Locate = (row) => {
    const part = this.parts.findLast(({ from }) => from <= row) as FilePart;
    return { path: part.path, row: row - part.from + part.firstRow };
  };

  /** @throws DataError if the file has other columns than those before */
  beginFile(path: string, names: readonly string[], firstRow: number): void {
    this.parts.push({ path, from: this.rows, firstRow });
    this.places = this.names.map((name) => names.indexOf(name));
    const missing = this.names.filter((_, i) => (this.places[i] ?? -1) < 0);
    if (missing.length === 0 && names.length === this.names.length) return;
    const first = this.parts[0]?.path ?? '';
    throw invalidFileError(
      path,
      `the ${this.names.length} columns of ${first}`,
      missing.length > 0 ? `none named ${listNames(missing)}` : `${names.length} columns`,
      'Use files with the same columns.',
    );
  }

  add(row: readonly string[]): void {
    const { names, builders, places, rows } = this;
    if (row.length !== names.length) {
      const { path, row: number } = this.locate(rows);
      throw invalidFileError(
        path,
        `${names.length} fields in every row`,
        `${row.length} in row ${number}, which begins with ${quote(row.join(' '))}`,
        'Correct the row; a field that contains the delimiter needs quotes.',
      );
    }
    for (let i = 0; i < builders.length; i++) builders[i]?.add(row[places[i] as number] as string, rows);
    this.countRow();
  }

  /** Adds values of a file with types of its own. */
  addValues(values: readonly (string | number)[]): void {
    for (let i = 0; i < this.builders.length; i++) {
      const value = values[this.places[i] as number] as string | number;
      if (typeof value === 'number') this.builders[i]?.addNumber(value, this.rows);
      else this.builders[i]?.add(value, this.rows);
    }
    this.countRow();
  }

  private countRow(): void {
    this.rows++;
    if (this.rows * this.kept <= MAX_CELLS) return;
    throw new DataError(
      `${this.parts[0]?.path}: more than ${MAX_CELLS} values do not fit into memory. Use fewer rows, or leave columns out with --ignore.`,
    );
  }

  finish(notes: readonly string[]): Table {
    return {
      path: this.parts[0]?.path ?? '',
      rows: this.rows,
      names: this.names,
      columns: this.builders.filter((builder) => builder !== null).map((builder) => builder.finish()),
      locate: this.locate,
      notes,
    };
  }
}
