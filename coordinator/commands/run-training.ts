import { setFlagsFromString } from 'node:v8';
import type { EngineChoice, InstallNative } from '../../shared/engine/engine-choice.ts';
import type { Job } from '../../shared/model/job.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { Scoring, type ScoredJob } from '../../shared/model/scoring.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Callback } from '../callbacks/callback.ts';
import { CallbackList } from '../callbacks/callback-list.ts';
import { withoutSecrets, type CallbackOptions } from '../callbacks/from-options.ts';
import { withScheduleOf } from '../callbacks/learning-rate.ts';
import { trainWithCallbacks } from '../callbacks/train-with-callbacks.ts';
import type { Coordinator } from '../hosting/coordinator.ts';
import { userCacheDir } from '../data/load-dataset.ts';
import { codecRuleFor } from '../links/codecs.ts';
import { checkModel, warnOfShardStatistics } from '../model/check-model.ts';
import type { LogFormat } from '../report/log.ts';
import { combineListeners, EVALUATING, type Reporter, type TestScores } from '../report/reporter.ts';
import { printDataset } from '../report/summary.ts';
import { removeEarlierCheckpoints } from '../run/checkpoint.ts';
import { CheckpointWriter } from '../run/checkpoint-writer.ts';
import { modelToSave, saveModel } from '../run/model-folder.ts';
import { EpochSaver, type RunFolder } from '../run/run-folder.ts';
import { Interrupted } from '../training/errors.ts';
import { testScores, type TrainingResult } from '../training/progress.ts';
import { stepsPerEpoch } from '../training/sampler.ts';
import type { StepRunner } from '../training/step.ts';
import type { TrainingOptions } from '../training/train.ts';
import { certificateFor, type Certificate, type HttpsFlags } from '../server/tls.ts';
import { checkRunExports, exportRun } from './export-model.ts';
import { prepareRun, RunFinishedError, type PreparedRun, type PrepareRunFlags } from './prepare-run.ts';
import { withCoordinator, type RunProgram } from './run-session.ts';

/** Flags of `gradcast train` and `gradcast coordinator`, which config.json records. */
export interface TrainingRunFlags extends PrepareRunFlags, HttpsFlags, CallbackOptions {
  readonly command: 'train' | 'coordinator';
  readonly port: number;
  readonly token?: string;
  /** One of LINK_CODECS, or auto. */
  readonly codec: string;
  readonly engine: EngineChoice;
  readonly installNative: InstallNative;
  /** Number of local workers; 0 for none. */
  readonly workers: number | 'auto';
  readonly minWorkers?: number;
  readonly audit?: number;
  /** Whether the page is served after the end, until a signal. */
  readonly keepOpen?: boolean;
  readonly log: LogFormat;
  /** Formats and files in which the trained model is written besides. */
  readonly export?: readonly string[];
}

export interface TrainingRunOptions {
  readonly program: RunProgram & { readonly version: string };
  readonly clock: Clock;
  readonly report: Reporter;
  /** Stops the run after the step in progress; then the model is saved. */
  readonly signal: AbortSignal;
  /** Chooses the number of local workers. Called once, before the port is opened. */
  readonly chooseWorkerCount: (job: Job) => Promise<number>;
  /** Called when workers can join. @param urls addresses of the coordinator, the nearest first */
  readonly onListening: (urls: readonly string[], tls: Certificate | undefined) => void;
  /** Called in their order while the run trains. @default none */
  readonly callbacks?: readonly Callback[];
  /** Called when training begins and after each step. @param steps finished steps of the run, those of earlier processes included */
  readonly onSteps?: (steps: number) => void;
  /** Called when the run is finished and its folder released; the page is served until it settles. @default the page ends */
  readonly afterRun?: ((outcome: TrainingRunOutcome, urls: readonly string[]) => Promise<void>) | undefined;
}

/** Result of a run that has opened its folder. */
export interface TrainingRunOutcome {
  readonly folder: RunFolder;
  /** Steps of the run, those of earlier processes included. */
  readonly steps: number;
  /** Scores of the saved model on the test data; null if they were not measured. */
  readonly scores: TestScores | null;
  readonly canResume: boolean;
  /** Whether rows and columns of the images were exchanged. */
  readonly isTransposed: boolean;
  /** Whether the model's input is an image, which `predict` reads. */
  readonly takesPictures: boolean;
}

/** The folder of a run and its checkpoints. */
interface RunOutput {
  readonly folder: RunFolder;
  readonly callbacks: CallbackList;
  readonly checkpoints: CheckpointWriter;
}

/**
 * Trains a model from a data set to a saved model: prepares the run, serves workers, writes checkpoints and history.
 * @returns null if the run was stopped before its port was open, or was finished already
 */
export async function runTraining(
  flags: TrainingRunFlags,
  options: TrainingRunOptions,
): Promise<TrainingRunOutcome | null> {
  const { report, signal } = options;
  let prepared: PreparedRun | null = null;
  const opened: { output: RunOutput | null } = { output: null };
  try {
    checkExact(flags);
    const tls = await certificateFor(flags, userCacheDir(), new Date());
    const optimizer = withScheduleOf(options.callbacks ?? [], flags.optimizer, flags.model !== undefined);
    prepared = await prepareRun({ ...flags, optimizer }, report, signal);
    return await trainPrepared(flags, options, prepared, tls, opened);
  } catch (error) {
    if (error instanceof RunFinishedError) {
      report.info(error.message);
      return null;
    }
    // A cancelled preparation rejects with the signal's reason; nothing has been trained yet.
    if (error === signal.reason) return null;
    throw error;
  } finally {
    if (flags.resume === undefined) await opened.output?.folder.discardIfUnused();
    await prepared?.release();
  }
}

async function trainPrepared(
  flags: TrainingRunFlags,
  options: TrainingRunOptions,
  prepared: PreparedRun,
  tls: Certificate | undefined,
  opened: { output: RunOutput | null },
): Promise<TrainingRunOutcome | null> {
  const { program, clock, report, signal, afterRun } = options;
  const { dataset, job, resumeFrom, history, engineFingerprint } = prepared;
  if (job.microShard !== undefined) checkExact({ ...flags, exact: true });
  printDataset(dataset, report);
  await checkModel(prepared, flags.model !== undefined || flags.loss !== undefined, program, report);
  await checkRunExports(flags.export, prepared);
  const workers = await options.chooseWorkerCount(job);
  if (signal.aborted) return null;
  warnOfShardStatistics(job, { ...flags, workers }, report);
  return withCoordinator(
    {
      ...flags,
      workers,
      codecs: codecRuleFor(job, flags.codec),
      job,
      history,
      engineFingerprint,
      tls,
      program,
      clock,
      report,
      interrupt: { signal },
      async onOpen(coordinator) {
        // After the port is open: a run that cannot start leaves no folder.
        const output = await openOutput(prepared, coordinator, options);
        opened.output = output;
        if (resumeFrom === undefined) {
          await output.folder.writeConfig(createRunConfig({ ...flags, workers }, prepared, program));
          await output.checkpoints.writeInitial();
        }
        options.onListening(coordinator.urls, tls);
      },
    },
    async (coordinator) => {
      const outcome = await trainAndSave(prepared, coordinator, opened.output as RunOutput, options);
      if (outcome.steps > 0) await exportRun(flags.export, outcome.folder, report);
      return outcome;
    },
    afterRun === undefined
      ? undefined
      : async ({ urls }, outcome) => {
          await prepared.release();
          await afterRun(outcome, urls);
        },
  );
}

async function openOutput(
  prepared: PreparedRun,
  { engineFingerprints }: Coordinator,
  { program, clock, report, callbacks: called = [] }: TrainingRunOptions,
): Promise<RunOutput> {
  const { job, weights, optimizer, dataset, dataDigest, classWeights, checkpointEvery } = prepared;
  const folder = await prepared.openFolder();
  const callbacks = new CallbackList({
    ...prepared,
    callbacks: called,
    trainedBy: { gradcast: program.version, dataDescription: dataset.description },
    runDir: folder.dir,
    report,
  });
  if (prepared.callbackStates !== undefined) callbacks.restore(prepared.callbackStates);
  const checkpoints = new CheckpointWriter({
    dir: folder.checkpointDir,
    every: checkpointEvery,
    job,
    dataDigest,
    classWeights,
    vectors: { weights, ...optimizer.state },
    plateau: optimizer.plateau,
    callbacks: () => callbacks.state(),
    engineFingerprint: () => engineFingerprints?.expected ?? null,
    clock,
    write: { beforeReplace: () => folder.lock.check() },
    warn: (line) => report.warn(line),
  });
  return { folder, checkpoints, callbacks };
}

async function trainAndSave(
  prepared: PreparedRun,
  { stepRunner, pool, feed, metrics, bottleneckReporter }: Coordinator,
  { folder, checkpoints, callbacks }: RunOutput,
  { program, clock, report, signal, onSteps }: TrainingRunOptions,
): Promise<TrainingRunOutcome> {
  const { dataset, job, optimizer, resumeFrom } = prepared;
  const save = (epochs: number, scores: TestScores | null): Promise<void> =>
    saveWeights(folder, prepared, program.version, { weights: optimizer.averagedWeights, epochs, scores });
  const epochs = new EpochSaver({
    folder,
    saveModel: (record) => save(record.epoch, record),
    warn: (line) => report.warn(line),
  });
  onSteps?.(resumeFrom?.position.steps ?? 0);
  const options: TrainingOptions = {
    job,
    dataset,
    optimizer,
    stepRunner,
    pool,
    report: combineListeners(report, bottleneckReporter, feed, metrics),
    clock,
    signal,
    save: (record) => epochs.save(record),
    ...(resumeFrom === undefined ? {} : { resumeFrom }),
    checkpoint(when, position, totals) {
      onSteps?.(position.steps);
      return checkpoints.record(when, position, totals);
    },
  };
  const training = trainWithCallbacks(options, callbacks);
  const trained = await Promise.race([training, rejectWhenLockLost(folder.lock.lost)]);
  const { finalModel: final, stopReason } = callbacks;
  const isStopped = signal.aborted || callbacks.stopSignal.aborted;
  if (isStopped && !signal.aborted) {
    const at = isAtEpochEnd(trained, dataset, job) ? `epoch ${trained.epochs}` : `step ${trained.steps}`;
    report.info(`The run ends after ${at}: ${stopReason ?? ''}.`, { event: 'stoppedEarly' });
  }
  if (!isStopped) {
    epochs.assertSaved();
    await removeEarlierCheckpoints(folder.checkpointDir, trained.steps);
  }
  let scores: TestScores | null = trained.last;
  if (final !== null || (isStopped && trained.steps > 0)) {
    const { weights, epoch } = final ?? { weights: optimizer.averagedWeights, epoch: trained.epochs };
    // Workers were sent the step's own weights, or parts of them.
    if (weights !== optimizer.weights) stepRunner.rewind();
    scores = await saveStoppedRun({
      trained,
      measured: final?.scores,
      job,
      dataset,
      weights,
      penalty: optimizer.penalty(weights),
      stepRunner,
      report,
      save: (measured) =>
        saveWeights(folder, prepared, program.version, { weights, epochs: epoch, scores: measured }),
    });
  }
  return {
    folder,
    steps: trained.steps,
    scores,
    canResume: checkpoints.hasWritten || resumeFrom !== undefined,
    isTransposed: dataset.isTransposed === true,
    takesPictures: dataset.inputs[0]?.shape.length === 3,
  };
}

export interface StoppedRun {
  readonly trained: TrainingResult;
  /** Scores of the weights; null if they are not known. @default those of the last epoch, unless steps followed it */
  readonly measured?: TestScores | null | undefined;
  readonly job: Pick<Job, 'batchSize'> & ScoredJob;
  readonly dataset: Pick<Dataset, 'train' | 'test'>;
  readonly weights: Float32Array;
  /** Penalty of the model's regularizers for these weights. @default 0 */
  readonly penalty?: number;
  readonly stepRunner: Pick<StepRunner, 'evaluate'>;
  readonly report: Pick<Reporter, 'progress' | 'warn'>;
  /** Writes the model, with its scores if they are not null. */
  readonly save: (scores: TestScores | null) => Promise<void>;
}

/**
 * Saves the model of a stopped run. If there were steps since the last epoch, the model is saved without scores, evaluated, and
 * saved again.
 * @returns scores of the saved weights; null if no worker was left to compute them
 */
export async function saveStoppedRun(stopped: StoppedRun): Promise<TestScores | null> {
  const { trained, job, dataset, weights, penalty = 0, stepRunner, report, save } = stopped;
  const { steps, last } = trained;
  const { measured = isAtEpochEnd(trained, dataset, job) ? last : null } = stopped;
  if (measured !== null) {
    await save(measured);
    return measured;
  }
  await save(null);
  try {
    const { count } = dataset.test;
    const score = await stepRunner.evaluate(
      { step: steps as Step, weights, split: dataset.test },
      (done, total) => report.progress(EVALUATING, done, total),
    );
    const means = new Scoring(job).means(score, count);
    const scores = testScores({ ...means, loss: means.loss + penalty });
    await save(scores);
    return scores;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    report.warn('The saved model was not measured on the test data: no worker was left.');
    return null;
  }
}

const isAtEpochEnd = (
  { epochs, steps }: TrainingResult,
  { train }: Pick<Dataset, 'train'>,
  { batchSize }: Pick<Job, 'batchSize'>,
): boolean => steps === epochs * stepsPerEpoch(train.count, batchSize);

/** Rejects when another process has taken the run's folder. */
function rejectWhenLockLost(lost: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(lost.reason as Error);
    lost.addEventListener('abort', fail);
    if (lost.aborted) fail();
  });
}

/** Weights of a model to save. */
interface TrainedWeights {
  readonly weights: Float32Array;
  readonly epochs: number;
  readonly scores: TestScores | null;
}

function saveWeights(
  folder: RunFolder,
  { job, weightNames: names, dataset }: PreparedRun,
  version: string,
  { weights, epochs, scores }: TrainedWeights,
): Promise<void> {
  const { description: dataDescription, preprocessing, classNames } = dataset;
  const training = {
    gradcast: version,
    dataDescription,
    epochs,
    ...(preprocessing === undefined ? {} : { preprocessing }),
    ...(classNames === undefined ? {} : { classNames: [...classNames] }),
  };
  const model = modelToSave(job, { weights, names }, training, scores);
  return saveModel(folder.modelDir, model, { beforeReplace: () => folder.lock.check() });
}

/** @throws Error if the codec rounds: an exact result must not depend on which worker sends a value */
function checkExact({ exact, codec }: Pick<TrainingRunFlags, 'exact' | 'codec'>): void {
  if (exact !== true || codec === 'float32' || codec === 'auto') return;
  throw new Error(
    `--exact needs --codec float32: ${codec} rounds, and the error depends on the worker that sends it.`,
  );
}

/**
 * Lets V8's heap grow to five times its live data before a full collection, in this process from the next collection on.
 * Each step moves some 5 MB a worker through buffers outside of a heap of 20 MB. With the default, V8 makes a full collection at
 * every step of two workers or more, on all cores, on which workers compute.
 */
export function growHeap(): void {
  setFlagsFromString('--heap-growing-percent=400');
}

/** Contents of config.json: all settings that are needed to repeat the run, without the token. */
function createRunConfig(
  flags: TrainingRunFlags,
  { job, dataset, checkpointEvery }: PreparedRun,
  { version }: { readonly version: string },
): object {
  const { token, ...shown } = withoutSecrets(flags);
  return {
    gradcast: version,
    node: process.version,
    started: new Date().toISOString(),
    ...shown,
    epochs: job.epochs,
    batchSize: job.batchSize,
    checkpointEvery,
    optimizer: job.optimizer,
    token: token === undefined ? 'none' : 'set',
    dataset: { name: dataset.name, description: dataset.description },
  };
}
