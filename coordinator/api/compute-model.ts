import { readSamples, type Dataset } from '../../shared/data/dataset.ts';
import type { Engine, GradientComputer } from '../../shared/engine/engine.ts';
import type { CodeBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import { addScores, Scoring } from '../../shared/model/scoring.ts';
import { sampleSize } from '../../shared/model/tensors.ts';
import { fitToJob } from '../commands/evaluate-model.ts';
import type { TrainingRunOutcome } from '../commands/run-training.ts';
import { chooseTarget } from '../export/formats.ts';
import { writeModelFile, type ExportedModel } from '../export/write-model.ts';
import { nameWeights } from '../model-file/weights-file.ts';
import { modelPenalty } from '../optimizer/tensor-rules.ts';
import {
  outputReaders,
  predictionsByOutput,
  readPredictions,
  type OutputPrediction,
} from '../predict/output-reader.ts';
import { predictBatches, type ReadInputs } from '../predict/predict-batches.ts';
import { rowInputs, type Row } from '../predict/table-inputs.ts';
import { writeModelCard } from '../run/model-card.ts';
import { modelToSave, saveModel } from '../run/model-folder.ts';
import { readInputs, readSplit } from '../task/arrays.ts';
import { openTaskData } from '../task/data.ts';
import { checkTaskData, type ArrayValues, type TaskData } from '../task/task.ts';
import { silentReporter } from './reporters.ts';
import type { ExportOptions, NestedNumbers, TrainedModel } from './trained-model.ts';

/** Data of a model's run: its test samples, and what new samples need to be like them. */
export type TrainedOn = Partial<Pick<Dataset, 'test' | 'preprocessing' | 'classNames'>>;

/** Reads the custom code of a model; undefined if it has none. @throws Error with a sentence if it is not trusted */
type ReadCode = () => Promise<CodeBundle | undefined>;

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
  const { custom, engines, ...about } = outcome;
  const { job, weights, weightNames, dataset, history, scores } = about;
  const { preprocessing, classNames } = dataset;
  const epochs = history.at(-1)?.epoch ?? 0;
  return {
    ...about,
    isStopped,
    async save(folder) {
      const training = {
        gradcast: version,
        dataDescription: dataset.description,
        epochs,
        ...(preprocessing === undefined ? {} : { preprocessing }),
        ...(classNames === undefined ? {} : { classNames: [...classNames] }),
      };
      const model = modelToSave(job, { weights, names: weightNames }, training, scores);
      await saveModel(folder, { ...model, customCode: custom });
      await writeModelCard(folder, { ...about, gradcast: version, isStopped, engines });
    },
    export: (file, exportOptions) =>
      exportModel(
        { job, weights, weightNames, gradcast: version, epochs, preprocessing },
        file,
        exportOptions,
      ),
    ...computingModel(job, weights, openEngine, dataset, () => Promise.resolve(custom)),
  };
}

/**
 * Computes with a model.
 * @param trainedOn the data of its run
 * @param readCode reads the custom code of the job, when it is needed
 */
export function computingModel(
  job: Job,
  weights: Float32Array,
  openEngine: ModelOrigin['openEngine'],
  trainedOn: TrainedOn,
  readCode: ReadCode,
): Pick<TrainedModel, 'evaluate' | 'predict' | 'predictRows'> {
  const compute = withEngine(job, weights, openEngine, readCode);
  return {
    async evaluate(data) {
      checkTaskData(data, 'evaluate: data');
      return compute((computer) => evaluate(computer, job, weights, trainedOn, data));
    },
    predict: (inputs: ArrayValues | Readonly<Record<string, ArrayValues>>) =>
      compute((computer) => predict(computer, job, inputs)) as Promise<never>,
    predictRows: (rows, { onWarning = emitWarning } = {}) =>
      compute((computer) => predictRows(computer, job, trainedOn, rows, onWarning)) as Promise<never>,
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
  readCode: ReadCode,
): <Result>(work: (computer: GradientComputer) => Promise<Result>) => Promise<Result> {
  let opened: Promise<{ computer: GradientComputer; close: () => Promise<void> }> | null = null;
  let last: Promise<unknown> = Promise.resolve();
  let idleTimer: NodeJS.Timeout | undefined;
  const open = async (): Promise<{ computer: GradientComputer; close: () => Promise<void> }> => {
    const code = await readCode();
    const { engine, close } = await openEngine();
    try {
      const computer = await engine.load(job, code?.module);
      computer.setWeights(weights.slice());
      return { computer, close };
    } catch (error) {
      await close().catch(() => undefined);
      throw error;
    }
  };
  const closeWhenIdle = (): void => {
    clearTimeout(idleTimer);
    idleTimer = setTimeout(() => {
      const idle = opened;
      opened = null;
      // An engine that has ended by itself may fail here; nothing waits for it.
      idle
        ?.then(async ({ computer, close }) => {
          try {
            computer.dispose();
          } finally {
            await close();
          }
        })
        .catch(() => undefined);
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
    { seed: job.seed, preprocessing, classNames, modelTargets: job.targets, isMeasured: true },
    silentReporter,
  );
  return fitToJob(dataset, job).test;
}

async function predict(
  computer: GradientComputer,
  job: Job,
  given: ArrayValues | Readonly<Record<string, ArrayValues>>,
): Promise<Float32Array | Float32Array[] | NestedNumbers> {
  const { inputs, count } = readInputs(given, job.inputs);
  const predicted = job.outputs.map((output) => new Float32Array(count * sampleSize(output)));
  const read: ReadInputs = (from, to) =>
    inputs.map((values) => {
      const sample = values.length / count;
      return values.slice(from * sample, to * sample);
    });
  for await (const { from, samples, outputs } of predictBatches(computer, job, { count, read }))
    outputs.forEach((values, i) => predicted[i]?.set(values, (from * values.length) / samples));
  const isList = Array.isArray(given) || Object.values(given).every((values) => Array.isArray(values));
  const results = isList
    ? predicted.map((values, i) => nest(values, [count, ...(job.outputs[i]?.shape ?? [])]))
    : predicted;
  // As in Keras, a list only of several outputs.
  const [first] = results;
  return first !== undefined && results.length === 1 ? first : results;
}

const emitWarning = (line: string): void => process.emitWarning(line, 'GradcastWarning');

async function predictRows(
  computer: GradientComputer,
  job: Job,
  metadata: TrainedOn,
  rows: readonly Row[],
  warn: (line: string) => void,
): Promise<Record<string, OutputPrediction>[]> {
  if (rows.length === 0) return [];
  const readers = outputReaders(job, metadata);
  const source = await rowInputs(rows, { job, metadata }, warn);
  const predictions: Record<string, OutputPrediction>[] = [];
  for await (const { samples, outputs } of predictBatches(computer, job, source)) {
    for (let i = 0; i < samples; i++)
      predictions.push(predictionsByOutput(readers, readPredictions(readers, outputs, i)));
  }
  return predictions;
}

/** Lists of lists of row-major values. */
function nest(values: Float32Array, [length = 0, ...inner]: readonly number[]): NestedNumbers {
  const size = values.length / length;
  return Array.from({ length }, (_, i) => {
    const row = values.subarray(i * size, (i + 1) * size);
    return inner.length <= 1 ? [...row] : nest(row, inner);
  });
}
