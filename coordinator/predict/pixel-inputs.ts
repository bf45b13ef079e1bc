import { invalidFileError } from '../../shared/data/data-error.ts';
import { describeShapes, sampleSize, type TensorSpec } from '../../shared/model/tensors.ts';
import type { DataArray } from '../data/data-array.ts';
import type { DataFile } from '../data/data-file.ts';
import type { DataReporter } from '../data/data-reporter.ts';
import { likeNpy } from '../data/idx-vectors.ts';
import { readArray } from '../data/read-array.ts';
import { dropIndexColumn, splitTable } from '../data/split-table.ts';
import { toImages } from '../data/to-images.ts';
import { samplesOf } from './array-inputs.ts';
import { otherKindError, type PredictingModel, type SampleSource } from './inputs.ts';

/** Whether a model takes rows of pixels of a table, since it was trained on arrays of images. */
export const takesPixels = ({ job: { inputs }, metadata }: PredictingModel): boolean =>
  metadata.preprocessing === undefined && inputs.length === 1 && isImage(inputs[0]);

const isImage = (input: TensorSpec | undefined): boolean =>
  input?.dtype === 'uint8' && input.shape.length === 3;

/**
 * Samples of an IDX file, or rows of pixels of a CSV file, as training reads them. A column with labels is left out.
 * @throws DataError if the model takes others, or if the file is damaged
 */
export async function pixelInputs(
  file: DataFile,
  model: PredictingModel,
  report: Pick<DataReporter, 'info'>,
): Promise<SampleSource> {
  const { job, metadata } = model;
  const [input, ...others] = job.inputs;
  if (input === undefined || others.length > 0 || (metadata.preprocessing?.kind ?? 'image') !== 'image')
    throw otherKindError(`${file.path} has arrays of numbers`, model);
  const read = await readArray(file);
  const isCsv = read.columns !== undefined;
  const samples = isCsv ? pixelsOf(read, input) : read;
  const array = isImage(input) ? asImages(samples, report) : samples;
  const firstRow = read.columns == null ? 1 : 2;
  return samplesOf([{ input, array: likeNpy(array) }], (sample) =>
    isCsv ? { file: file.path, row: firstRow + sample } : { file: file.path, sample },
  );
}

/** Columns of pixels, without those of labels and row numbers. @throws DataError if their number is another */
function pixelsOf(read: DataArray, input: TensorSpec): DataArray {
  const table = dropIndexColumn(read);
  const size = sampleSize(input);
  const parts = splitTable(table);
  if (parts?.images.dimensions[1] === size) return parts.images;
  if (table.dimensions[1] === size) return table;
  throw invalidFileError(
    table.path,
    `${size} columns of pixels for samples of ${describeShapes([input])}, with or without a label`,
    `${table.dimensions[1]} columns`,
    'Use rows like those of the training data.',
  );
}

function asImages(array: DataArray, report: Pick<DataReporter, 'info'>): DataArray {
  const { images, sampleShape, count, notes } = toImages(array);
  for (const note of notes) report.info(note);
  return {
    path: array.path,
    dimensions: [count, ...sampleShape],
    type: 'uint8',
    isFloat: false,
    values: images,
  };
}
