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
      else if (names.some(isNumber))
        notes.push(`${path}: the first row names the columns, some by numbers: ${listNames(names)}.`);
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

/** Rows that show whether the first one has names. */
const FIRST_ROWS = 20;

/** Finds out whether the first row has names, and hands the other rows on. */
class HeaderReader {
  delimiter: Delimiter = ',';
  private readonly first: (readonly string[])[] = [];
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
    else if (this.first.push(row) === FIRST_ROWS) this.decide();
  }

  private decide(): void {
    const [names = [], ...below] = this.first;
    const hasHeader = isHeader(names, below);
    const columns = hasHeader ? nameColumns(names, this.path) : names.map((_, i) => `column${i + 1}`);
    this.builder = this.begin(columns, hasHeader, this.delimiter);
    for (const row of hasHeader ? below : this.first) this.builder.add(row);
  }

  /** @throws DataError if there is no row of values */
  finish(): void {
    if (this.builder !== null) return;
    if (this.first.length > 1) this.decide();
    else {
      throw this.first.length === 0
        ? invalidFileError(this.path, 'a table', 'an empty file', 'Get the file again from where it came.')
        : invalidFileError(
            this.path,
            'a row of names and rows of values',
            'a single row',
            'Get the file again from where it came.',
          );
    }
  }
}

/**
 * Whether the first row has names: it has no number but those that count columns or name years, no second field without a value,
 * and either the second row has numbers or all names differ.
 * @param below some of the rows after it
 */
export function isHeader(first: readonly string[], below: readonly (readonly string[])[]): boolean {
  const names = first.map((field) => field.trim());
  const areDifferent = new Set(names).size === names.length;
  const areAllNamed = !names.some((name, i) => i > 0 && isMissing(name));
  if (names.some(isNumber)) return areDifferent && areAllNamed && areNumbersNames(names, below);
  if (below[0]?.some((field) => isNumber(field.trim())) === true) return true;
  return areDifferent && areAllNamed;
}

/** A column named by a number of its own is rare, and a row that counts is too. */
const MIN_COUNTED = 3;
const YEAR = /^(?:19|20)\d\d$/;

/**
 * Whether the numbers of a first row name columns: they count from 0 or 1, as pandas does, or they are years over other numbers.
 * The words beside them are no values of their columns.
 */
function areNumbersNames(names: readonly string[], below: readonly (readonly string[])[]): boolean {
  const places = [...names.keys()].filter((i) => isNumber(names[i] ?? ''));
  const isBelow = (i: number, matches: (field: string) => boolean): boolean =>
    below.some((row) => matches((row[i] ?? '').trim()));
  if (names.some((name, i) => !isNumber(name) && isBelow(i, (field) => field === name))) return false;
  const start = Number(names[places[0] ?? 0]);
  const isCounted = places.every((place, i) => names[place] === String(start + i));
  if (isCounted && (start === 0 || start === 1) && places.length >= MIN_COUNTED) return true;
  const hasWords = places.length < names.length;
  return (
    hasWords &&
    places.every(
      (i) => YEAR.test(names[i] ?? '') && isBelow(i, (field) => !YEAR.test(field) && !isMissing(field)),
    )
  );
}

/** @throws DataError if two columns have the same name */
function nameColumns(first: readonly string[], path: string): string[] {
  const names = first.map((field, i) =>
    field.trim() === '' ? (i === 0 ? INDEX_NAME : `column${i + 1}`) : field.trim(),
  );
  const placeOf = new Map<string, number>();
  for (const [i, name] of names.entries()) {
    const other = placeOf.get(name);
    if (other !== undefined) {
      throw invalidFileError(
        path,
        'columns with different names in row 1',
        `two columns named ${shown(name)}, column ${other + 1} and column ${i + 1}`,
        'Rename one of them.',
      );
    }
    placeOf.set(name, i);
  }
  return names;
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
  private readonly byName: ReadonlyMap<string, ColumnBuilder>;
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
    const memory = { used: 0 };
    const { hasCommas } = options;
    this.builders = names.map((name) => {
      if (ignored.has(name) || only?.has(name) === false) return null;
      const type = Object.hasOwn(options.types ?? {}, name) ? options.types?.[name] : undefined;
      return new ColumnBuilder({ name, type, hasCommas, locate: this.locate, memory });
    });
    this.byName = new Map(
      this.builders.flatMap((builder) => (builder === null ? [] : [[builder.name, builder]])),
    );
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
    const placeOf = new Map(names.map((name, place) => [name, place]));
    this.places = this.names.map((name) => placeOf.get(name) ?? -1);
    const missing = this.names.filter((name) => !placeOf.has(name));
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
    this.addRows(1);
  }

  /**
   * Adds values to one column of a file that is read by column; addRows then counts its rows.
   * @param from number of the first value's row in the file
   */
  addValues(name: string, values: readonly (string | number)[], from: number): void {
    const builder = this.byName.get(name);
    for (const [i, value] of values.entries()) {
      if (typeof value === 'number') builder?.addNumber(value, this.rows + from + i);
      else builder?.add(value, this.rows + from + i);
    }
  }

  /** @throws DataError if the rows do not fit into memory */
  requireRoom(rows: number): void {
    if ((this.rows + rows) * this.kept <= MAX_CELLS) return;
    throw new DataError(
      `${this.parts[0]?.path}: more than ${MAX_CELLS} values do not fit into memory. Use fewer rows, or leave columns out with --ignore.`,
    );
  }

  addRows(count: number): void {
    this.requireRoom(count);
    this.rows += count;
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
