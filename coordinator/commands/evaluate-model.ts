import { isLazy, transformSplit, type Dataset } from '../../shared/data/dataset.ts';
import { parsePreprocessing } from '../../shared/data/preprocessing.ts';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import type { Job } from '../../shared/model/job.ts';
import { Scoring, type ScoreValues } from '../../shared/model/scoring.ts';
import { createTensor, type TensorValues } from '../../shared/model/tensors.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { describeTransposition } from '../data/dataset-warnings.ts';
import { openDataset, type DataFlags } from '../data/load-dataset.ts';
import { writeFileAtomic } from '../files/write-file.ts';
import type { CoordinatorEngine } from '../integrity/reference-engine.ts';
import { modelPenalty } from '../optimizer/tensor-rules.ts';
import { matrixCsv } from '../predict/class-scores.ts';
import { hasReports, measureOutputs, type OutputReport } from '../predict/measure-outputs.ts';
import { outputReaders, type OutputReader } from '../predict/output-reader.ts';
import { withComputer } from '../predict/predict-batches.ts';
import { EVALUATING, type Reporter } from '../report/reporter.ts';
import { loadCustomCode, loadModel } from '../run/model-folder.ts';
import { Interrupted } from '../training/errors.ts';
import { chooseMeasuredData } from './measured-data.ts';
import { withCoordinator, type RunProgram } from './run-session.ts';
import type { LocalWorkerCount } from '../pool/local-workers.ts';

export interface EvaluateModelFlags extends Omit<DataFlags, 'seed'> {
  readonly engine: EngineChoice;
  /** Hashes of custom code that may be run. @default none */
  readonly trust?: readonly string[];
  /** File for all figures. */
  readonly json?: string | undefined;
  /** File for the confusion matrix. */
  readonly csv?: string | undefined;
}

/** Scores of a model. */
export interface Evaluation extends ScoreValues {
  /** Confusion matrices and errors of the outputs. */
  readonly reports: readonly OutputReport[];
}

export interface EvaluateModelOptions {
  readonly program: RunProgram;
  readonly clock: Clock;
  readonly report: Reporter;
  readonly signal: AbortSignal;
  /** Number of local workers. Called once, after model and data are loaded. */
  readonly chooseWorkerCount: () => Promise<LocalWorkerCount>;
  /** Opens the engine that predicts each sample. */
  readonly openEngine: () => Promise<CoordinatorEngine>;
}

/**
 * Computes loss and metrics of a saved model on local workers, as a run's validation does, and then what each output predicts. Without
 * other data, the model is measured on that of its run.
 * @returns means over the test samples, and reports; null if the evaluation was stopped
 * @throws Error with a sentence if the model cannot be read, or does not fit the data set
 */
export async function evaluateModel(
  modelDir: string,
  flags: EvaluateModelFlags,
  { program, clock, report, signal, chooseWorkerCount, openEngine }: EvaluateModelOptions,
): Promise<Evaluation | null> {
  try {
    const { job, weights, metadata } = await loadModel(modelDir);
    const customCode = await loadCustomCode(modelDir, job, flags.trust ?? []);
    const { classNames } = metadata;
    const preprocessing = parsePreprocessing(metadata.preprocessing);
    const files = await chooseMeasuredData(modelDir, dataFlags(flags), job.data.name, preprocessing);
    const model = { preprocessing, classNames, modelTargets: job.targets, isMeasured: true };
    const how = { ...files, ...model, seed: job.seed };
    const dataset = fitToJob(await openDataset(how, report, signal), job);
    report.info(`${dataset.description.replace(/\.$/, '')}: ${dataset.test.count} test samples`);
    for (const line of describeTransposition(dataset)) report.warn(line);
    const readers = outputReaders(job, { preprocessing, classNames: classNames ?? dataset.classNames });
    checkMatrixFile(flags.csv, job, readers);
    const { workers, threads } = await chooseWorkerCount();
    if (signal.aborted) return null;
    const session = {
      engine: flags.engine,
      workers,
      threads,
      host: '127.0.0.1',
      port: 0,
      job,
      customCode,
      program,
      clock,
      report,
      interrupt: { signal },
      onOpen: () => undefined,
      trustsWorkers: true,
    };
    const score = await withCoordinator(session, ({ stepRunner }) =>
      rejectOnAbort(
        stepRunner.evaluate({ step: 0 as Step, weights, split: dataset.test }, (done, total) =>
          report.progress(EVALUATING, done, total),
        ),
        signal,
      ),
    );
    const means = new Scoring(job).means(score, dataset.test.count);
    const scores = { ...means, loss: means.loss + modelPenalty(job, weights) };
    const reports = hasReports(job, readers)
      ? await withComputer({ job, weights, customCode }, openEngine, (computer) =>
          measureOutputs(computer, job, readers, dataset.test, {
            signal,
            progress: (done) => report.progress('Predicting each sample', done, dataset.test.count),
          }),
        )
      : [];
    await writeFigures(flags, { ...scores, reports });
    return { ...scores, reports };
  } catch (error) {
    if (error instanceof Interrupted || signal.aborted) return null;
    throw error;
  }
}

/** Flags about data. */
const dataFlags = ({
  engine: _engine,
  trust: _trust,
  json: _json,
  csv: _csv,
  ...flags
}: EvaluateModelFlags): Omit<DataFlags, 'seed'> => flags;

/** Rejects at once when the signal is aborted, since an evaluation has nothing to save. @throws Interrupted */
function rejectOnAbort<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Interrupted());
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    work.then(resolve, reject);
  });
}

/** Writes the files that --json and --csv name. @throws Error with a sentence */
async function writeFigures({ json, csv }: EvaluateModelFlags, evaluation: Evaluation): Promise<void> {
  if (json !== undefined) await writeFileAtomic(json, `${JSON.stringify(evaluation, null, 2)}\n`);
  const matrix = evaluation.reports.find(({ kind }) => kind === 'classes');
  if (csv !== undefined && matrix?.kind === 'classes') await writeFileAtomic(csv, matrixCsv(matrix.report));
}

/** @throws Error with a sentence if there is no matrix to write, or several */
function checkMatrixFile(file: string | undefined, job: Job, readers: readonly OutputReader[]): void {
  if (file === undefined) return;
  const count = readers.filter(({ classNames }) => classNames !== null).length;
  if (count === 1 && hasReports(job, readers)) return;
  throw new Error(
    `--csv ${file} writes the confusion matrix of one output of classes, and the model has ${count === 1 ? 'one with too many' : count}. Use --json.`,
  );
}

/**
 * The same samples with the types of the model's job. Data with fewer classes than the model has is measured, too: its test part may
 * lack the last ones.
 * @throws Error with a sentence if the model was trained on other samples
 */
export function fitToJob(dataset: Dataset, job: Job): Dataset {
  checkDataFits(job, dataset);
  const isOther = job.targets.map(({ dtype }, i) => dataset.targets[i]?.dtype !== dtype);
  if (!isOther.includes(true)) return dataset;
  const convert = (values: TensorValues, i: number): TensorValues => {
    const spec = job.targets[i];
    if (spec === undefined || isOther[i] !== true) return values;
    const converted = createTensor(spec, values.length);
    converted.set(values);
    return converted;
  };
  const { test } = dataset;
  return {
    ...dataset,
    targets: job.targets,
    test: isLazy(test)
      ? transformSplit(test, 'types', (shard) => ({ ...shard, targets: shard.targets.map(convert) }))
      : { ...test, targets: test.targets.map(convert) },
  };
}

/** @throws Error with a sentence if the model was trained on other samples */
function checkDataFits(job: Job, dataset: Dataset): void {
  const { data } = job;
  const { name } = dataset;
  const trained = describeSamples(job);
  const known = dataset.targets.map((target, i) => {
    const classes = job.targets[i]?.classes;
    const hasFewer = target.classes !== undefined && classes !== undefined && target.classes < classes;
    return hasFewer && dataset.classNames === undefined ? { ...target, classes } : target;
  });
  const found = describeSamples({ inputs: dataset.inputs, targets: known });
  if (trained !== found) {
    throw new Error(
      `The model was trained on ${data.name} (${trained}), but ${name} is ${found}. Use other --data.`,
    );
  }
}

const TYPE_WORDS = { uint8: 'bytes', int32: 'whole numbers', float32: 'numbers', bool: 'booleans' } as const;

/** Shapes, types and numbers of classes of inputs and targets. */
const describeSamples = ({ inputs, targets }: Pick<Dataset, 'inputs' | 'targets'>): string =>
  [
    ...inputs.map(({ shape, dtype }) => `${shape.join(' x ')} ${TYPE_WORDS[dtype]}`),
    ...targets.map(({ shape, classes }) =>
      classes === undefined ? shape.join(' x ') : `${classes} classes`,
    ),
  ].join(', ');
