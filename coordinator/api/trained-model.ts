import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import type { ExportFormat } from '../export/formats.ts';
import type { TestScores } from '../report/reporter.ts';
import type { OutputPrediction } from '../predict/output-reader.ts';
import type { Row } from '../predict/table-inputs.ts';
import type { ArrayValues, TaskData } from '../task/task.ts';

/**
 * Numbers in lists of lists.
 * @example
 * ```ts
 * const probabilities: NestedNumbers = [[0.1, 0.9], [0.7, 0.3]];
 * ```
 */
export type NestedNumbers = (number | NestedNumbers)[];

/**
 * Options of {@link TrainedModel.export}.
 * @example
 * ```ts
 * await model.export('model.keras', { format: 'keras' });
 * ```
 */
export interface ExportOptions {
  /** @default by the name of the file */
  readonly format?: ExportFormat | undefined;
}

/**
 * Options of {@link TrainedModel.predictRows}.
 * @example
 * ```ts
 * const options: PredictRowsOptions = { onWarning: (line) => logger.warn(line) };
 * ```
 */
export interface PredictRowsOptions {
  /**
   * Receives a line for each column that has a category which training lacked: it counts as none of the known ones.
   * @default a warning of the process with the name GradcastWarning, which Node prints
   */
  readonly onWarning?: ((line: string) => void) | undefined;
}

/**
 * A model after a run. It computes in this process, with WebAssembly or with the engine that the run was given.
 * @example
 * ```ts
 * const model: TrainedModel = await train({ data: 'fashion-mnist/', epochs: 3 });
 * await model.save('model/');
 * ```
 */
export interface TrainedModel {
  readonly job: Job;
  /** All weights in one vector, in the order of the job's layout. */
  readonly weights: Float32Array;
  /** Name of each tensor of the layout. */
  readonly weightNames: readonly string[];
  /** Loss and metrics of each finished epoch, those of a run that was resumed included. */
  readonly history: readonly EpochRecord[];
  /** Finished steps. */
  readonly steps: number;
  /** Scores on the test data: `val_loss`, `val_accuracy`; null if the run was stopped and they could not be measured. */
  readonly scores: TestScores | null;
  /** Whether the run was stopped before its last epoch ended. */
  readonly isStopped: boolean;
  /** Folder of the run; null if nothing was written. */
  readonly folder: string | null;
  /** Whether {@link TrainOptions.resume} can resume the run in the folder. */
  readonly canResume: boolean;
  /** The data that it was trained on. */
  readonly dataset: Dataset;
  /**
   * Saves the model as model.json and a file of weights, which `tf.loadLayersModel` and `gradcast predict` read, and README.md, a card
   * that describes it. A README.md that gradcast did not write is left as it is.
   * @param folder created if it is missing
   * @throws Error with a sentence that names the file that could not be written
   */
  save(folder: string): Promise<void>;
  /**
   * Writes the model for another program: as a .keras file for `load_model` of Keras 3, compiled as the run was, as ONNX, as
   * safetensors, or as a SavedModel of TensorFlow, which is a folder.
   * @param file an existing file is replaced
   * @throws Error with a sentence if the file could not be written, or the format cannot express the model
   */
  export(file: string, options?: ExportOptions): Promise<void>;
  /**
   * Loss and metrics by name.
   * @param data its test samples; of arrays, x and y @default the test samples of the run
   * @throws Error with a sentence if the model was not trained on such samples
   */
  evaluate(data?: TaskData): Promise<{ readonly loss: number; readonly [metric: string]: number }>;
  /**
   * Values of the output: class probabilities for a classification. Of a model with several outputs, a list with those of each.
   * @param inputs samples with the values of the training data: pixels from 0 to 255 if they were images
   * @returns lists for lists, [samples][...shape of the output]; else all values, row-major
   * @throws DataError with a sentence if the model was not trained on such samples
   * @example
   * ```ts
   * const [digit, parity] = await model.predict<Float32Array[]>({ image: pixels });
   * ```
   */
  predict(inputs: readonly unknown[] | Readonly<Record<string, readonly unknown[]>>): Promise<NestedNumbers>;
  predict<Values extends Float32Array | Float32Array[] = Float32Array>(
    inputs: Exclude<ArrayValues, readonly unknown[]> | Readonly<Record<string, ArrayValues>>,
  ): Promise<Values>;
  /**
   * Predicts rows of a table as they are: numbers are standardized and categories encoded as in training.
   * @param rows values by the names of their columns, with or without the target; null and NaN are missing values
   * @returns for each row the prediction of each target by its name, as `gradcast predict --json` prints it
   * @typeParam Predictions type of one result, if it is known: numbers of a regression, `ClassPrediction` of classes
   * @throws DataError with a sentence if a column is missing, has other values, or the model was not trained on a table
   * @example
   * ```ts
   * const [house] = await model.predictRows<{ price: number }>([{ area: 120, city: 'Bonn' }]);
   * console.log(house?.price.toFixed(0));
   * ```
   */
  predictRows<Predictions extends object = Record<string, OutputPrediction>>(
    rows: readonly Row[],
    options?: PredictRowsOptions,
  ): Promise<Predictions[]>;
}
