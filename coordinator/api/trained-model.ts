import { readSamples, type Dataset } from '../../shared/data/dataset.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { addScores, Scoring } from '../../shared/model/scoring.ts';
import { sampleSize } from '../../shared/model/tensors.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { fitToJob } from '../commands/evaluate-model.ts';
import type { TrainingRunOutcome } from '../commands/run-training.ts';
import { chooseTarget, type ExportFormat } from '../export/formats.ts';
import { writeModelFile, type ExportedModel } from '../export/write-model.ts';
import { nameWeights } from '../model-file/weights-file.ts';
import { modelPenalty } from '../optimizer/tensor-rules.ts';
import { predictBatches, type ReadInputs } from '../predict/predict-batches.ts';
import type { TestScores } from '../report/reporter.ts';
import { modelToSave, saveModel } from '../run/model-folder.ts';
import { readInputs, readSplit } from '../task/arrays.ts';
import { openTaskData } from '../task/data.ts';
import type { ArrayValues, TaskData } from '../task/task.ts';
import { silentReporter } from './reporters.ts';

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
   * Saves the model as model.json and a file of weights, which `tf.loadLayersModel` and `gradcast predict` read.
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
   * Values of the first output: class probabilities for a classification.
   * @param inputs samples with the values of the training data: pixels from 0 to 255 if they were images
   * @returns lists for lists, [samples][...shape of the output]; else all values, row-major
   * @throws DataError with a sentence if the model was not trained on such samples
   */
  predict(inputs: readonly unknown[] | Readonly<Record<string, readonly unknown[]>>): Promise<NestedNumbers>;
  predict(
    inputs: Exclude<ArrayValues, readonly unknown[]> | Readonly<Record<string, ArrayValues>>,
  ): Promise<Float32Array>;
}

/** Data of a model's run: its test samples, and what new samples need to be like them. */
export type TrainedOn = Partial<Pick<Dataset, 'test' | 'preprocessing' | 'classNames'>>;

export interface ModelOrigin {
  readonly version: string;
  /** Opens the engine that computes. */
  readonly openEngine: () => Promise<{ readonly engine: Engine; readonly close: () => Promise<void> }>;
  readonly isStopped: boolean;
}

/** Samples of a forward pass. */
const BATCH_SIZE = 256;
/** Time for which an engine stays open, since calls often follow each other. */
const IDLE_MS = 1_000;

/** Model of a run that is over. */
export function trainedModel(
  outcome: TrainingRunOutcome,
  { version, openEngine, isStopped }: ModelOrigin,
): TrainedModel {
  const { job, weights, weightNames, dataset, history, scores } = outcome;
  const { preprocessing, classNames } = dataset;
  const epochs = history.at(-1)?.epoch ?? 0;
  return {
    ...outcome,
    isStopped,
    async save(folder) {
      const training = {
        gradcast: version,
        dataDescription: dataset.description,
        epochs,
        ...(preprocessing === undefined ? {} : { preprocessing }),
        ...(classNames === undefined ? {} : { classNames: [...classNames] }),
      };
      await saveModel(folder, modelToSave(job, { weights, names: weightNames }, training, scores));
    },
    export: (file, exportOptions) =>
      exportModel(
        { job, weights, weightNames, gradcast: version, epochs, preprocessing },
        file,
        exportOptions,
      ),
    ...computingModel(job, weights, openEngine, dataset),
  };
}

/**
 * Computes with a model.
 * @param trainedOn the data of its run
 */
export function computingModel(
  job: Job,
  weights: Float32Array,
  openEngine: ModelOrigin['openEngine'],
  trainedOn: TrainedOn,
): Pick<TrainedModel, 'evaluate' | 'predict'> {
  const compute = withEngine(job, weights, openEngine);
  return {
    evaluate: (data) => compute((computer) => evaluate(computer, job, weights, trainedOn, data)),
    predict: (inputs: ArrayValues | Readonly<Record<string, ArrayValues>>) =>
      compute((computer) => predict(computer, job, inputs)) as Promise<never>,
  };
}

/** Writes a model for another program; see TrainedModel.export. */
export async function exportModel(
  {
    job,
    weights,
    weightNames,
    ...about
  }: Pick<TrainedModel, 'job' | 'weights' | 'weightNames'> & Omit<ExportedModel, 'job' | 'weights'>,
  file: string,
  { format }: ExportOptions = {},
): Promise<void> {
  const named = nameWeights(weights, weightNames, job.layout);
  await writeModelFile({ ...about, job, weights: named }, chooseTarget({ format, file }, ''));
}

/** Runs computations one after the other on an engine that is opened when it is needed. */
function withEngine(
  job: Job,
  weights: Float32Array,
  openEngine: ModelOrigin['openEngine'],
): <Result>(work: (computer: GradientComputer) => Promise<Result>) => Promise<Result> {
  let opened: Promise<{ computer: GradientComputer; close: () => Promise<void> }> | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let idleTimer: NodeJS.Timeout | undefined;
  const open = async (): Promise<{ computer: GradientComputer; close: () => Promise<void> }> => {
    const { engine, close } = await openEngine();
    const computer = await engine.load(job);
    computer.setWeights(weights.slice());
    return { computer, close };
  };
  const closeWhenIdle = (): void => {
    clearTimeout(idleTimer);
    idleTimer = setTimeout(() => {
      const idle = opened;
      opened = null;
      void idle?.then(async ({ computer, close }) => {
        computer.dispose();
        await close();
      });
    }, IDLE_MS);
  };
  return (work) => {
    clearTimeout(idleTimer);
    const result = last.then(async () => {
      clearTimeout(idleTimer);
      opened ??= open();
      const current = opened;
      try {
        return await work((await current).computer);
      } finally {
        if (await hasFailed(current)) opened = null;
        else closeWhenIdle();
      }
    });
    last = result.catch(() => undefined);
    return result;
  };
}

const hasFailed = (promise: Promise<unknown>): Promise<boolean> =>
  promise.then(
    () => false,
    () => true,
  );

async function evaluate(
  computer: GradientComputer,
  job: Job,
  weights: Float32Array,
  own: TrainedOn,
  data: TaskData | undefined,
): Promise<{ loss: number; [metric: string]: number }> {
  const split = await testSplit(job, own, data);
  const scoring = new Scoring(job);
  let sums = scoring.zero;
  for (let from = 0; from < split.count; from += BATCH_SIZE) {
    const numbers = Uint32Array.from(
      { length: Math.min(BATCH_SIZE, split.count - from) },
      (_, i) => from + i,
    );
    sums = addScores(sums, await computer.evaluate(await readSamples(split, numbers)));
  }
  const { loss, metrics } = scoring.means(sums, split.count);
  return { ...metrics, loss: loss + modelPenalty(job, weights) };
}

async function testSplit(job: Job, own: TrainedOn, data: TaskData | undefined): Promise<Dataset['test']> {
  if (data === undefined && own.test !== undefined) return own.test;
  if (typeof data === 'object' && 'x' in data) return readSplit(data, job);
  const { preprocessing, classNames } = own;
  const dataset = await openTaskData(
    data,
    { seed: job.seed, preprocessing, classNames, isMeasured: true },
    silentReporter,
  );
  return fitToJob(dataset, job).test;
}

async function predict(
  computer: GradientComputer,
  job: Job,
  given: ArrayValues | Readonly<Record<string, ArrayValues>>,
): Promise<Float32Array | NestedNumbers> {
  const { inputs, count } = readInputs(given, job.inputs);
  const shape = job.outputs[0]?.shape ?? [];
  const size = sampleSize({ shape });
  const predicted = new Float32Array(count * size);
  const read: ReadInputs = (from, to) =>
    inputs.map((values) => {
      const sample = values.length / count;
      return values.slice(from * sample, to * sample);
    });
  const first = { ...job, outputs: job.outputs.slice(0, 1) };
  for await (const { from, outputs } of predictBatches(computer, first, { count, read }))
    predicted.set(outputs[0] ?? [], from * size);
  const isList = Array.isArray(given) || Object.values(given).every((values) => Array.isArray(values));
  return isList ? nest(predicted, [count, ...shape]) : predicted;
}

/** Lists of lists of row-major values. */
function nest(values: Float32Array, [length = 0, ...inner]: readonly number[]): NestedNumbers {
  const size = values.length / length;
  return Array.from({ length }, (_, i) => {
    const row = values.subarray(i * size, (i + 1) * size);
    return inner.length <= 1 ? [...row] : nest(row, inner);
  });
}
