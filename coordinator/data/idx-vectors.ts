import { createHash } from 'node:crypto';
import type { Dataset, Split } from '../../shared/data/dataset.ts';
import { createTensor, type DType, type TensorValues } from '../../shared/model/tensors.ts';
import type { SplitArrays } from './assemble.ts';
import type { DataArray } from './data-array.ts';
import { arraysDataset, type NamedArray } from './table/arrays-dataset.ts';
import type { NpyArray } from './table/npy.ts';

/** Data set of an IDX file of samples that are no images. The test part may be missing. */
export interface VectorDataset extends Omit<Dataset, 'test'> {
  readonly test: Split | null;
}

/** Images have at most so many dimensions with that of the samples: [n, height, width, channels]. */
const MAX_IMAGE_RANK = 4;

/** Whether an array can only be samples other than images: rows that are no square, or of more dimensions. */
export function areVectors({ dimensions, columns }: DataArray): boolean {
  if (columns !== undefined) return false;
  const [, length = 0] = dimensions;
  const isSquare = Number.isInteger(Math.sqrt(length));
  return dimensions.length > MAX_IMAGE_RANK || (dimensions.length === 2 && !isSquare);
}

/**
 * Data set of IDX files of any type and shape, with classes or numbers as targets, as the same arrays of NumPy make it.
 *
 * @returns also lines about what was found
 * @throws DataError if the parts do not fit each other
 */
export async function vectorDataset(
  { train, test }: { readonly train: SplitArrays; readonly test: SplitArrays | null },
  about: Pick<Dataset, 'name' | 'description'>,
): Promise<{ readonly dataset: VectorDataset; readonly lines: readonly string[] }> {
  const named = ({ images, labels }: SplitArrays): NamedArray[] => [
    { name: 'x', array: likeNpy(images) },
    { name: 'y', array: likeNpy(labels) },
  ];
  const all = Uint32Array.from({ length: train.images.dimensions[0] ?? 0 }, (_, sample) => sample);
  const { dataset, lines } = await arraysDataset(
    named(train),
    test === null ? null : named(test),
    // Divided later, like all data sets without a test part.
    { divide: () => ({ train: all, test: new Uint32Array(0) }) },
    about,
  );
  return test === null ? { dataset: { ...dataset, test: null }, lines: [] } : { dataset, lines };
}

/** Numbers of an IDX file, or of another in memory, as an array of NumPy. */
export function likeNpy({ path, values, dimensions, type, isFloat }: DataArray): NpyArray {
  const dtype: Exclude<DType, 'bool'> =
    values instanceof Uint8Array ? 'uint8' : isFloat ? 'float32' : 'int32';
  const size = dimensions.slice(1).reduce((product, side) => product * side, 1);
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return {
    type,
    isFloat,
    dimensions,
    dtype,
    canReadRows: true,
    bytes: values.byteLength,
    file: {
      path,
      length: bytes.length,
      stamp: createHash('sha256').update(bytes).digest('hex'),
      read: (offset, length) => Promise.resolve(bytes.slice(offset, offset + length)),
    },
    rows(from, count): Promise<TensorValues> {
      const rows = values.subarray(from * size, (from + count) * size);
      if (rows instanceof Uint8Array) return Promise.resolve(rows);
      const converted = createTensor({ dtype }, rows.length);
      converted.set(rows);
      return Promise.resolve(converted);
    },
  };
}
