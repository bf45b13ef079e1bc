import { DataError } from '../../shared/data/data-error.ts';
import { createTensor, type TensorSpec, type TensorValues } from '../../shared/model/tensors.ts';
import type { TableFiles } from '../data/find-tables.ts';
import { decodeImage, nameImageError } from '../data/images/decode-image.ts';
import { openBytes } from '../data/load-arrays.ts';
import { shown } from '../data/table/column-builder.ts';
import {
  openParquet,
  toImageBytes,
  toNumber,
  type Block,
  type ParquetFile,
} from '../data/table/parquet-file.ts';
import { listNames } from '../data/table/read-table.ts';
import { decodingOf } from './image-inputs.ts';
import { otherKindError, type PredictingModel, type SampleSource } from './inputs.ts';

/** Images that are decoded at once. */
const DECODES_AT_ONCE = 8;

/** Block of the column, and the number of its first row among those of all files. */
interface LocatedBlock {
  readonly path: string;
  readonly block: Block;
  readonly start: number;
}

/** Makes the sample of a value. @param where for errors */
type Convert = (value: unknown, where: string) => Promise<ArrayLike<number>>;

/**
 * Images or lists of numbers in Parquet as samples, for a model that was trained on such, or on images.
 * @throws DataError if there is no such column, or several, or if a value does not fit the model
 */
export async function parquetInputs({ train }: TableFiles, model: PredictingModel): Promise<SampleSource> {
  const files = await Promise.all(train.map(async (file) => openParquet(await openBytes(file))));
  const path = train[0]?.path ?? '';
  const [input, ...others] = model.job.inputs;
  const areImages = input?.dtype === 'uint8' && input.shape.length === 3;
  const name = chooseColumn(files, areImages ? 'image' : 'vector', input);
  if (name === null || input === undefined || others.length > 0)
    throw otherKindError(`${path} is a table`, model);
  const convert = areImages ? imageConverter(model, path) : listConverter(input);
  const located: LocatedBlock[] = [];
  let count = 0;
  for (const { file, groups, blocks, rows } of files) {
    for (const group of groups.keys())
      for (const block of await blocks(name, group))
        located.push({ path: file.path, block, start: count + block.from });
    count += rows;
  }
  const blockOf = (row: number): LocatedBlock =>
    located.findLast(({ start }) => start <= row) as LocatedBlock;
  let last: { readonly from: LocatedBlock; readonly values: readonly unknown[] } | null = null;
  const valueOf = async (row: number): Promise<unknown> => {
    const from = blockOf(row);
    if (last?.from !== from) last = { from, values: await from.block.read() };
    return last.values[row - from.start];
  };
  const place = (number: number): { file: string; row: number } => {
    const { path: file, block, start } = blockOf(number);
    return { file, row: block.from + number - start + 1 };
  };
  return {
    count,
    place,
    async read(from, to) {
      const size = input.shape.reduce((product, side) => product * side, 1);
      const samples: TensorValues = createTensor(input, (to - from) * size);
      for (let first = from; first < to; first += DECODES_AT_ONCE) {
        const numbers = Array.from({ length: Math.min(DECODES_AT_ONCE, to - first) }, (_, i) => first + i);
        const values: unknown[] = [];
        // A block is read once for all of its rows.
        for (const number of numbers) values.push(await valueOf(number));
        await Promise.all(
          numbers.map(async (number, i) => {
            const { file, row } = place(number);
            const sample = await convert(values[i], `${file}: row ${row} of ${shown(name)}`);
            samples.set(sample, (number - from) * size);
          }),
        );
      }
      return [samples];
    },
  };
}

/** Name of the column with samples: the only one, or of several the one with the name of the input; null if there is none. */
function chooseColumn(
  files: readonly ParquetFile[],
  wanted: 'image' | 'vector',
  input: TensorSpec | undefined,
): string | null {
  const columns = (files[0]?.columns ?? []).filter(({ kind }) => kind === wanted);
  const [only, ...others] = columns;
  if (only === undefined || others.length === 0) return only?.name ?? null;
  const named = columns.find(({ name }) => name === input?.name);
  if (named !== undefined) return named.name;
  throw new DataError(
    `${files[0]?.file.path} has several columns of ${wanted === 'image' ? 'images' : 'lists'}: ${listNames(columns.map(({ name }) => name))}. Write a file with the one to predict.`,
  );
}

function imageConverter(model: PredictingModel, path: string): Convert {
  const decoding = decodingOf(model, `${path} has images`);
  return async (value, where) => {
    const bytes = toImageBytes(value);
    if (bytes === null) {
      throw new DataError(
        `${where} has no image, perhaps only its path. Write the images into the file: Hugging Face calls it embed_external_files.`,
      );
    }
    try {
      return await decodeImage(bytes, decoding);
    } catch (error) {
      throw nameImageError(where, error);
    }
  };
}

function listConverter({ shape, dtype }: TensorSpec): Convert {
  const size = shape.reduce((product, side) => product * side, 1);
  return (value, where) => {
    const isList = Array.isArray(value) || ArrayBuffer.isView(value);
    const numbers = isList ? Array.from(value as ArrayLike<unknown>, toNumber) : [];
    if (numbers.length !== size) {
      throw new DataError(
        `${where} has ${numbers.length} numbers, and the model takes ${size}. Write lists of that length.`,
      );
    }
    const areValid = dtype === 'float32' ? Number.isFinite : Number.isInteger;
    if (numbers.every((number) => areValid(number))) return Promise.resolve(numbers);
    throw new DataError(
      `${where} has a number that is missing, or none that the model takes (${dtype}). Correct it, or remove the row.`,
    );
  };
}
