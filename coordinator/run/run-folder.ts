import { readdir, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { customAlphabet } from 'nanoid';
import * as v from 'valibot';
import { flagName, type OptionName } from '../../shared/util/option-names.ts';
import { errorMessage } from '../../shared/util/error-message.ts';
import { epochRecord, type EpochRecord } from '../../shared/protocol/messages.ts';
import { recordedDataOptions, type RecordedDataOptions } from '../data/recorded-options.ts';
import type { CheckpointInterval } from './checkpoint-writer.ts';
import { appendLine, removeTemporaryFiles, TEMPORARY_NAME, writeFileAtomic } from '../files/write-file.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { makeFolder } from '../files/make-folder.ts';
import { readRegularFile } from '../files/read-file.ts';
import type { RunLock } from './hold-lock.ts';
import { LOCK_FILES, acquireRunLock, type LockOptions } from './run-lock.ts';

const CONFIG_FILE = 'config.json';
const HISTORY_FILE = 'history.jsonl';
/** Files of a run that has not finished a step. */
const INITIAL_FILES: ReadonlySet<string> = new Set([CONFIG_FILE, 'checkpoints', ...LOCK_FILES]);
const CUSTOM_CODE = /^custom-[0-9a-f]{64}\.js$/;
const INITIAL_CHECKPOINT = /^checkpoint-0+\.bin$/;

/** Folder of a run's model, checkpoints, configuration and history. */
export interface RunFolder {
  readonly dir: string;
  readonly modelDir: string;
  readonly checkpointDir: string;
  /** Lock that this process holds on the folder. */
  readonly lock: Pick<RunLock, 'check' | 'lost'>;
  writeConfig(config: object): Promise<void>;
  /** Changes some settings in config.json. */
  updateConfig(changes: object): Promise<void>;
  appendHistory(record: EpochRecord): Promise<void>;
  /** Removes the folder if the run has not finished a step. */
  discardIfUnused(): Promise<void>;
}

/** Folder of a new run, locked until it is released. */
export interface NewRunFolder extends RunFolder {
  release(): Promise<void>;
}

/** Folder of a resumed run. */
export interface ReopenedRunFolder extends RunFolder {
  /** Records of the finished epochs. */
  readonly history: readonly EpochRecord[];
}

// Without characters that a reader confuses: l, o, 0, 1.
const runId = customAlphabet('abcdefghijkmnpqrstuvwxyz23456789', 6);

/** Default folder of a new run: runs/<date>-<id>. */
export const defaultRunDir = (now: Date): string =>
  join('runs', `${now.toISOString().slice(0, 10)}-${runId()}`);

/**
 * Makes the folder of a new run, and locks it for this process.
 * @param earlier options of the lock if the folder may hold a run that ended before its first checkpoint; null if it may hold none
 * @throws Error with a sentence if it holds a run already, or cannot be written
 */
export async function createRunFolder(
  path: string,
  earlier: LockOptions | null = null,
  optionName: OptionName = flagName,
): Promise<NewRunFolder> {
  const dir = resolve(path);
  await makeFolder(dir).catch((error: unknown) => {
    throw new Error(`${errorMessage(error)} Choose another with ${optionName('out')}.`, { cause: error });
  });
  // 'wx' fails if the file exists, so that only one of two runs that start at the same time gets the folder.
  await writeFile(configPath(dir), '{}\n', { flag: 'wx' }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      if (earlier !== null) return;
      throw new Error(`${dir} holds a run already. Choose another folder with ${optionName('out')}.`);
    }
    throw new Error(
      `The folder ${dir} cannot be written: ${describeDiskError(error)}. Choose another with ${optionName('out')}.`,
    );
  });
  const lock = await acquireRunLock(dir, earlier ?? {});
  if (earlier !== null && (existsSync(historyPath(dir)) || existsSync(join(dir, 'model')))) {
    await lock.release();
    throw new Error(
      `${dir} holds a run without a checkpoint to resume from. Choose another folder, or rename this one.`,
    );
  }
  return { ...runFolder(dir, lock), release: () => lock.release() };
}

/**
 * Opens the folder of an earlier run, which this process has locked. Removes epochs from its history that will be repeated.
 * @param epoch first epoch to train, from 1
 */
export async function reopenRunFolder(dir: string, epoch: number, lock: RunLock): Promise<ReopenedRunFolder> {
  const path = historyPath(dir);
  const history = await readHistory(dir);
  await removeTemporaryFiles(dir, [CONFIG_FILE, HISTORY_FILE]);
  const finished = history.filter((record) => record.epoch < epoch);
  await writeFileAtomic(path, finished.map((record) => `${JSON.stringify(record)}\n`).join(''), {
    beforeReplace: () => lock.check(),
  });
  return { ...runFolder(dir, lock), history: finished };
}

const interval = v.union([
  v.object({ steps: v.pipe(v.number(), v.safeInteger(), v.minValue(1)) }),
  v.object({ ms: v.pipe(v.number(), v.minValue(1)) }),
]);

/** Checkpoint interval in a run's config.json, or null. */
export async function readCheckpointInterval(dir: string): Promise<CheckpointInterval | null> {
  const config = await readConfig(dir);
  const { success, output } = v.safeParse(interval, config.checkpointEvery);
  return success ? output : null;
}

/** Options of a run's data, without its source; none if config.json cannot be read. */
export async function readDataFlags(dir: string): Promise<RecordedDataOptions> {
  const { success, output } = v.safeParse(recordedDataOptions, await readConfig(dir));
  return success ? output : {};
}

const recordedSource = v.object({ data: v.optional(v.string()), ...recordedDataOptions.entries });
/** Data of a run and how it is read, by the names of the command line. */
export type RecordedSource = v.InferOutput<typeof recordedSource>;

/**
 * Data that a model was trained on, from the config.json of its run.
 * @param modelDir folder of the run, or of its model
 * @returns null if it was not files or a named data set, or cannot be read
 */
export async function readRecordedSource(modelDir: string): Promise<RecordedSource | null> {
  const dir = existsSync(configPath(modelDir)) ? modelDir : dirname(resolve(modelDir));
  const config = await readConfig(dir);
  // Early runs have their options at the top, with a path that may be relative to another folder.
  if (config.source === null || Object.keys(config).length === 0) return null;
  const { success, output } = v.safeParse(recordedSource, config.source ?? config);
  return success ? output : null;
}

/** Whether a folder is one of a run. */
export const isRunFolder = (dir: string): boolean => existsSync(configPath(dir));

/**
 * Records of a run's finished epochs; none if it has no history yet.
 * @throws Error with a sentence if history.jsonl cannot be read
 */
export async function readHistory(dir: string): Promise<EpochRecord[]> {
  const path = historyPath(dir);
  const text = await readRegularFile(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new Error(`${path} cannot be read: ${describeDiskError(error)}.`, { cause: error });
  });
  return text
    .toString()
    .split('\n')
    .flatMap((line) => parseRecord(line) ?? []);
}

/** Settings in a run's config.json; empty if it cannot be read. */
export async function readConfig(dir: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const json: unknown = JSON.parse((await readRegularFile(configPath(dir))).toString('utf8'));
    return v.parse(v.record(v.string(), v.unknown()), json);
  } catch {
    return {};
  }
}

/** Parses a line of the history. @returns null for an incomplete line, which a killed process may leave */
function parseRecord(line: string): EpochRecord | null {
  try {
    // JSON has null for NaN, the value of a metric that is not defined.
    return v.parse(
      epochRecord,
      JSON.parse(line, (_, value: unknown) => value ?? NaN),
    );
  } catch {
    return null;
  }
}

const historyPath = (dir: string): string => join(dir, HISTORY_FILE);
const configPath = (dir: string): string => join(dir, CONFIG_FILE);

const runFolder = (dir: string, lock: RunLock): RunFolder => ({
  dir,
  lock,
  modelDir: join(dir, 'model'),
  checkpointDir: join(dir, 'checkpoints'),
  writeConfig: (config) => writeConfig(dir, config, lock),
  updateConfig: async (changes) => writeConfig(dir, { ...(await readConfig(dir)), ...changes }, lock),
  async appendHistory(record) {
    await lock.check();
    await appendLine(historyPath(dir), JSON.stringify(record));
  },
  async discardIfUnused() {
    const isLocked = await lock.check().then(
      () => true,
      () => false,
    );
    if (!isLocked) return;
    const files = await readdir(dir).catch((): string[] => []);
    const checkpoints = await readdir(join(dir, 'checkpoints')).catch((): string[] => []);
    const isUnused =
      files
        .map((file) => file.replace(TEMPORARY_NAME, ''))
        .every((file) => INITIAL_FILES.has(file) || CUSTOM_CODE.test(file)) &&
      checkpoints.every((file) => INITIAL_CHECKPOINT.test(file));
    if (isUnused) await rm(dir, { recursive: true, force: true });
  },
});

const writeConfig = (dir: string, config: object, lock: RunLock): Promise<void> =>
  writeFileAtomic(configPath(dir), `${JSON.stringify(config, null, 2)}\n`, {
    beforeReplace: () => lock.check(),
  });

export interface EpochSaverOptions {
  readonly folder: Pick<RunFolder, 'dir' | 'appendHistory'>;
  /** Writes the model after an epoch. */
  readonly saveModel: (record: EpochRecord) => Promise<void>;
  readonly warn: (line: string) => void;
}

/** Writes history and model after each epoch. If the disk is full, training continues, and later epochs write the rest. */
export class EpochSaver {
  readonly #options: EpochSaverOptions;
  readonly #unwritten: EpochRecord[] = [];
  #failure: Error | null = null;

  constructor(options: EpochSaverOptions) {
    this.#options = options;
  }

  /** Warns instead of rejecting. */
  async save(record: EpochRecord): Promise<void> {
    const { folder, saveModel, warn } = this.#options;
    this.#unwritten.push(record);
    try {
      for (let next = this.#unwritten[0]; next !== undefined; next = this.#unwritten[0]) {
        await folder.appendHistory(next);
        this.#unwritten.shift();
      }
      await saveModel(record);
      this.#failure = null;
    } catch (error) {
      const sentence = `The model of epoch ${record.epoch} is not saved in ${folder.dir}: ${errorMessage(error)}`;
      this.#failure = new Error(sentence, { cause: error });
      warn(sentence);
    }
  }

  /** @throws Error with a sentence if the last epoch is not on disk */
  assertSaved(): void {
    if (this.#failure !== null) throw this.#failure;
  }
}
