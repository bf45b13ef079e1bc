import { DataError, invalidFileError } from '../../shared/data/data-error.ts';
import {
  createTensor,
  describeShapes,
  type TensorSpec,
  type TensorValues,
} from '../../shared/model/tensors.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { TableFiles } from '../data/find-tables.ts';
import { openArrays } from '../data/load-arrays.ts';
import { roleOfArray, type NamedArray } from '../data/table/arrays-dataset.ts';
import type { NpyArray } from '../data/table/npy.ts';
import type { PredictingModel, SampleSource } from './inputs.ts';

/**
 * Arrays of NumPy as samples: of one input, or of several inputs by their names.
 * @throws DataError if an array is missing, or has another shape or type than the model takes
 */
export async function arrayInputs(
  { train: files, format }: TableFiles,
  { job }: PredictingModel,
): Promise<SampleSource> {
  const isInput = (name: string): boolean => job.inputs.some((input) => input.name === name);
  const isUsed = (name: string): boolean => isInput(name) || isSamples(name);
  const arrays = await openArrays(files, format, isUsed);
  const path = files[0]?.path ?? '';
  return samplesOf(
    job.inputs.map((input) => ({ input, array: chooseArray(arrays, input, job.inputs, path).array })),
    (sample) => ({ file: path, sample }),
  );
}

/** Array of an input. */
export interface ChosenArray {
  readonly input: TensorSpec;
  readonly array: NpyArray;
}

/** @throws DataError if an array has another shape or type than its input, or another number of samples */
export function samplesOf(chosen: readonly ChosenArray[], place: SampleSource['place']): SampleSource {
  for (const { array, input } of chosen) checkArray(array, input);
  const [first, ...others] = chosen;
  const count = first?.array.dimensions[0] ?? 0;
  for (const { array } of others) {
    if (array.dimensions[0] === count) continue;
    throw invalidFileError(
      array.file.path,
      `${count} samples, as many as ${first?.array.file.path}`,
      `${array.dimensions[0]}`,
      'Use arrays that belong together.',
    );
  }
  return {
    count,
    place,
    read: (from, to) => Promise.all(chosen.map(({ array, input }) => readRows(array, input, from, to))),
  };
}

/** Whether an array has samples, and not targets, by its name. */
const isSamples = (name: string): boolean => roleOfArray(name)?.startsWith('x') === true;

function chooseArray(
  arrays: readonly NamedArray[],
  { name }: TensorSpec,
  inputs: readonly TensorSpec[],
  path: string,
): NamedArray {
  const samples = arrays.filter((array) => isSamples(array.name));
  const found =
    arrays.find((array) => array.name === name) ??
    (inputs.length > 1
      ? undefined
      : arrays.length === 1
        ? arrays[0]
        : (samples.find((array) => roleOfArray(array.name) === 'x_test') ?? samples[0]));
  if (found !== undefined) return found;
  const expected =
    inputs.length > 1
      ? `an array for each input: ${inputs.map((input) => input.name).join(', ')}`
      : `an array named x or ${name}`;
  throw invalidFileError(
    path,
    expected,
    arrays.length === 0 ? 'others' : arrays.map((array) => sanitizeForTerminal(array.name)).join(', '),
    'Save it with numpy.savez().',
  );
}

/** @throws DataError if shape or type are not those of the input */
function checkArray({ dimensions, type, dtype, isFloat, file }: NpyArray, input: TensorSpec): void {
  const { shape } = input;
  const own = dimensions.slice(1);
  const isSame = own.join() === shape.join();
  const isGray = own.length === 2 && [...own, 1].join() === shape.join();
  const isScalar = own.length === 0 && shape.join() === '1';
  if (!isSame && !isGray && !isScalar) {
    throw invalidFileError(
      file.path,
      `samples of ${describeShapes([input])}`,
      `an array of [${dimensions.join(', ')}], whose first dimension counts the samples`,
      'Give the samples the shape of the training data.',
    );
  }
  const isInteger = input.dtype === 'uint8' || input.dtype === 'int32' || input.dtype === 'bool';
  if ((isInteger && isFloat) || (input.dtype === 'uint8' && dtype !== 'uint8')) {
    throw invalidFileError(
      file.path,
      input.dtype === 'uint8' ? 'bytes from 0 to 255 (uint8)' : `whole numbers (${input.dtype})`,
      type,
      `Save it with .astype("${input.dtype}").`,
    );
  }
}

async function readRows(array: NpyArray, input: TensorSpec, from: number, to: number): Promise<TensorValues> {
  const read = await array.rows(from, to - from);
  const size = read.length / (to - from);
  const wrong = read.findIndex(
    (value) =>
      !Number.isFinite(value) || (input.classes !== undefined && (value < 0 || value >= input.classes)),
  );
  if (wrong >= 0) {
    const limit =
      input.classes === undefined ? 'finite numbers' : `whole numbers from 0 to ${input.classes - 1}`;
    throw new DataError(
      `${array.file.path}: sample ${from + Math.floor(wrong / size)}, counted from 0, has the value ${read[wrong]}; expected ${limit}. Correct it, or leave the sample out.`,
    );
  }
  const values = createTensor(input, read.length);
  values.set(read);
  return values;
}
