import { setFlagsFromString } from 'node:v8';
import type { EngineChoice } from '../../shared/engine/engine-choice.ts';
import type { Engine } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import { Scoring, type ScoredJob } from '../../shared/model/scoring.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { keyName } from '../../shared/util/option-names.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { Callback } from '../callbacks/callback.ts';
import { CallbackList } from '../callbacks/callback-list.ts';
import { withScheduleOf } from '../callbacks/learning-rate.ts';
import { checkMonitors } from '../callbacks/monitor.ts';
import { trainWithCallbacks } from '../callbacks/train-with-callbacks.ts';
import type { CoordinatorHost, HostedRun } from '../hosting/coordinator.ts';
import { userCacheDir } from '../data/load-dataset.ts';
import { codecLabel, codecRuleFor, type CodecChoice } from '../links/codecs.ts';
import { describeContributions } from '../observe/contributions.ts';
import { checkModel, warnOfShardStatistics } from '../model/check-model.ts';
import {
  combineListeners,
  EVALUATING,
  scoresOf,
  type Reporter,
  type TestScores,
  type TrainingListener,
} from '../report/reporter.ts';
import { printCustomCode, printDataset } from '../report/summary.ts';
import { removeEarlierCheckpoints } from '../run/checkpoint.ts';
import { CheckpointWriter } from '../run/checkpoint-writer.ts';
import { writeModelCard, type DescribedRun } from '../run/model-card.ts';
import { modelToSave, saveModel, trainedBy, writeCustomCode } from '../run/model-folder.ts';
import { EpochSaver, type RunFolder } from '../run/run-folder.ts';
import { Interrupted } from '../training/errors.ts';
import { testScores, type TrainingResult } from '../training/progress.ts';
import { stepsPerEpoch } from '../training/sampler.ts';
import type { StepRunner } from '../training/step.ts';
import type { TrainingOptions } from '../training/train.ts';
import { certificateFor, type Certificate, type HttpsFlags } from '../server/tls.ts';
import { checkRunExports, exportRun } from './export-model.ts';
import { describeSource } from '../task/data.ts';
import { prepareRun, type PreparedRun, type PrepareRunFlags } from './prepare-run.ts';
import { withCoordinator, type RunProgram } from './run-session.ts';
import type { LocalWorkerCount } from '../pool/local-workers.ts';

/** Settings of a run. */
export interface RunSettings extends PrepareRunFlags, HttpsFlags {
  /** Port to open; null for none. */
  readonly port: number | null;
  readonly token?: string | undefined;
  readonly codec: CodecChoice;
  readonly engine: EngineChoice;
  /** Engine that computes in this process, beside the local workers. @default none */
  readonly ownEngine?: Engine | undefined;
  readonly minWorkers?: number | undefined;
  readonly maxWorkers?: number | undefined;
  readonly audit?: number | undefined;
  /** Whether no answer has to be recomputed. @default false */
  readonly trustsWorkers?: boolean | undefined;
  /** Formats and files in which the trained model is written besides. */
  readonly export?: readonly string[] | undefined;
  /** Settings that config.json records, besides those of the job. */
  readonly config: object;
}

export interface TrainingRunOptions {
  readonly program: RunProgram & { readonly version: string };
  /** Coordinator that exists already, which goes on after the run. @default one of the run's own */
  readonly coordinator?: CoordinatorHost | undefined;
  readonly clock: Clock;
  readonly report: Reporter;
  /** Receives the events of training, after the reporter. @default none */
  readonly listener?: TrainingListener | undefined;
  /** Stops the run after the step in progress; then the model is saved. */
  readonly signal: AbortSignal;
  /** See TrainOptions. @default never */
  readonly isTerminated?: (() => boolean) | undefined;
  /** Chooses the number of local workers. Called once, before the port is opened. */
  readonly chooseWorkerCount: (job: Job) => Promise<LocalWorkerCount>;
  /** Called when workers can join. @param urls addresses of the coordinator, the nearest first */
  readonly onListening: (urls: readonly string[], tls: Certificate | undefined) => void | Promise<void>;
  /** Called in their order while the run trains. @default none */
  readonly callbacks?: readonly Callback[] | undefined;
  /** Called when training begins and after each step. @param steps finished steps of the run, those of earlier processes included */
  readonly onSteps?: (steps: number) => void;
}

/** Result of a run. */
export interface TrainingRunOutcome extends Pick<PreparedRun, 'job' | 'weightNames' | 'dataset' | 'custom'> {
  /** Folder of the run; null if nothing is written. */
  readonly folder: string | null;
  /** Trained weights, or their moving average if the optimizer has one. */
  readonly weights: Float32Array;
  /** Finished epochs, those of earlier processes included. */
  readonly history: readonly EpochRecord[];
  /** Steps of the run, those of earlier processes included. */
  readonly steps: number;
  /** Scores of the weights on the test data; null if they were not measured. */
  readonly scores: TestScores | null;
  /** Whether a checkpoint is on disk. */
  readonly canResume: boolean;
  /** Kinds of engines that computed. */
  readonly engines: ReadonlySet<string>;
}

/** Folder of a run and its checkpoints. */
interface RunFiles {
  readonly folder: RunFolder;
  readonly checkpoints: CheckpointWriter;
}

/** Receivers of a run's progress: its callbacks and its files, if it writes any. */
interface RunOutput {
  readonly callbacks: CallbackList;
  readonly files: RunFiles | null;
}

/**
 * Trains a model from a data set to a saved model: prepares the run, serves workers, writes checkpoints and history.
 * @returns null if the run was stopped before its port was open
 * @throws RunFinishedError if a resumed run has no step left
 */
export async function runTraining(
  settings: RunSettings,
  options: TrainingRunOptions,
): Promise<TrainingRunOutcome | null> {
  const { report, signal } = options;
  let prepared: PreparedRun | null = null;
  const opened: { output: RunOutput | null } = { output: null };
  try {
    checkExact(settings);
    const tls = await certificateFor(settings, userCacheDir(), new Date());
    const { callbacks = [] } = options;
    const optimizer = withScheduleOf(callbacks, settings.optimizer, settings.model !== undefined);
    prepared = await prepareRun({ ...settings, optimizer }, report, signal);
    return await trainPrepared(settings, options, prepared, tls, opened);
  } catch (error) {
    // A cancelled preparation rejects with the signal's reason; nothing has been trained yet.
    if (signal.aborted && error === signal.reason) return null;
    throw error;
  } finally {
    if (settings.resume === undefined) await opened.output?.files?.folder.discardIfUnused();
    await prepared?.release();
  }
}

async function trainPrepared(
  settings: RunSettings,
  options: TrainingRunOptions,
  prepared: PreparedRun,
  tls: Certificate | undefined,
  opened: { output: RunOutput | null },
): Promise<TrainingRunOutcome | null> {
  const { program, clock, report, signal, coordinator } = options;
  const { dataset, job, resumeFrom, history, engineFingerprint, custom } = prepared;
  if (job.microShard !== undefined) checkExact({ ...settings, exact: true });
  printDataset(dataset, report);
  if (job.customCode !== undefined) printCustomCode(job.customCode, report);
  checkMonitors(options.callbacks ?? [], job);
  await checkModel(prepared, settings.model !== undefined || settings.loss !== undefined, program, report);
  await checkRunExports(settings.export, prepared);
  const { workers, threads } = await options.chooseWorkerCount(job);
  if (signal.aborted) return null;
  warnOfShardStatistics(job, { ...settings, workers: workers * (threads ?? 1) }, report);
  return withCoordinator(
    {
      ...settings,
      coordinator,
      workers,
      threads,
      codecs: codecRuleFor(job, settings.codec),
      job,
      customCode: custom,
      weightNames: prepared.weightNames,
      shownData: dataset,
      history,
      engineFingerprint,
      tls,
      program,
      clock,
      report,
      interrupt: { signal },
      isTerminated: options.isTerminated,
      async onOpen(run) {
        // After the port is open: a run that cannot start leaves no folder.
        const output = await openOutput(prepared, run, options);
        opened.output = output;
        const { files } = output;
        if (files !== null && resumeFrom === undefined) {
          if (custom !== undefined) await writeCustomCode(files.folder.dir, custom);
          const config = {
            ...settings.config,
            workers,
            source: describeSource(settings.data, settings, process.env),
          };
          await files.folder.writeConfig(
            createRunConfig(config, prepared, coordinator?.token ?? settings.token, program),
          );
          await files.checkpoints.writeInitial();
        }
        await options.onListening(run.urls, tls);
      },
      isOver: () => resumeFrom !== undefined && opened.output?.callbacks.hasEnded === true,
    },
    async (run) => {
      const outcome = await trainAndSave(prepared, run, opened.output as RunOutput, options);
      const dir = outcome.folder;
      if (outcome.steps > 0 && dir !== null) await exportRun(settings.export, { dir }, report);
      return outcome;
    },
  );
}

async function openOutput(
  prepared: PreparedRun,
  { engineFingerprints }: HostedRun,
  { program, clock, report, callbacks: called = [] }: TrainingRunOptions,
): Promise<RunOutput> {
  const { job, weights, optimizer, dataset, dataDigest, classWeights, checkpointEvery } = prepared;
  const folder = (await prepared.openFolder?.()) ?? null;
  const callbacks = new CallbackList({
    ...prepared,
    callbacks: called,
    trainedBy: trainedBy(dataset, program.version),
    customCode: prepared.custom,
    runDir: folder?.dir ?? null,
    report,
  });
  if (prepared.callbackStates !== undefined) callbacks.restore(prepared.callbackStates);
  if (folder === null) return { callbacks, files: null };
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
  return { callbacks, files: { folder, checkpoints } };
}

async function trainAndSave(
  prepared: PreparedRun,
  { stepRunner, pool, feed, metrics, contributions, bottleneckReporter, fail }: HostedRun,
  { callbacks, files }: RunOutput,
  options: TrainingRunOptions,
): Promise<TrainingRunOutcome> {
  const { program, clock, report, signal, onSteps, listener } = options;
  const { dataset, job, optimizer, resumeFrom, weightNames } = prepared;
  const save = async (model: TrainedWeights): Promise<void> => {
    if (files !== null) await saveWeights(files.folder, prepared, program.version, model);
  };
  const saver =
    files === null
      ? null
      : new EpochSaver({
          folder: files.folder,
          saveModel: (record) =>
            save({ weights: optimizer.averagedWeights, epochs: record.epoch, scores: scoresOf(record) }),
          warn: (line) => report.warn(line),
        });
  const history = [...(prepared.history ?? [])];
  const engines = new Set<string>();
  const noteEngines = (): void => {
    for (const { engine } of pool.workers.values()) engines.add(engine.backend);
  };
  onSteps?.(resumeFrom?.position.steps ?? 0);
  const listeners = listener === undefined ? [] : [listener];
  const training: TrainingOptions = {
    job,
    dataset,
    optimizer,
    stepRunner,
    pool,
    // The feed comes first: the terminal shows the shares that it counts.
    report: combineListeners(feed, reportShares(report, feed), bottleneckReporter, metrics, ...listeners),
    clock,
    signal,
    async save(record) {
      history.push(record);
      noteEngines();
      await saver?.save(record);
    },
    ...(resumeFrom === undefined ? {} : { resumeFrom }),
    async checkpoint(when, position, totals) {
      onSteps?.(position.steps);
      await files?.checkpoints.record(when, position, totals);
    },
  };
  if (files !== null) endWhenLockLost(files.folder.lock.lost, fail);
  const trained = await trainWithCallbacks(training, callbacks);
  const computed = contributions.all;
  const line = describeContributions(computed);
  if (line !== null) report.info(line, { event: 'contributions', samples: computed });
  const { finalModel: final, stopReason } = callbacks;
  const isStopped = signal.aborted || callbacks.stopSignal.aborted;
  if (isStopped && !signal.aborted) {
    const at = isAtEpochEnd(trained, dataset, job) ? `epoch ${trained.epochs}` : `step ${trained.steps}`;
    report.info(`The run ends after ${at}: ${stopReason ?? ''}.`, { event: 'stoppedEarly' });
  }
  if (!isStopped && files !== null) {
    saver?.assertSaved();
    await removeEarlierCheckpoints(files.folder.checkpointDir, trained.steps);
  }
  // The average has no values before the first step.
  const last = trained.steps > 0 ? optimizer.averagedWeights : optimizer.weights;
  const { weights, epoch } = final ?? { weights: last, epoch: trained.epochs };
  let scores = trained.last === null ? null : scoresOf(trained.last);
  if (final !== null || (isStopped && trained.steps > 0)) {
    // Workers were sent the step's own weights, or parts of them.
    if (weights !== optimizer.weights) stepRunner.rewind();
    scores = await saveStoppedRun({
      trained,
      measured: final?.scores,
      job,
      dataset,
      weights,
      penalty: optimizer.penalty(weights),
      stepRunner: options.isTerminated?.() === true ? null : stepRunner,
      report,
      save: (measured) => save({ weights, epochs: epoch, scores: measured }),
    });
  }
  noteEngines();
  if (files !== null && trained.steps > 0) {
    const { version: gradcast } = program;
    const steps = trained.steps;
    const about = { gradcast, job, weightNames, dataset, history, scores, steps, isStopped, engines };
    await addModelCard(files.folder, about, report);
  }
  return {
    job,
    weightNames,
    dataset,
    custom: prepared.custom,
    folder: files?.folder.dir ?? null,
    weights: weights.slice(),
    history,
    steps: trained.steps,
    scores,
    canResume: files !== null && (files.checkpoints.hasWritten || resumeFrom !== undefined),
    engines,
  };
}

/** A reporter whose steps have the shares of the workers. */
const reportShares = (report: Reporter, feed: Pick<HostedRun['feed'], 'shares'>): TrainingListener => ({
  ...report,
  stepFinished: (event) => report.stepFinished({ ...event, shares: () => feed.shares }),
});

/** Describes the model beside its files. A run does not fail for want of its description. */
async function addModelCard(
  { modelDir, lock }: RunFolder,
  run: DescribedRun,
  report: Pick<Reporter, 'info' | 'warn'>,
): Promise<void> {
  try {
    const isWritten = await writeModelCard(modelDir, run, { beforeReplace: () => lock.check() });
    if (!isWritten)
      report.info(`README.md in ${modelDir} is left as it is: gradcast did not write it like that.`);
  } catch (error) {
    report.warn(`The model is saved without a description: ${errorMessage(error)}`);
  }
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
  /** Measures the model; null if there is no time for it. */
  readonly stepRunner: Pick<StepRunner, 'evaluate'> | null;
  readonly report: Pick<Reporter, 'progress' | 'warn'>;
  /** Writes the model, with its scores if they are not null. */
  readonly save: (scores: TestScores | null) => Promise<void>;
}

/**
 * Saves the model of a stopped run. If there were steps since the last epoch, the model is saved without scores, evaluated, and
 * saved again.
 * @returns scores of the saved weights; null if no worker or no time was left to compute them
 */
export async function saveStoppedRun(stopped: StoppedRun): Promise<TestScores | null> {
  const { trained, job, dataset, weights, penalty = 0, stepRunner, report, save } = stopped;
  const { steps, last } = trained;
  const atEnd = last !== null && isAtEpochEnd(trained, dataset, job) ? scoresOf(last) : null;
  const { measured = atEnd } = stopped;
  if (measured !== null) {
    await save(measured);
    return measured;
  }
  await save(null);
  if (stepRunner === null) return null;
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

/** Ends a run with an error when another process takes its folder: no step is computed any more. */
function endWhenLockLost(lost: AbortSignal, fail: HostedRun['fail']): void {
  const end = (): void => fail(lost.reason as Error);
  lost.addEventListener('abort', end);
  if (lost.aborted) end();
}

/** Weights of a model to save. */
interface TrainedWeights {
  readonly weights: Float32Array;
  readonly epochs: number;
  readonly scores: TestScores | null;
}

function saveWeights(
  folder: RunFolder,
  { job, weightNames: names, dataset, custom }: PreparedRun,
  version: string,
  { weights, epochs, scores }: TrainedWeights,
): Promise<void> {
  const training = { ...trainedBy(dataset, version), epochs };
  const model = modelToSave(job, { weights, names }, training, scores);
  return saveModel(
    folder.modelDir,
    { ...model, customCode: custom },
    { beforeReplace: () => folder.lock.check() },
  );
}

/** @throws Error if the codec rounds: an exact result must not depend on which worker sends a value */
function checkExact({
  exact,
  codec,
  optionName = keyName,
}: Pick<RunSettings, 'exact' | 'codec' | 'optionName'>): void {
  if (exact !== true || codec === 'float32' || codec === 'auto') return;
  const name = typeof codec === 'string' ? codec : codecLabel({ codec: codec.up, updateCodec: codec.down });
  throw new Error(
    `${optionName('exact')} needs ${optionName('codec')} float32: ${name} rounds, and the error depends on the worker that sends it.`,
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
const createRunConfig = (
  config: object,
  { job, dataset, checkpointEvery }: PreparedRun,
  token: string | undefined,
  { version }: { readonly version: string },
): object => ({
  gradcast: version,
  node: process.version,
  started: new Date().toISOString(),
  ...config,
  epochs: job.epochs,
  batchSize: job.batchSize,
  checkpointEvery,
  optimizer: job.optimizer,
  token: token === undefined ? 'none' : 'set',
  dataset: { name: dataset.name, description: dataset.description },
});
