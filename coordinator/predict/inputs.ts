import type { Preprocessing } from '../../shared/data/preprocessing.ts';
import type { Job } from '../../shared/model/job.ts';
import { describeShapes, type TensorValues } from '../../shared/model/tensors.ts';
import { DataError } from '../../shared/data/data-error.ts';
import { shown } from '../data/table/column-builder.ts';
import { listNames } from '../data/table/read-table.ts';

/** Place of a sample: a file, and its row or number in the file. */
export interface SamplePlace {
  /** For messages. */
  readonly file: string;
  /** Row of a table, counted from 1 with its header as the file has it. */
  readonly row?: number;
  /** Number of a sample in an array, counted from 0 as NumPy does. */
  readonly sample?: number;
}

/** Samples to predict, read in parts so that memory is bounded. */
export interface SampleSource {
  readonly count: number;
  place(number: number): SamplePlace;
  /**
   * Stored values of each input of the model for samples `from` up to `to`.
   * @throws DataError that names file and row
   */
  read(from: number, to: number): Promise<readonly TensorValues[]>;
}

/** The model that samples are read for. */
export interface PredictingModel {
  readonly job: Job;
  readonly metadata: DataMetadata;
}

/** Metadata of a saved model about its data. */
export interface DataMetadata {
  readonly preprocessing?: Preprocessing | undefined;
  /** Names of the classes of the first target. */
  readonly classNames?: readonly string[] | undefined;
}

/** File and row of a sample, for lines. */
export function describePlace({ file, row, sample }: SamplePlace): string {
  if (row !== undefined) return `${file} row ${row}`;
  return sample === undefined ? file : `${file} [${sample}]`;
}

/** Error for data of another kind than the model was trained on. @param found the data, as subject and verb: 'a.png is an image' */
export const otherKindError = (found: string, model: PredictingModel): DataError =>
  new DataError(`${found}, but the model takes ${describeTaken(model)}. Name data of that kind.`);

function describeTaken({ job, metadata: { preprocessing } }: PredictingModel): string {
  switch (preprocessing?.kind) {
    case 'image':
      return 'images';
    case 'table':
      return `rows with the columns ${listNames(preprocessing.columns.map(({ name }) => name))}`;
    case 'text':
      return preprocessing.column === undefined
        ? 'a text to continue (--text, or a .txt file)'
        : `text (--text, or a .txt file), or rows with the column ${shown(preprocessing.column)}`;
    case undefined: {
      const [input] = job.inputs;
      const isImage = input?.dtype === 'uint8' && input.shape.length === 3 && job.inputs.length === 1;
      return `${isImage ? 'images, or arrays of' : 'arrays (.npy, .npz, IDX) of'} ${describeShapes(job.inputs)}`;
    }
  }
}
