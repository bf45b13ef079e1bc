import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Dataset } from '../../shared/data/dataset.ts';
import { flagName } from '../../shared/util/option-names.ts';
import { describeShapes } from '../../shared/model/tensors.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { datasetDigest } from '../data/dataset-digest.ts';
import { openDataset, pickDataFlags, type DataFlags } from '../data/load-dataset.ts';
import { withClassWeights, type ClassWeights } from '../data/class-weights.ts';
import { describeDatasetProblems } from '../data/dataset-warnings.ts';
import { transposeImages } from '../data/transpose.ts';
import { completeSettings } from '../model/compile-config.ts';
import { checkSettings, defaultBatchSize, prepareJob, type PreparedJob } from '../model/model.ts';
import type { Reporter } from '../report/reporter.ts';
import { loadCheckpoint, type CallbackStates, type Checkpoint } from '../run/checkpoint.ts';
import { DEFAULT_CHECKPOINT_INTERVAL, type CheckpointInterval } from '../run/checkpoint-writer.ts';
import type { RunLock } from '../run/hold-lock.ts';
import {
  createRunFolder,
  defaultRunDir,
  readCheckpointInterval,
  readDataFlags,
  reopenRunFolder,
  type NewRunFolder,
  type RunFolder,
} from '../run/run-folder.ts';
import { acquireRunLock } from '../run/run-lock.ts';
import { readModelFile } from '../model-file/model-file.ts';
import type { OptimizerChanges, OptimizerOptions } from '../optimizer/hyperparameters.ts';
import { createOptimizer, type Optimizer } from '../optimizer/optimizer.ts';
import type { ResumePoint } from '../training/progress.ts';
import { checkRepeatedFlags } from './resumed-settings.ts';

export interface PrepareRunFlags extends DataFlags {
  /**
   * Folder of a run to resume. Of the other flags, only data, epochs and checkpointEvery are used then; optimizer, loss, metrics and
   * classWeights may repeat those of the run.
   */
  readonly resume?: string;
  readonly epochs?: number;
  /** @default 128, or fewer for a small table */
  readonly batchSize?: number | undefined;
  readonly model?: string;
  /** File whose weights take the place of those of the model's file. */
  readonly weights?: string;
  /** Optimizer, or changes of the one that the model was compiled with. @default that one, else Adadelta, scaled to the batch size */
  readonly optimizer?: OptimizerOptions | OptimizerChanges | undefined;
  /** Loss by Keras' name. @default that of the model's file, else by the model's last activation and the data */
  readonly loss?: string;
  /** Metrics by Keras' names. @default those of the model's file, else `accuracy` for classes, `mae` for values */
  readonly metrics?: readonly string[];
  /** Weights of training samples by their class. */
  readonly classWeights?: ClassWeights;
  readonly out?: string;
  /** Whether the result must be the same, bit for bit, for any number of workers. */
  readonly exact?: boolean;
  readonly microShard: number;
  /** @default the resumed run's interval, else DEFAULT_CHECKPOINT_INTERVAL */
  readonly checkpointEvery?: CheckpointInterval;
}

const DEFAULT_EPOCHS = 12;
const DEFAULT_BATCH_SIZE = 128;

/** A new run, or an earlier one at its checkpoint. */
export interface PreparedRun extends PreparedJob {
  /** See datasetDigest. */
  readonly dataDigest: string;
  /** Weights that the data set has by class. */
  readonly classWeights?: ClassWeights | undefined;
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
  /** Creates the run's folder, or reopens the existing one. */
  readonly openFolder: () => Promise<RunFolder>;
  /** Releases the folder's lock. Call after the last write. */
  readonly release: () => Promise<void>;
}

/** The run to resume has no step left. */
export class RunFinishedError extends Error {
  constructor(dir: string, epochs: number) {
    super(
      `The run in ${dir} is finished (${epochs} of ${epochs} epochs). To train it longer, use --epochs ${2 * epochs}.`,
    );
    this.name = 'RunFinishedError';
  }
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
  const { classWeights, model, weights: weightsFile } = flags;
  if (weightsFile !== undefined && model === undefined) {
    throw new Error('--weights needs --model with the model that the weights belong to.');
  }
  const file = model === undefined ? null : await readModelFile(model, weightsFile);
  // Errors of options come before the data is loaded, which can take minutes.
  const { taken, problems, ...settings } = completeSettings(
    { ...pickSettings(flags), optionName: flagName },
    file,
    basename(model ?? ''),
  );
  checkSettings(settings);
  const stored = await openDataset(
    { ...pickDataFlags(flags), seed: flags.seed, limit: flags.limit },
    report,
    signal,
  );
  warnAboutMisleadingData(stored, flags.limit, report);
  if (taken !== null) report.info(taken);
  const dataset = classWeights === undefined ? stored : withClassWeights(stored, classWeights);
  const epochs = flags.epochs ?? DEFAULT_EPOCHS;
  const prepared = await prepareJob(dataset, {
    ...settings,
    batchSize: flags.batchSize ?? (file === null ? defaultBatchSize(dataset) : DEFAULT_BATCH_SIZE),
    seed: flags.seed,
    epochs,
    topology: file?.topology,
    weights: file?.weights ?? undefined,
    microShard: flags.exact === true ? flags.microShard : undefined,
    // An optimizer by another name has no use for it.
    optimizerState: flags.optimizer?.name === undefined ? file?.optimizerState : null,
  });
  const { optimizerStart } = prepared;
  if (optimizerStart !== null) report.info(optimizerStart.sentence);
  const optimizer = createOptimizer(prepared.job.optimizer, layoutOf(prepared.job.layout));
  const { weights } = optimizer;
  weights.set(prepared.initialWeights);
  for (const [name, values] of Object.entries(optimizerStart?.vectors ?? {}))
    optimizer.state[name]?.set(values);
  let folder: NewRunFolder | null = null;
  return {
    ...prepared,
    notes: [...prepared.notes, ...problems],
    dataDigest: datasetDigest(stored),
    classWeights,
    weights,
    optimizer,
    checkpointEvery: flags.checkpointEvery ?? DEFAULT_CHECKPOINT_INTERVAL,
    openFolder: async () => (folder = await createRunFolder(flags.out ?? defaultRunDir(new Date()))),
    release: async () => folder?.release(),
  };
}

const pickSettings = ({ optimizer, loss, metrics }: PrepareRunFlags) => ({ optimizer, loss, metrics });

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
  const { epochs, checkpointEvery } = flags;
  const checkpoint = await loadCheckpoint(join(dir, 'checkpoints'), (line) => report.warn(line));
  const { position, tally, engineFingerprint, classWeights } = checkpoint;
  const job = { ...checkpoint.job, epochs: epochs ?? checkpoint.job.epochs };
  if (position.epoch > job.epochs) throw new RunFinishedError(dir, job.epochs);
  const { seed } = job;
  const stored = await openDataset(
    // Whether images are transposed is found out by the digest.
    {
      ...(await readDataFlags(dir)),
      ...pickDataFlags(flags),
      transpose: undefined,
      limit: job.data.trainSamples,
      seed,
    },
    report,
    signal,
  );
  const { dataset: unweighted, dataDigest } = matchCheckpointData(stored, checkpoint);
  checkSameData(checkpoint, unweighted);
  const dataset = classWeights === undefined ? unweighted : withClassWeights(unweighted, classWeights);
  // The run keeps its optimizer; this job is replaced by the checkpoint's.
  const prepared = await prepareJob(dataset, {
    ...job,
    optimizer: undefined,
    loss: job.outputs.map(({ loss }) => loss),
  });
  checkRepeatedFlags(flags, { job: checkpoint.job, classWeights, names: prepared.weightNames });
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

function warnAboutMisleadingData(dataset: Dataset, limit: number | undefined, report: Reporter): void {
  for (const line of describeDatasetProblems(dataset, limit !== undefined)) report.warn(line);
}

/**
 * Finds the data that a checkpoint was made with: as stored, or transposed.
 * @throws Error if neither has the checkpoint's digest
 */
function matchCheckpointData(
  stored: Dataset,
  { dataDigest: expected }: Checkpoint,
): { dataset: Dataset; dataDigest: string } {
  const dataDigest = datasetDigest(stored);
  if (expected === undefined || expected === dataDigest) return { dataset: stored, dataDigest };
  const transposed = transposeImages(stored);
  if (datasetDigest(transposed) === expected) return { dataset: transposed, dataDigest: expected };
  throw new Error(
    `The run was started with other files than those now in ${stored.name}. Use --data with the same files.`,
  );
}

/** Checks that the data is the checkpoint's. Early checkpoints have no digest; only for them the name must be the same. */
function checkSameData(
  { job: { data, inputs: expectedInputs }, dataDigest }: Checkpoint,
  { name, train, test, inputs }: Dataset,
): void {
  // Early versions put 'idx:' before the name of a folder.
  const expectedName = data.name.replace(/^idx:/, '');
  const found = `${train.count} and ${test.count} samples of ${describeShapes(inputs)}`;
  const expected = `${data.trainSamples} and ${data.testSamples} samples of ${describeShapes(expectedInputs)}`;
  if (found === expected && (dataDigest !== undefined || name === expectedName)) return;
  throw new Error(
    `The run was started with other data (${expectedName}, ${expected}; this is ${name}, ${found}). Use --data with the same data.`,
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
