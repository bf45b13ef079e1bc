import { DataError } from '../../../shared/data/data-error.ts';
import type { ColumnType } from '../../../shared/data/preprocessing.ts';
import { quote, shown, type NumberColumn, type ReadColumn, type ValueColumn } from './column-builder.ts';
import { INDEX_NAME, listNames, type Table } from './read-table.ts';
import { didYouMean } from '../../../shared/util/suggest.ts';

/** Names that columns to predict usually have; the first one in this order is chosen. */
const TARGET_NAMES = [
  'target',
  'label',
  'labels',
  'class',
  'y',
  'species',
  'outcome',
  'sentiment',
  'diagnosis',
  'survived',
];
/** Whole numbers with at most so many different values, each of them in several rows, are classes. */
const MAX_NUMBER_CLASSES = 20;
const MIN_ROWS_PER_CLASS = 3;
/** Texts with more different values are no classes. */
const MAX_CLASSES = 1000;
/** Each category of an input is a value of its own. */
const MAX_CATEGORIES = 200;
/** With more rows than this, a text that differs in most of them is an identifier. */
const MIN_IDENTIFIED_ROWS = 20;
const MOSTLY_DIFFERENT = 0.5;
/** Average number of words from which different texts are free text. */
const FREE_TEXT_WORDS = 4;
/** A table of measurements may have hundreds of columns that are the same in all rows. */
const MAX_DROPPED_LISTED = 10;
/** Part of the different values that must be dates. */
const MOSTLY_DATES = 0.9;
const DATE =
  /^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))(?:[ T]\d{1,2}:\d{2}.*)?$|^\d{1,2}:\d{2}(?::\d{2})?$/;

export interface ChosenColumns {
  readonly inputs: readonly (NumberColumn | ValueColumn)[];
  readonly targets: readonly ChosenTarget[];
  /** The only input, if it is free text. */
  readonly text?: ValueColumn;
  readonly lines: readonly string[];
}

/** Target with its kind: a class, or a number to estimate. */
export interface ChosenTarget {
  readonly column: NumberColumn | ValueColumn;
  readonly isClass: boolean;
}

export interface ColumnChoice {
  readonly target?: string | readonly string[] | undefined;
  readonly ignore?: readonly string[] | undefined;
  readonly types?: Readonly<Record<string, ColumnType>> | undefined;
}

/**
 * Chooses the targets of a table and the columns that they are predicted from. Columns that say nothing about new rows are left
 * out: constants, numbers of rows, identifiers, dates and free text beside other columns.
 *
 * @throws DataError if a column does not exist, cannot be a target, or if no input remains
 */
export function chooseColumns(table: Table, choice: ColumnChoice): ChosenColumns {
  const { path, columns } = table;
  const { targets, lines } = chooseTargetColumns(table, choice);
  const names = targets.map(({ column }) => column.name);
  const others = columns.filter(({ name }) => !names.includes(name));
  const kinds = others.map((column) => ({
    column,
    use: useOf(column, table.rows, choice.types?.[column.name]),
  }));
  const inputs = kinds.flatMap(({ column, use }) =>
    use === null && column.kind !== 'unkept' ? [column] : [],
  );
  const texts = kinds.flatMap(({ column, use }) =>
    use === FREE_TEXT && column.kind === 'values' ? [column] : [],
  );
  // Row numbers are better than no input: some files have x from 0 to 99, and y.
  const numbered = kinds.flatMap(({ column, use }) =>
    use === ROW_NUMBERS && column.kind === 'number' ? [column] : [],
  );
  const text = inputs.length === 0 && texts.length === 1 ? texts[0] : undefined;
  const used = text !== undefined ? [text] : inputs.length > 0 ? inputs : numbered;
  const areUsed = new Set<ReadColumn>(used);
  const dropped = kinds.filter(({ column }) => !areUsed.has(column));
  const areListed = dropped.length <= MAX_DROPPED_LISTED;
  for (const { column, use } of areListed ? dropped : dropped.slice(0, MAX_DROPPED_LISTED - 1)) {
    const advice =
      use === FREE_TEXT && texts.length === 1
        ? `; to train on it alone, name the other columns with --ignore`
        : '';
    lines.push(`Left out: ${shown(column.name)}, ${use ?? ''}${advice}.`);
  }
  if (!areListed)
    lines.push(`Left out: ${dropped.length - MAX_DROPPED_LISTED + 1} more columns of such kinds.`);
  if (used.length === 0) {
    const reasons = dropped.map(({ column, use }) => `${shown(column.name)} (${use ?? ''})`).slice(0, 5);
    throw new DataError(
      `${path}: no column remains to predict ${listNames(names)} from${reasons.length === 0 ? '' : `: left out are ${reasons.join(', ')}`}. ` +
        'Name another --target, or use a table with numbers or categories.',
    );
  }
  return { inputs: text === undefined ? used : [], targets, ...(text === undefined ? {} : { text }), lines };
}

/**
 * Chooses the columns to predict.
 * @returns also a line about each
 * @throws DataError if a column does not exist, or cannot be a target
 */
export function chooseTargetColumns(
  table: Table,
  choice: ColumnChoice,
): { targets: ChosenTarget[]; lines: string[] } {
  requireNames(table, [choice.target ?? []].flat(), '--target');
  requireNames(table, choice.ignore ?? [], '--ignore');
  requireNames(table, Object.keys(choice.types ?? {}), '--types');
  const { names, reason } = chooseTargets(table, choice);
  const lines: string[] = [];
  const targets = names.map((name) => {
    const target = asTarget(find(table, name), table, choice.types?.[name]);
    lines.push(`Target: ${shown(name)}${reason}, ${describeTarget(target, choice.types?.[name])}.`);
    return target;
  });
  return { targets, lines };
}

function requireNames({ path, names }: Table, wanted: readonly string[], option: string): void {
  const missing = wanted.find((name) => !names.includes(name));
  if (missing === undefined) return;
  const suggestion = didYouMean(shown(missing), names.map(shown));
  throw new DataError(
    `${path} has no column ${shown(missing)} (from ${option}).${suggestion} It has ${listNames(names, 20)}.`,
  );
}

const find = ({ columns, path }: Table, name: string): ReadColumn => {
  const column = columns.find((other) => other.name === name);
  if (column !== undefined) return column;
  throw new DataError(`${path}: the target ${shown(name)} is a column to ignore. Take it out of --ignore.`);
};

function chooseTargets(
  { columns, path }: Table,
  { target }: ColumnChoice,
): { names: readonly string[]; reason: string } {
  const given = [target ?? []].flat();
  if (given.length > 0) return { names: [...new Set(given)], reason: '' };
  const usual = TARGET_NAMES.map((name) => columns.find((column) => column.name.toLowerCase() === name)).find(
    (column) => column !== undefined,
  );
  if (usual !== undefined) return { names: [usual.name], reason: ' (by its name; --target names another)' };
  const last = columns.at(-1);
  if (last === undefined) throw new DataError(`${path}: all columns are ignored. Ignore fewer of them.`);
  return { names: [last.name], reason: ' (the last column; --target names another)' };
}

/** @throws DataError if the column cannot be a target */
function asTarget(column: ReadColumn, { path, rows }: Table, type: ColumnType | undefined): ChosenTarget {
  const refuse = (what: string): never => {
    throw new DataError(
      `${path}: the target ${shown(column.name)} has ${what}. Name another column with --target.`,
    );
  };
  if (column.kind === 'unkept') return refuse(column.reason);
  if (column.kind === 'values') {
    const { values } = column;
    if (values.length === 0) return refuse('no value in any row');
    if (isDate(values)) return refuse(`dates such as ${quote(values[0] ?? '')}`);
    if (values.length > MAX_CLASSES)
      return refuse(`${values.length} different texts, and at most ${MAX_CLASSES} are read as classes`);
    if (rows >= MIN_IDENTIFIED_ROWS && values.length > MOSTLY_DIFFERENT * rows) {
      return refuse(`${values.length} different texts in ${rows} rows, which are no classes`);
    }
    if (values.length === 1) return refuse(`the value ${quote(values[0] ?? '')} in all rows`);
    return { column, isClass: true };
  }
  const distinct = distinctNumbers(column.values, MAX_CLASSES);
  if (distinct?.length === 0) return refuse('no value in any row');
  if (distinct?.length === 1) return refuse(`the value ${distinct[0]} in all rows`);
  if (type === 'category') {
    return distinct === null
      ? refuse(`more than ${MAX_CLASSES} different numbers`)
      : { column, isClass: true };
  }
  const areClasses =
    type === undefined &&
    distinct !== null &&
    distinct.length <= MAX_NUMBER_CLASSES &&
    distinct.length * MIN_ROWS_PER_CLASS <= rows &&
    distinct.every((value) => Number.isInteger(value));
  return { column, isClass: areClasses };
}

function describeTarget({ column, isClass }: ChosenTarget, type: ColumnType | undefined): string {
  if (!isClass) return 'a number (regression)';
  const names =
    column.kind === 'values'
      ? column.values.toSorted()
      : (distinctNumbers(column.values, MAX_CLASSES) ?? []).map(String);
  const listed = listNames(names, 6);
  if (column.kind === 'values' || type !== undefined) return `${names.length} classes: ${listed}`;
  return `${names.length} whole numbers as classes: ${listed} (--types ${shown(column.name)}:number estimates the number)`;
}

/** Different numbers in ascending order, without missing ones; null if there are more than `limit`. */
export function distinctNumbers(values: Float64Array, limit: number): number[] | null {
  const distinct = new Set<number>();
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    distinct.add(value);
    if (distinct.size > limit) return null;
  }
  return [...distinct].toSorted((a, b) => a - b);
}

const FREE_TEXT = 'free text';
const ROW_NUMBERS = 'which numbers the rows';

/** Reason why a column is no input, or null if it is one. */
function useOf(column: ReadColumn, rows: number, type: ColumnType | undefined): string | null {
  switch (column.kind) {
    case 'unkept':
      return column.reason;
    case 'number':
      return useOfNumbers(column, rows, type);
    case 'values':
      return useOfTexts(column, rows, type);
  }
}

function useOfNumbers(
  { name, values }: NumberColumn,
  rows: number,
  type: ColumnType | undefined,
): string | null {
  const distinct = distinctNumbers(values, 1);
  if (distinct?.length === 0) return 'which has no values';
  if (distinct?.length === 1 && !values.some((value) => Number.isNaN(value)))
    return `which is ${distinct[0]} in all rows`;
  if (type !== undefined) return null;
  if (name === INDEX_NAME || /^unnamed: 0$/i.test(name)) return ROW_NUMBERS;
  if (rows < MIN_IDENTIFIED_ROWS) return null;
  const [first = NaN] = values;
  if ((first === 0 || first === 1) && values.every((value, row) => value === row + first)) return ROW_NUMBERS;
  const isIdentifier = /(?:^|[_\s-])id$/i.test(name) || /[a-z]I[dD]$/.test(name);
  if (isIdentifier && new Set(values).size === rows && values.every((value) => Number.isInteger(value))) {
    return 'an identifier of each row';
  }
  return null;
}

function useOfTexts(
  { codes, values }: ValueColumn,
  rows: number,
  type: ColumnType | undefined,
): string | null {
  if (values.length === 0) return 'which has no values';
  const isConstant = values.length === 1 && !codes.includes(0);
  if (isConstant) return `which is ${quote(values[0] ?? '')} in all rows`;
  if (type === undefined) {
    if (isDate(values)) return `dates such as ${quote(values[0] ?? '')}, which gradcast does not read`;
    const present = codes.reduce((count, code) => count + Number(code > 0), 0);
    const areDifferent = present >= MIN_IDENTIFIED_ROWS && values.length > MOSTLY_DIFFERENT * present;
    if (isFreeText(values) && (areDifferent || rows < MIN_IDENTIFIED_ROWS || values.length > MAX_CATEGORIES))
      return FREE_TEXT;
    if (areDifferent) return `${values.length} different texts in ${present} rows, as identifiers have`;
  }
  if (values.length > MAX_CATEGORIES) return `${values.length} categories, more than ${MAX_CATEGORIES}`;
  return null;
}

function isFreeText(values: readonly string[]): boolean {
  const words = values.reduce((sum, value) => sum + value.split(/\s+/, 100).length, 0);
  return words >= FREE_TEXT_WORDS * values.length;
}

function isDate(values: readonly string[]): boolean {
  const sample = values.slice(0, 1000);
  return sample.filter((value) => DATE.test(value)).length >= MOSTLY_DATES * sample.length;
}
