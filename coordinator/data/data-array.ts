export type NumberArray = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** Numbers of a file, before they are converted to images or labels. */
export interface DataArray {
  /** Path for messages. */
  readonly path: string;
  readonly dimensions: readonly number[];
  /** Type of an element, for messages: 'float32'. */
  readonly type: string;
  readonly isFloat: boolean;
  /** Row-major. */
  readonly values: NumberArray;
  /** The values of an array of unsigned bytes; a view of the file's contents. */
  readonly bytes?: Uint8Array;
  /** Whole contents of an IDX file, unpacked. */
  readonly contents?: Uint8Array;
  /** Column names of a CSV file; null if it has none, undefined for an IDX file. */
  readonly columns?: readonly string[] | null;
}

/** Limit for one file, since a run holds its data in memory. Tiny ImageNet's images have 1.2 GB. */
export const MAX_DATA_BYTES = 2 ** 31;
