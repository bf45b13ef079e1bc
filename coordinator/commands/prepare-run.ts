import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { CustomBundle } from '../../shared/engine/custom-objects.ts';
import { readTrustedBundle } from '../../shared/model/custom-code.ts';
import type { Job } from '../../shared/model/job.ts';
import { keyName, type OptionName } from '../../shared/util/option-names.ts';
import { describeShapes } from '../../shared/model/tensors.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { datasetDigest } from '../data/dataset-digest.ts';
import { pickDataFlags, type DataFlags } from '../data/load-dataset.ts';
import { renameDataOptions } from '../data/option-words.ts';
import { withClassWeights, type ClassWeights } from '../data/class-weights.ts';
import { describeDatasetProblems } from '../data/dataset-warnings.ts';
import { transposeImages } from '../data/transpose.ts';
import { completeSettings } from '../model/compile-config.ts';
import { describeFarTargets } from '../model/far-targets.ts';
import { checkSettings, defaultBatchSize, prepareJob, type PreparedJob } from '../model/model.ts';
import type { OutputSettings } from '../model/output-settings.ts';
import type { Reporter } from '../report/reporter.ts';
import { loadCheckpoint, type CallbackStates, type Checkpoint } from '../run/checkpoint.ts';
import { DEFAULT_CHECKPOINT_INTERVAL, type CheckpointInterval } from '../run/checkpoint-writer.ts';
import type { RunLock } from '../run/hold-lock.ts';
import {
  createRunFolder,
  readCheckpointInterval,
  readDataFlags,
  reopenRunFolder,
  type NewRunFolder,
  type RunFolder,
} from '../run/run-folder.ts';
import { acquireRunLock } from '../run/run-lock.ts';
import { readRegularFile } from '../files/read-file.ts';
import type { OptimizerChanges, OptimizerOptions } from '../optimizer/hyperparameters.ts';
import { createOptimizer, type Optimizer } from '../optimizer/optimizer.ts';
import { openBundle, readCustomFile } from '../task/custom-bundle.ts';
import { asResumed, isLimitedData, openTaskData } from '../task/data.ts';
import { readTaskModel } from '../task/model.ts';
import type { TaskData, TaskModel } from '../task/task.ts';
import { RunFinishedError } from '../training/errors.ts';
import type { ResumePoint } from '../training/progress.ts';
import { checkRepeatedFlags } from './resumed-settings.ts';

export interface PrepareRunFlags extends Omit<DataFlags, 'data' | 'seed'> {
  /**
   * Folder of a run to resume. Of the other flags, only data, epochs and checkpointEvery are used then; the others may repeat those of
   * the run.
   */
  readonly resume?: string | undefined;
  readonly epochs?: number | undefined;
  /** @default 128, or fewer for a small table */
  readonly batchSize?: number | undefined;
  /** @default 1337 */
  readonly seed?: number | undefined;
  readonly data?: TaskData | undefined;
  readonly model?: TaskModel | undefined;
  /** File whose weights take the place of those of the model's file. */
  readonly weights?: string | undefined;
  /** Optimizer, or changes of the one that the model was compiled with. @default that one, else Adadelta, scaled to the batch size */
  readonly optimizer?: OptimizerOptions | OptimizerChanges | undefined;
  /** @default that of the model's file, else by the model's last activation and the data */
  readonly loss?: OutputSettings['loss'];
  /** @default those of the model's file, else `accuracy` for classes, `mae` for values */
  readonly metrics?: OutputSettings['metrics'];
  /** Factors of the outputs' losses. @default those of the model's file, else 1 */
  readonly lossWeights?: OutputSettings['lossWeights'];
  /** File with layers, losses and metrics of the user. @default none */
  readonly customObjects?: string | undefined;
  /** Hashes of custom code that a resumed run may run. @default none */
  readonly trust?: readonly string[] | undefined;
  /** Weights of training samples by their class. */
  readonly classWeights?: ClassWeights | undefined;
  /** Folder for model, history and checkpoints. @default none: nothing is written */
  readonly out?: string | undefined;
  /** Whether this folder may hold a run without a checkpoint, which begins anew. @default false */
  readonly mayHaveBegun?: boolean | undefined;
  /** Whether the result must be the same, bit for bit, for any number of workers. */
  readonly exact?: boolean | undefined;
  /** Samples that an exact run computes at a time. @default 16 */
  readonly microShard?: number | undefined;
  /** @default the resumed run's interval, else DEFAULT_CHECKPOINT_INTERVAL */
  readonly checkpointEvery?: CheckpointInterval | undefined;
  /** Names of options in errors. @default their keys */
  readonly optionName?: OptionName | undefined;
}

const DEFAULT_EPOCHS = 12;
const DEFAULT_BATCH_SIZE = 128;
const DEFAULT_SEED = 1337;
const DEFAULT_MICRO_SHARD = 16;

/** A new run, or an earlier one at its checkpoint. */
export interface PreparedRun extends PreparedJob {
  /** See datasetDigest. */
  readonly dataDigest: string;
  /** Weights that the data set has by class. */
  readonly classWeights?: ClassWeights | undefined;
  /** Custom code of the job. */
  readonly custom?: CustomBundle | undefined;
  /** In the job's layout; training changes them in place. */
  readonly weights: Float32Array;
  readonly optimizer: Optimizer;
  readonly resumeFrom?: ResumePoint;
  /** State of the callbacks of a resumed run. */
  readonly callbackStates?: CallbackStates | undefined;
  /** Records of the finished epochs. */
  readonly history?: readonly EpochRecord[];
  /** Engine fingerprint of a resumed exact run. */
  readonly engineFingerprint?: string | undefined;
  readonly checkpointEvery: CheckpointInterval;
  /** Creates the run's folder, or reopens the existing one; null if the run has none. */
  readonly openFolder: (() => Promise<RunFolder>) | null;
  /** Releases the folder's lock. Call after the last write. */
  readonly release: () => Promise<void>;
}

/** @throws Error with a sentence if the data, the model or the checkpoint cannot be used, or another process runs it */
export function prepareRun(
  flags: PrepareRunFlags,
  report: Reporter,
  signal: AbortSignal,
): Promise<PreparedRun> {
  return flags.resume === undefined
    ? prepareNewRun(flags, report, signal)
    : lockAndResumeRun(flags.resume, flags, report, signal);
}

async function prepareNewRun(
  flags: PrepareRunFlags,
  report: Reporter,
  signal: AbortSignal,
): Promise<PreparedRun> {
  const { classWeights, model, weights: weightsFile, optionName = keyName } = flags;
  const { data, seed = DEFAULT_SEED, epochs = DEFAULT_EPOCHS, customObjects } = flags;
  const custom = customObjects === undefined ? undefined : await readCustomFile(customObjects);
  if (weightsFile !== undefined && model === undefined) {
    throw new Error(
      `${optionName('weights')} needs ${optionName('model')} with the model that the weights belong to.`,
    );
  }
  let opened: Promise<Dataset> | null = null;
  const openData = (): Promise<Dataset> =>
    (opened ??= openTaskData(data, { ...pickFileFlags(flags), seed, optionName }, report, signal));
  const file = await readTaskModel(model, weightsFile, openData);
  // Errors of options come before the data is loaded, which can take minutes.
  const { taken, problems, ...settings } = completeSettings(
    { ...pickSettings(flags), optionName },
    file,
    typeof model === 'string' ? basename(model) : 'the model',
  );
  checkSettings({ ...settings, custom });
  const stored = await openData();
  const isLimited = flags.limit !== undefined || isLimitedData(data);
  for (const line of describeDatasetProblems(stored, isLimited))
    report.warn(renameDataOptions(line, optionName));
  if (taken !== null) report.info(taken);
  const dataset = classWeights === undefined ? stored : withClassWeights(stored, classWeights);
  const prepared = await prepareJob(dataset, {
    ...settings,
    custom,
    batchSize: flags.batchSize ?? (file === null ? defaultBatchSize(dataset) : DEFAULT_BATCH_SIZE),
    seed,
    epochs,
    topology: file?.topology,
    weights: file?.weights ?? undefined,
    microShard: flags.exact === true ? (flags.microShard ?? DEFAULT_MICRO_SHARD) : undefined,
    // An optimizer by another name has no use for it.
    optimizerState: flags.optimizer?.name === undefined ? file?.optimizerState : null,
  });
  // A default model begins at the mean of its target, a model with weights where they are.
  const startsAnew = file?.weights === null;
  const farTargets = startsAnew ? await describeFarTargets(prepared.job, dataset.train) : [];
  const { optimizerStart } = prepared;
  if (optimizerStart !== null) report.info(optimizerStart.sentence);
  const optimizer = createOptimizer(prepared.job.optimizer, layoutOf(prepared.job.layout));
  const { weights } = optimizer;
  weights.set(prepared.initialWeights);
  for (const [name, values] of Object.entries(optimizerStart?.vectors ?? {}))
    optimizer.state[name]?.set(values);
  const { out, mayHaveBegun = false } = flags;
  const earlier = mayHaveBegun ? { signal, info: (line: string): void => report.info(line) } : null;
  let folder: NewRunFolder | null = null;
  return {
    ...prepared,
    notes: [...prepared.notes, ...problems, ...farTargets],
    dataDigest: datasetDigest(stored),
    custom,
    classWeights,
    weights,
    optimizer,
    checkpointEvery: flags.checkpointEvery ?? DEFAULT_CHECKPOINT_INTERVAL,
    openFolder:
      out === undefined ? null : async () => (folder = await createRunFolder(out, earlier, optionName)),
    release: async () => folder?.release(),
  };
}

/** Flags of files besides the data itself. */
function pickFileFlags(flags: PrepareRunFlags): Omit<DataFlags, 'data' | 'seed'> {
  return { ...pickDataFlags({ ...flags, data: undefined }), limit: flags.limit };
}

const pickSettings = ({ optimizer, loss, metrics, lossWeights }: PrepareRunFlags) => ({
  optimizer,
  loss,
  metrics,
  lossWeights,
});

async function lockAndResumeRun(
  dir: string,
  flags: PrepareRunFlags,
  report: Reporter,
  signal: AbortSignal,
): Promise<PreparedRun> {
  // Checked first, since acquiring the lock would create the folder.
  if (!existsSync(dir)) throw new Error(`There is no folder ${dir} to resume a run from.`);
  const lock = await acquireRunLock(resolve(dir), { signal, info: (line) => report.info(line) });
  const release = (): Promise<void> => lock.release();
  try {
    return { ...(await resumeRun(dir, flags, report, signal, lock)), release };
  } catch (error) {
    await release();
    throw error;
  }
}

async function resumeRun(
  dir: string,
  flags: PrepareRunFlags,
  report: Reporter,
  signal: AbortSignal,
  lock: RunLock,
): Promise<Omit<PreparedRun, 'release'>> {
  const { data, epochs, checkpointEvery, optionName = keyName } = flags;
  const checkpoint = await loadCheckpoint(join(dir, 'checkpoints'), (line) => report.warn(line));
  const { position, tally, engineFingerprint, classWeights } = checkpoint;
  const job = { ...checkpoint.job, epochs: epochs ?? checkpoint.job.epochs };
  if (position.epoch > job.epochs) throw new RunFinishedError(dir, job.epochs, optionName);
  const { seed } = job;
  const custom = await reopenCustomCode(dir, job, flags);
  // Whether images are transposed is found out by the digest.
  const limit = job.data.trainSamples;
  const recorded = await readDataFlags(dir);
  const flagsOfFiles = {
    ...recorded,
    ...pickFileFlags(flags),
    transpose: undefined,
    limit,
    seed,
    optionName,
  };
  const stored = await openTaskData(asResumed(data, limit), flagsOfFiles, report, signal);
  const { dataset: unweighted, dataDigest } = matchCheckpointData(stored, checkpoint, optionName);
  checkSameData(checkpoint, unweighted, optionName);
  const dataset = classWeights === undefined ? unweighted : withClassWeights(unweighted, classWeights);
  // The run keeps its optimizer; this job is replaced by the checkpoint's.
  const prepared = await prepareJob(dataset, {
    ...job,
    custom,
    optimizer: undefined,
    loss: job.outputs.map(({ loss }) => loss),
  });
  const repeated = await readTaskModel(flags.model, flags.weights, () => Promise.resolve(stored));
  const model =
    repeated === null
      ? prepared
      : await prepareJob(dataset, { ...job, custom, optimizer: undefined, topology: repeated.topology });
  const { weightNames: names } = prepared;
  checkRepeatedFlags(flags, { job: checkpoint.job, classWeights, names, layout: model.job.layout });
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  if (checkpoint.plateau !== undefined) optimizer.plateau?.restore(checkpoint.plateau);
  const weights = restoreVectors(checkpoint, optimizer, prepared.initialWeights.length);
  const folder = await reopenRunFolder(resolve(dir), position.epoch, lock);
  const earlierInterval = await readCheckpointInterval(folder.dir);
  if (checkpointEvery !== undefined) await folder.updateConfig({ checkpointEvery });
  report.info(`Resuming ${dir} after step ${position.steps}, in epoch ${position.epoch} of ${job.epochs}`);
  return {
    ...prepared,
    job,
    dataset,
    dataDigest,
    custom,
    classWeights,
    weights,
    optimizer,
    engineFingerprint,
    resumeFrom: { position, tally, last: folder.history.at(-1) ?? null },
    callbackStates: checkpoint.callbacks,
    history: folder.history,
    checkpointEvery: checkpointEvery ?? earlierInterval ?? DEFAULT_CHECKPOINT_INTERVAL,
    openFolder: () => Promise.resolve(folder),
  };
}

/**
 * Custom code of a run to resume, from its folder. Its file, if it is named again, has to be the same.
 * @throws Error with a sentence if the code is not trusted, or is another
 */
async function reopenCustomCode(
  dir: string,
  { customCode }: Job,
  { customObjects, trust = [] }: Pick<PrepareRunFlags, 'customObjects' | 'trust'>,
): Promise<CustomBundle | undefined> {
  if (customObjects !== undefined) {
    const bundle = await readCustomFile(customObjects);
    if (bundle.code.hash === customCode?.hash) return bundle;
    throw new Error(
      `${customObjects} is not the custom code that the run in ${dir} began with${customCode === undefined ? ': it has none' : ''}. A resumed run keeps its code.`,
    );
  }
  if (customCode === undefined) return undefined;
  const { code, bytes } = await readTrustedBundle(customCode, trust, dir, (file) =>
    readRegularFile(join(dir, file)),
  );
  return openBundle({ hash: code.hash, bytes });
}

/**
 * Finds the data that a checkpoint was made with: as stored, or transposed.
 * @throws Error if neither has the checkpoint's digest
 */
function matchCheckpointData(
  stored: Dataset,
  { dataDigest: expected }: Checkpoint,
  optionName: OptionName,
): { dataset: Dataset; dataDigest: string } {
  const dataDigest = datasetDigest(stored);
  if (expected === undefined || expected === dataDigest) return { dataset: stored, dataDigest };
  const transposed = transposeImages(stored);
  if (datasetDigest(transposed) === expected) return { dataset: transposed, dataDigest: expected };
  throw new Error(
    `The run was started with other files than those now in ${stored.name}. Use ${optionName('data')} with the same files.`,
  );
}

/** Checks that the data is the checkpoint's. Early checkpoints have no digest; only for them the name must be the same. */
function checkSameData(
  { job: { data, inputs: expectedInputs }, dataDigest }: Checkpoint,
  { name, train, test, inputs }: Dataset,
  optionName: OptionName,
): void {
  // Early versions put 'idx:' before the name of a folder.
  const expectedName = data.name.replace(/^idx:/, '');
  const found = `${train.count} and ${test.count} samples of ${describeShapes(inputs)}`;
  const expected = `${data.trainSamples} and ${data.testSamples} samples of ${describeShapes(expectedInputs)}`;
  if (found === expected && (dataDigest !== undefined || name === expectedName)) return;
  throw new Error(
    `The run was started with other data (${expectedName}, ${expected}; this is ${name}, ${found}). Use ${optionName('data')} with the same data.`,
  );
}

/** Copies a checkpoint's vectors into the optimizer. @returns the weights */
function restoreVectors({ vectors }: Checkpoint, optimizer: Optimizer, length: number): Float32Array {
  const vectorNamed = (name: string): Float32Array => {
    const vector = vectors[name];
    if (vector?.length === length) return vector;
    throw new Error(`The checkpoint does not hold ${length} values of ${name}.`);
  };
  for (const [name, values] of Object.entries(optimizer.state)) values.set(vectorNamed(name));
  optimizer.weights.set(vectorNamed('weights'));
  return optimizer.weights;
}
