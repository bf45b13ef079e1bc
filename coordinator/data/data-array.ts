export type NumberArray = Uint8Array | Int8Array | Int16Array | Int32Array | Float32Array | Float64Array;

/** Numbers as a file has them, before gradcast makes images or labels of them. */
export interface DataArray {
  /** For messages. */
  readonly path: string;
  readonly dimensions: readonly number[];
  /** Type of an element, in words: 'float32'. */
  readonly type: string;
  readonly isFloat: boolean;
  /** Row-major. */
  readonly values: NumberArray;
  /** The same, where the elements are unsigned bytes; a view of the file's contents. */
  readonly bytes?: Uint8Array;
  /** The whole contents of an IDX file, unpacked. */
  readonly contents?: Uint8Array;
  /** Names of the columns, where the file is a CSV that has them. */
  readonly columns?: readonly string[] | null;
}

/** All data of a run lie in memory, so a file may hold at most this much; Tiny ImageNet's images are 1.2 GB. */
export const MAX_DATA_BYTES = 2 ** 31;
