import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { customAlphabet } from 'nanoid';
import writeFileAtomic from 'write-file-atomic';
import * as v from 'valibot';
import { epochRecord, type EpochRecord } from '../../shared/protocol/messages.ts';
import { LOCK_NAMES, lockRun } from './run-lock.ts';

/** What is there before a run has made anything. */
const LEFT_BY_NOTHING: ReadonlySet<string> = new Set(['config.json', 'checkpoints', ...LOCK_NAMES]);
const BEFORE_THE_FIRST_STEP = /^checkpoint-0+\.bin$/;

/** Where a run leaves what it has made. */
export interface RunFolder {
  readonly dir: string;
  readonly modelDir: string;
  readonly checkpointDir: string;
  writeConfig(config: object): Promise<void>;
  appendHistory(record: EpochRecord): Promise<void>;
  /** Makes room for another run, if nothing has come of this one. */
  discard(): Promise<void>;
}

/** The folder of a new run, which no other process may go on with until it is released. */
export interface NewFolder extends RunFolder {
  release(): Promise<void>;
}

/** The folder of a run that is gone on with. */
export interface ReopenedFolder extends RunFolder {
  /** What was written of the epochs that are done. */
  readonly history: readonly EpochRecord[];
}

// Nothing that a shell, a file system or a reader could take for something else.
const runId = customAlphabet('abcdefghijkmnpqrstuvwxyz23456789', 6);

/** runs/<date>-<id> */
export const defaultRunDir = (now: Date): string =>
  join('runs', `${now.toISOString().slice(0, 10)}-${runId()}`);

/**
 * Makes the folder of a new run, and takes it for this process.
 * @throws Error if it holds a run already, or cannot be written
 */
export async function createRunFolder(path: string): Promise<NewFolder> {
  const dir = resolve(path);
  await mkdir(dir, { recursive: true }).catch((error: unknown) => {
    throw new Error(`The folder ${dir} cannot be made (${String(error)}). Choose another with --out.`);
  });
  // Made, not looked for: of two runs that start at the same time only one can have the folder.
  await writeFile(join(dir, 'config.json'), '{}\n', { flag: 'wx' }).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new Error(`${dir} holds a run already. Choose another folder with --out.`);
    }
    throw new Error(`The folder ${dir} cannot be written (${String(error)}). Choose another with --out.`);
  });
  return { ...runFolder(dir), ...(await lockRun(dir)) };
}

/**
 * Opens the folder of an earlier run, which this process has locked. Epochs that are going to be done again leave its history.
 * @param epoch the first one to be done, from 1
 */
export async function reopenRunFolder(dir: string, epoch: number): Promise<ReopenedFolder> {
  const path = historyOf(dir);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new Error(`${path} cannot be read: ${String(error)}`, { cause: error });
  });
  const history = text.split('\n').flatMap((line) => recordOf(line) ?? []);
  const kept = history.filter((record) => record.epoch < epoch);
  await writeFileAtomic(path, kept.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return { ...runFolder(dir), history: kept };
}

/** A line that was cut off by whatever ended the run is no record. */
function recordOf(line: string): EpochRecord | null {
  try {
    return v.parse(epochRecord, JSON.parse(line));
  } catch {
    return null;
  }
}

const historyOf = (dir: string): string => join(dir, 'history.jsonl');

const runFolder = (dir: string): RunFolder => ({
  dir,
  modelDir: join(dir, 'model'),
  checkpointDir: join(dir, 'checkpoints'),
  writeConfig: (config) => writeFileAtomic(join(dir, 'config.json'), `${JSON.stringify(config, null, 2)}\n`),
  appendHistory: (record) => appendFile(historyOf(dir), `${JSON.stringify(record)}\n`),
  async discard() {
    const [files, checkpoints] = await Promise.all(
      [dir, join(dir, 'checkpoints')].map((path) => readdir(path).catch((): string[] => [])),
    );
    const nothing =
      files?.every((file) => LEFT_BY_NOTHING.has(file)) === true &&
      checkpoints?.every((file) => BEFORE_THE_FIRST_STEP.test(file)) === true;
    if (nothing) await rm(dir, { recursive: true, force: true });
  },
});
