import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Dataset } from '../shared/data/dataset.ts';
import { layoutOf } from '../shared/model/layout.ts';
import type { EpochRecord } from '../shared/protocol/messages.ts';
import { digestOf } from './data/data-digest.ts';
import { misleadingLines } from './data/misleading.ts';
import { openDataset } from './data/open-dataset.ts';
import { transposed } from './data/transpose.ts';
import { prepareJob, type PreparedJob } from './model.ts';
import type { Report } from './report/report.ts';
import { loadCheckpoint, type Checkpoint } from './storage/checkpoint.ts';
import { DEFAULT_CHECKPOINT_INTERVAL, type CheckpointInterval } from './storage/checkpoint-writer.ts';
import type { RunLock } from './storage/held-lock.ts';
import {
  createRunFolder,
  defaultRunDir,
  readCheckpointInterval,
  reopenRunFolder,
  type NewFolder,
  type RunFolder,
} from './storage/run-folder.ts';
import { lockRun } from './storage/run-lock.ts';
import { readModelFile } from './storage/topology-file.ts';
import { createOptimizer, type Optimizer } from './training/optimizer.ts';
import type { TrainingStart } from './training/train.ts';

export interface BeginFlags {
  /** Folder of a run to go on with; of the others, only data and epochs matter then. */
  readonly resume?: string;
  readonly epochs?: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly data?: string;
  /** Whether rows and columns of each image are exchanged. */
  readonly transpose?: boolean;
  readonly limit?: number;
  readonly model?: string;
  readonly out?: string;
  /** Whether the bits shall not depend on the workers. */
  readonly exact?: boolean;
  readonly microShard: number;
  /** @default that of the resumed run, else DEFAULT_CHECKPOINT_INTERVAL */
  readonly checkpointEvery?: CheckpointInterval;
}

const DEFAULT_EPOCHS = 12;

/** A run before its next step: a new one, or an earlier one where it had got to. */
export interface Begun extends PreparedJob {
  readonly dataset: Dataset;
  /** See digestOf. */
  readonly dataDigest: string;
  /** In the job's layout; training changes them in place. */
  readonly weights: Float32Array;
  readonly optimizer: Optimizer;
  readonly start?: TrainingStart;
  /** Of the epochs that are done. */
  readonly history?: readonly EpochRecord[];
  /** Of an exact run that is gone on with. */
  readonly knownAnswer?: string | undefined;
  readonly checkpointEvery: CheckpointInterval;
  /** Makes the run's folder, or takes the one that is there. */
  readonly openFolder: () => Promise<RunFolder>;
  /** Lets other processes have the folder, once this one does not write to it any more. */
  readonly release: () => Promise<void>;
}

/** A run that is to be resumed has no step left. */
export class RunFinishedError extends Error {
  constructor(dir: string, epochs: number) {
    super(
      `The run in ${dir} is finished (${epochs} of ${epochs} epochs). To train it longer, give more: --epochs ${2 * epochs}.`,
    );
    this.name = 'RunFinishedError';
  }
}

/** @throws Error with a sentence if the data, the model or the checkpoint cannot be used, or the run is going on elsewhere */
export function beginRun(flags: BeginFlags, report: Report, signal: AbortSignal): Promise<Begun> {
  return flags.resume === undefined
    ? newRun(flags, report, signal)
    : resumedRun(flags.resume, flags, report, signal);
}

async function newRun(flags: BeginFlags, report: Report, signal: AbortSignal): Promise<Begun> {
  const dataset = await openDataset(flags, report, signal);
  warnOfMisleading(dataset, flags.limit, report);
  const file = flags.model === undefined ? null : await readModelFile(flags.model);
  const epochs = flags.epochs ?? DEFAULT_EPOCHS;
  const prepared = await prepareJob(dataset, {
    ...flags,
    epochs,
    topology: file?.topology,
    weights: file?.weights ?? undefined,
    microShard: flags.exact === true ? flags.microShard : undefined,
  });
  const optimizer = createOptimizer(prepared.job.optimizer, layoutOf(prepared.job.layout));
  const { weights } = optimizer.resident;
  weights.set(prepared.initialWeights);
  let folder: NewFolder | null = null;
  return {
    ...prepared,
    dataset,
    dataDigest: digestOf(dataset),
    weights,
    optimizer,
    checkpointEvery: flags.checkpointEvery ?? DEFAULT_CHECKPOINT_INTERVAL,
    openFolder: async () => (folder = await createRunFolder(flags.out ?? defaultRunDir(new Date()))),
    release: async () => folder?.release(),
  };
}

async function resumedRun(
  dir: string,
  flags: BeginFlags,
  report: Report,
  signal: AbortSignal,
): Promise<Begun> {
  // Not made by taking it: the person is told that there is nothing to resume.
  if (!existsSync(dir)) throw new Error(`There is no folder ${dir} to resume a run from.`);
  const lock = await lockRun(resolve(dir), { signal, info: (line) => report.info(line) });
  const release = (): Promise<void> => lock.release();
  try {
    return { ...(await goOn(dir, flags, report, signal, lock)), release };
  } catch (error) {
    await release();
    throw error;
  }
}

async function goOn(
  dir: string,
  { data, epochs, checkpointEvery }: BeginFlags,
  report: Report,
  signal: AbortSignal,
  lock: RunLock,
): Promise<Omit<Begun, 'release'>> {
  const checkpoint = await loadCheckpoint(join(dir, 'checkpoints'), (line) => report.warn(line));
  const { position, tally, knownAnswer } = checkpoint;
  const job = { ...checkpoint.job, epochs: epochs ?? checkpoint.job.epochs };
  if (position.epoch > job.epochs) throw new RunFinishedError(dir, job.epochs);
  const { seed } = job;
  const stored = await openDataset(
    { ...(data === undefined ? {} : { data }), limit: job.data.trainSamples, seed },
    report,
    signal,
  );
  const { dataset, dataDigest } = asBefore(stored, checkpoint);
  checkSameData(checkpoint, dataset);
  const prepared = await prepareJob(dataset, job);
  const optimizer = createOptimizer(job.optimizer, layoutOf(job.layout));
  const weights = restore(checkpoint, optimizer, prepared.initialWeights.length);
  const folder = await reopenRunFolder(resolve(dir), position.epoch, lock);
  const before = await readCheckpointInterval(folder.dir);
  if (checkpointEvery !== undefined) await folder.updateConfig({ checkpointEvery });
  report.info(`Resuming ${dir} after step ${position.steps}, in epoch ${position.epoch} of ${job.epochs}`);
  return {
    ...prepared,
    job,
    dataset,
    dataDigest,
    weights,
    optimizer,
    knownAnswer,
    start: { position, tally, last: folder.history.at(-1) ?? null },
    history: folder.history,
    checkpointEvery: checkpointEvery ?? before ?? DEFAULT_CHECKPOINT_INTERVAL,
    openFolder: () => Promise.resolve(folder),
  };
}

function warnOfMisleading(dataset: Dataset, limit: number | undefined, report: Report): void {
  for (const line of misleadingLines(dataset, limit !== undefined)) report.warn(line);
}

/**
 * The data that a checkpoint was made with: as the files have them, or transposed, whichever has its digest.
 * @throws Error if neither has
 */
function asBefore(
  stored: Dataset,
  { dataDigest: before }: Checkpoint,
): { dataset: Dataset; dataDigest: string } {
  const dataDigest = digestOf(stored);
  if (before === undefined || before === dataDigest) return { dataset: stored, dataDigest };
  const turned = transposed(stored);
  if (digestOf(turned) === before) return { dataset: turned, dataDigest: before };
  throw new Error(
    `The run was begun on other files than those now in ${stored.name}. Use --data with the same.`,
  );
}

/** Contents count, not names: the folder of the files may have been renamed. Early checkpoints know the name only. */
function checkSameData(
  { job: { data }, dataDigest }: Checkpoint,
  { name, train, test, sampleShape }: Dataset,
): void {
  // Names of a person's own data had 'idx:' before them once.
  const before = data.name.replace(/^idx:/, '');
  const found = `${train.count} and ${test.count} samples of [${sampleShape.join(', ')}]`;
  const wanted = `${data.trainSamples} and ${data.testSamples} samples of [${data.sampleShape.join(', ')}]`;
  if (found === wanted && (dataDigest !== undefined || name === before)) return;
  throw new Error(
    `The run was begun on other data (${before}, ${wanted}; this is ${name}, ${found}). Use --data with the same.`,
  );
}

/** @returns the weights, beside the optimizer's vectors, which are put back in place */
function restore({ vectors }: Checkpoint, { state, resident }: Optimizer, length: number): Float32Array {
  const vectorOf = (name: string): Float32Array => {
    const vector = vectors[name];
    if (vector?.length === length) return vector;
    throw new Error(`The checkpoint does not hold ${length} values of ${name}.`);
  };
  for (const [name, values] of Object.entries(state)) values.set(vectorOf(name));
  resident.weights.set(vectorOf('weights'));
  return resident.weights;
}
