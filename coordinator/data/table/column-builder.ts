import { DataError } from '../../../shared/data/data-error.ts';
import type { ColumnType } from '../../../shared/data/preprocessing.ts';
import { sanitizeForTerminal } from '../../../shared/util/sanitize.ts';

/** Column of numbers; a missing one is NaN. */
export interface NumberColumn {
  readonly kind: 'number';
  readonly name: string;
  readonly values: Float64Array;
}
/** Column of text: row r has the value values[codes[r] - 1], and code 0 is a missing one. */
export interface ValueColumn {
  readonly kind: 'values';
  readonly name: string;
  readonly codes: Uint32Array;
  readonly values: readonly string[];
}
/** Column with so many different values that they were not kept. */
export interface UnkeptColumn {
  readonly kind: 'unkept';
  readonly name: string;
  readonly reason: string;
}
export type ReadColumn = NumberColumn | ValueColumn | UnkeptColumn;

/** A column with more different values that are all numbers has no other ones. */
const MAX_UNDECIDED = 1000;
/** Texts of one or two words with more different values are names or identifiers. */
const MAX_NAMES = 100_000;
const MAX_NAME_WORDS = 3;
/** A longer text without spaces may be of a language that has none. */
const MAX_NAME_LENGTH = 40;
/** Memory for the different texts of a table, in characters. */
const MAX_TEXT_LENGTH = 2 ** 29;
/** Memory of a text beside its characters. */
const TEXT_COST = 64;
/** Different texts of a column: a Map has no more. */
const MAX_TEXTS = 2 ** 23;
/** Among more different numbers and this part of them, a word is a mistake and not a category. */
const MANY_NUMBERS = 20;
const MOSTLY_NUMBERS = 0.95;

const MISSING = new Set(['', 'na', 'n/a', 'nan', 'null', '?']);
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
/** A number with a decimal comma, or with commas between thousands. */
const COMMA_NUMBER = /^[+-]?\d+,\d+$|^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$/;

/** Whether a field has no value. */
export const isMissing = (text: string): boolean => text.length <= 4 && MISSING.has(text.toLowerCase());
export const isNumber = (text: string): boolean => NUMBER.test(text);

/** Place of a value in its file, for errors. */
export type Locate = (row: number) => { readonly path: string; readonly row: number };

export interface ColumnOptions {
  readonly name: string;
  /** @default detected */
  readonly type?: ColumnType | undefined;
  /** Whether fields are separated by commas, so that a comma in a number is none of a decimal number. */
  readonly hasCommas: boolean;
  readonly locate: Locate;
  /** Characters of texts that all columns of a table keep. */
  readonly memory: { used: number };
}

/** Collects the values of a column and finds out whether they are numbers. */
export class ColumnBuilder {
  readonly name: string;
  private readonly options: ColumnOptions;
  /** Codes of the different texts, until the column is known to have numbers. */
  private dictionary: Map<string, number> | null = new Map();
  private readonly texts: string[] = [];
  private textLength = 0;
  private spaces = 0;
  private codes: Blocks<Uint32Array> | null = new Blocks(Uint32Array);
  private numbers: Blocks<Float64Array> | null = null;
  private unkept: string | null = null;
  /** Rows of the first value of each kind, from 0. */
  private firstWord = -1;
  private firstPoint = -1;
  private firstComma = -1;
  private words = 0;

  constructor(options: ColumnOptions) {
    this.name = options.name;
    this.options = options;
  }

  /** Adds the field of a row. @throws DataError if the column cannot have it */
  add(field: string, row: number): void {
    const text = field.trim();
    if (this.numbers !== null) this.numbers.push(this.parseNumber(text, row));
    if (this.dictionary === null) return;
    const code = this.dictionary.get(text) ?? this.intern(text, row);
    this.codes?.push(code);
    if (code > MAX_UNDECIDED && this.words === 0 && this.options.type !== 'category') this.becomeNumbers();
  }

  /** Adds a number, which may be NaN for a missing one. */
  addNumber(value: number, row: number): void {
    if (this.numbers !== null) this.numbers.push(value);
    else if (this.options.type === 'number' && this.texts.length === 0) {
      this.becomeNumbers();
      this.addNumber(value, row);
    } else this.add(Number.isNaN(value) ? '' : String(value), row);
  }

  finish(): ReadColumn {
    const { name, type } = this.options;
    if (this.unkept !== null) return { kind: 'unkept', name, reason: this.unkept };
    if (this.dictionary !== null && type !== 'category') {
      const numbers = this.texts.length - this.words;
      if (
        this.words === 0 ||
        type === 'number' ||
        (numbers >= MANY_NUMBERS && numbers >= MOSTLY_NUMBERS * this.texts.length)
      ) {
        this.becomeNumbers();
      }
    }
    if (this.numbers !== null) return { kind: 'number', name, values: this.numbers.toArray() };
    return { kind: 'values', name, codes: (this.codes as Blocks<Uint32Array>).toArray(), values: this.texts };
  }

  /** Code of a text that is new. */
  private intern(text: string, row: number): number {
    const dictionary = this.dictionary as Map<string, number>;
    if (isMissing(text)) {
      dictionary.set(text, 0);
      return 0;
    }
    this.texts.push(text);
    this.textLength += text.length;
    this.options.memory.used += text.length + TEXT_COST;
    this.spaces += text.split(' ', MAX_NAME_WORDS + 1).length - 1;
    dictionary.set(text, this.texts.length);
    if (isNumber(text)) {
      if (this.firstPoint < 0 && text.includes('.')) this.firstPoint = row;
    } else if (COMMA_NUMBER.test(text)) {
      if (this.firstComma < 0) this.firstComma = row;
    } else {
      this.words++;
      if (this.firstWord < 0) this.firstWord = row;
    }
    const { length } = this.texts;
    const areNames =
      this.textLength <= MAX_NAME_LENGTH * length && this.spaces < (MAX_NAME_WORDS - 1) * length;
    if (length > MAX_NAMES && areNames) this.forget(`more than ${MAX_NAMES} different names or numbers`);
    if (this.options.memory.used > MAX_TEXT_LENGTH || length > MAX_TEXTS) {
      const at = this.options.locate(row);
      throw new DataError(
        `${at.path}: up to row ${at.row}, different texts take more than ${MAX_TEXT_LENGTH} characters of memory, the column ${shown(this.name)} ${this.textLength} of them. ` +
          `Use fewer rows, or leave columns of text out with --ignore.`,
      );
    }
    return length;
  }

  private forget(reason: string): void {
    this.unkept = reason;
    this.dictionary = null;
    this.codes = null;
    this.dropTexts();
  }

  private dropTexts(): void {
    this.options.memory.used -= this.textLength + TEXT_COST * this.texts.length;
    this.texts.length = 0;
  }

  /** Converts codes to numbers. @throws DataError if a text is no number */
  private becomeNumbers(): void {
    const { codes } = this;
    this.dictionary = null;
    this.codes = null;
    if (this.firstComma >= 0 && this.firstPoint >= 0) throw this.mixedError();
    const byCode = Float64Array.from([NaN, ...this.texts.map((text) => this.tryParse(text))]);
    const numbers = new Blocks(Float64Array);
    codes?.forEach((code, row) => {
      if (code > 0 && Number.isNaN(byCode[code])) throw this.notNumberError(this.texts[code - 1] ?? '', row);
      numbers.push(byCode[code] as number);
    });
    this.dropTexts();
    this.numbers = numbers;
  }

  private parseNumber(text: string, row: number): number {
    if (isMissing(text)) return NaN;
    if (text.includes(',') && this.firstComma < 0) this.firstComma = row;
    if (text.includes('.') && this.firstPoint < 0) this.firstPoint = row;
    const value = this.tryParse(text);
    if (Number.isNaN(value)) throw this.notNumberError(text, row);
    if (this.firstComma >= 0 && this.firstPoint >= 0) throw this.mixedError();
    return value;
  }

  /** NaN if the text is no number. */
  private tryParse(text: string): number {
    const isDecimal = !this.options.hasCommas && /^[+-]?\d+,\d+$/.test(text);
    const value = NUMBER.test(text) ? Number(text) : isDecimal ? Number(text.replace(',', '.')) : NaN;
    return Number.isFinite(value) ? value : NaN;
  }

  private notNumberError(text: string, row: number): DataError {
    if (COMMA_NUMBER.test(text)) {
      if (this.firstComma < 0) this.firstComma = row;
      if (this.firstPoint >= 0) return this.mixedError();
      return this.error(
        row,
        `has ${quote(text)}, whose comma may stand for decimals or between thousands`,
        'Write numbers with a decimal point and no other sign.',
      );
    }
    return this.error(
      row,
      `has ${quote(text)} among numbers`,
      `Correct it, or leave the column out with --ignore ${shown(this.name)}.`,
    );
  }

  private mixedError(): DataError {
    const { locate } = this.options;
    return this.error(
      this.firstComma,
      `has a comma in a number, and row ${locate(this.firstPoint).row} a decimal point`,
      'Write all numbers with a decimal point and no other sign.',
    );
  }

  private error(row: number, found: string, remedy: string): DataError {
    const at = this.options.locate(row);
    return new DataError(`${at.path}: row ${at.row} of the column ${shown(this.name)} ${found}. ${remedy}`);
  }
}

/** Name of a column for people. */
export const shown = (name: string): string => sanitizeForTerminal(name.slice(0, 60));
export const quote = (text: string): string => `"${sanitizeForTerminal(text.slice(0, 24))}"`;

/** A table may have many columns of few rows. */
const FIRST_BLOCK_LENGTH = 2 ** 6;
const MAX_BLOCK_LENGTH = 2 ** 16;

type NumberArray = Uint32Array | Float64Array;

/** Growing array that is never copied while it grows. */
class Blocks<Values extends NumberArray> {
  private readonly blocks: Values[] = [];
  private last: Values;
  private used = 0;
  private readonly Values: new (length: number) => Values;

  constructor(Values: new (length: number) => Values) {
    this.Values = Values;
    this.last = new Values(FIRST_BLOCK_LENGTH);
  }

  push(value: number): void {
    if (this.used === this.last.length) {
      this.blocks.push(this.last);
      this.last = new this.Values(Math.min(2 * this.last.length, MAX_BLOCK_LENGTH));
      this.used = 0;
    }
    this.last[this.used++] = value;
  }

  forEach(visit: (value: number, index: number) => void): void {
    let from = 0;
    for (const block of [...this.blocks, this.last.subarray(0, this.used)]) {
      for (let i = 0; i < block.length; i++) visit(block[i] as number, from + i);
      from += block.length;
    }
  }

  /** All values. Blocks are released as they are copied. */
  toArray(): Values {
    const all = new this.Values(this.blocks.reduce((sum, { length }) => sum + length, this.used));
    let from = 0;
    this.blocks.reverse();
    for (let block = this.blocks.pop(); block !== undefined; block = this.blocks.pop()) {
      all.set(block, from);
      from += block.length;
    }
    all.set(this.last.subarray(0, this.used), from);
    return all;
  }
}
