import { invalidFileError } from '../../shared/data/data-error.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import { MAX_DATA_BYTES, type DataArray } from './data-array.ts';
import type { Chunks } from './data-file.ts';
import { parseCsv } from './table/parse-csv.ts';

const BLOCK_VALUES = 2 ** 20;

/**
 * Reads a CSV file of numbers, with or without a first row of names. Empty rows are ignored.
 *
 * @throws DataError if a field is not a number, if rows differ in length, or if the file is too large
 */
export async function readCsv(chunks: Chunks, path: string): Promise<DataArray> {
  const table = new Table(path);
  await parseCsv(chunks, { path }, (row) => table.add(row));
  return table.toDataArray();
}

/** Rows read so far. */
class Table {
  /** Bytes until the first number that is not a byte: a table of pixels needs a quarter of the memory. */
  private blocks: (Uint8Array | Float32Array)[] = [];
  private areBytes = true;
  private used = BLOCK_VALUES;
  private rows = 0;
  private width = 0;
  private columns: readonly string[] | null = null;
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  add(row: readonly string[]): void {
    if (this.width === 0) {
      this.width = row.length;
      if (row.some((field) => field.trim() !== '' && Number.isNaN(parseNumber(field)))) {
        this.columns = row.map((field) => field.trim().toLowerCase());
        return;
      }
    }
    this.rows++;
    if (row.length !== this.width) {
      throw invalidFileError(
        this.path,
        `${this.width} fields in every row`,
        `${row.length} in data row ${this.rows}`,
      );
    }
    if (this.rows * this.width > MAX_DATA_BYTES / 4) {
      throw invalidFileError(this.path, `at most ${MAX_DATA_BYTES / 4} numbers`, 'more', 'Use fewer rows.');
    }
    for (const [column, field] of row.entries()) this.push(field, column);
  }

  private push(field: string, column: number): void {
    const value = parseNumber(field);
    if (Number.isNaN(value)) {
      const found = field.trim() === '' ? 'an empty field' : `"${sanitizeForTerminal(field.slice(0, 24))}"`;
      throw invalidFileError(this.path, 'numbers', `${found} in data row ${this.rows}, column ${column + 1}`);
    }
    if (this.areBytes && !(Number.isInteger(value) && value >= 0 && value <= 255)) {
      this.areBytes = false;
      this.blocks = this.blocks.map((block) => Float32Array.from(block));
    }
    if (this.used === BLOCK_VALUES) {
      this.blocks.push(this.allocate(BLOCK_VALUES));
      this.used = 0;
    }
    (this.blocks.at(-1) as Uint8Array | Float32Array)[this.used++] = value;
  }

  private allocate(length: number): Uint8Array | Float32Array {
    return this.areBytes ? new Uint8Array(length) : new Float32Array(length);
  }

  toDataArray(): DataArray {
    if (this.rows === 0) throw invalidFileError(this.path, 'at least one row of numbers', 'none');
    const count = this.rows * this.width;
    const values = this.allocate(count);
    for (const [index, block] of this.blocks.entries()) {
      const from = index * BLOCK_VALUES;
      values.set(block.subarray(0, count - from), from);
    }
    const isFloat = !this.areBytes && !values.every((value) => Number.isInteger(value));
    return {
      path: this.path,
      dimensions: [this.rows, this.width],
      type: isFloat ? 'decimal' : 'whole-number',
      isFloat,
      values,
      ...(values instanceof Uint8Array ? { bytes: values } : {}),
      columns: this.columns,
    };
  }
}

/** Number in a field; NaN for an empty field or other text. */
const parseNumber = (field: string): number => (field.trim() === '' ? NaN : Number(field));
