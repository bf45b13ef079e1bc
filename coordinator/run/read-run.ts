import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import * as v from 'valibot';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import { hasCheckpoint, lastCheckpointSteps, loadCheckpoint } from './checkpoint.ts';
import { LOCK_TIMEOUT_SECONDS } from './hold-lock.ts';
import { LOCK_FILE, readHolder } from './lock-file.ts';
import { identifyThisProcess, isProcessAlive, isProcessVisible } from './process-identity.ts';
import { isRunFolder, readConfig, readHistory } from './run-folder.ts';

/** `finished` includes runs that early stopping has ended. An `interrupted` run has epochs left, and no process works on it. */
export type RunState = 'running' | 'finished' | 'interrupted';

/** State and figures of a run, read from its folder. */
export interface RunRecord {
  readonly dir: string;
  readonly state: RunState;
  /** Whether the run is interrupted and has a checkpoint. */
  readonly canResume: boolean;
  /** Start, ISO 8601; null if config.json does not say. */
  readonly started: string | null;
  /** Name of the model's topology, such as mnist_cnn; null before the first epoch. */
  readonly model: string | null;
  /** Name of the data set; null if config.json does not say. */
  readonly data: string | null;
  /** Epochs that the run is to have; null if config.json does not say. */
  readonly epochs: number | null;
  /** Steps up to the last checkpoint; null without one. */
  readonly steps: number | null;
  /** Training time of the finished epochs. */
  readonly seconds: number;
  /** Records of the finished epochs. */
  readonly history: readonly EpochRecord[];
  /** Options of config.json by name; those of an object as `optimizer.name`. */
  readonly options: Readonly<Record<string, unknown>>;
}

const configSchema = v.object({
  started: v.fallback(v.nullable(v.string()), null),
  epochs: v.fallback(v.nullable(v.number()), null),
  dataset: v.fallback(v.nullable(v.object({ name: v.string() })), null),
});

const modelSchema = v.object({
  modelTopology: v.object({ config: v.object({ name: v.string() }) }),
});
const manifestSchema = v.object({
  weightsManifest: v.array(v.object({ paths: v.array(v.string()) })),
});

/**
 * Runs in a folder, the earliest first: those in its folders, or the one that it is itself.
 * @throws Error with a sentence if the folder cannot be read
 */
export async function listRuns(dir: string): Promise<RunRecord[]> {
  if (isRunFolder(dir)) return [await readRun(dir)];
  const names = await readdir(dir).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Error(`There is no folder ${dir}. Name the one that your runs are in: gradcast runs <dir>`);
    throw new Error(`${dir} cannot be read: ${describeDiskError(error)}.`, { cause: error });
  });
  const dirs = names.map((name) => join(dir, name)).filter(isRunFolder);
  const runs = await Promise.all(dirs.map(readRun));
  const key = ({ started, dir: path }: RunRecord): string => `${started ?? ''} ${path}`;
  return runs.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/**
 * Reads the folder of a run, and changes nothing in it.
 * @param path folder of the run, or its model/
 * @throws Error with a sentence if it is none
 */
export async function readRun(path: string): Promise<RunRecord> {
  const dir = isRunFolder(path) ? path : dirname(resolve(path));
  if (dir !== path && (basename(resolve(path)) !== 'model' || !isRunFolder(dir)))
    throw new Error(
      `${path} is not the folder of a run: it has no config.json. List runs with: gradcast runs`,
    );
  const config = await readConfig(dir);
  const { started, epochs, dataset } = v.parse(configSchema, config);
  const history = await readHistory(dir);
  const state = await stateOf(dir, history, epochs);
  return {
    dir,
    state,
    canResume: state === 'interrupted' && hasCheckpoint(dir),
    started,
    model: await modelName(dir),
    data: dataset?.name ?? null,
    epochs,
    steps: await lastCheckpointSteps(join(dir, 'checkpoints')),
    seconds: history.reduce((sum, { seconds }) => sum + seconds, 0),
    history,
    options: flatten(config),
  };
}

/** Weights of a run's saved model, in the order of its files; null if it has none. */
export async function readWeights(dir: string): Promise<Float32Array | null> {
  const { success, output } = v.safeParse(manifestSchema, await readModelJson(dir));
  if (!success) return null;
  const parts: Uint8Array[] = [];
  for (const path of output.weightsManifest.flatMap(({ paths }) => paths))
    parts.push(await readRegularFile(join(dir, 'model', basename(path))));
  const bytes = Buffer.concat(parts);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + (bytes.length & ~3)));
}

async function stateOf(
  dir: string,
  history: readonly EpochRecord[],
  epochs: number | null,
): Promise<RunState> {
  if (await isLocked(dir)) return 'running';
  if (epochs !== null && (history.at(-1)?.epoch ?? 0) >= epochs) return 'finished';
  return (await hasStoppedEarly(dir)) ? 'finished' : 'interrupted';
}

/** Whether a process works on the run: one that this machine sees, or one elsewhere that has lately renewed its lock. */
async function isLocked(dir: string): Promise<boolean> {
  const file = join(dir, LOCK_FILE);
  const holder = await readHolder(file).catch(() => null);
  if (holder === null) return false;
  if (isProcessVisible(holder, await identifyThisProcess())) return isProcessAlive(holder.pid, holder.start);
  const changed = await stat(file).catch(() => null);
  return changed !== null && Date.now() - changed.mtimeMs < 1000 * LOCK_TIMEOUT_SECONDS;
}

/** Whether a callback has ended the run before its last epoch, as its last checkpoint says. */
async function hasStoppedEarly(dir: string): Promise<boolean> {
  if (!hasCheckpoint(dir)) return false;
  const checkpoint = await loadCheckpoint(join(dir, 'checkpoints'), () => undefined).catch(() => null);
  const states = Object.values(checkpoint?.callbacks?.states ?? {});
  return states.some(({ stoppedEpoch }) => typeof stoppedEpoch === 'number' && stoppedEpoch > 0);
}

async function modelName(dir: string): Promise<string | null> {
  const { success, output } = v.safeParse(modelSchema, await readModelJson(dir));
  return success ? output.modelTopology.config.name : null;
}

async function readModelJson(dir: string): Promise<unknown> {
  const file = join(dir, 'model', 'model.json');
  if (!existsSync(file)) return null;
  try {
    return JSON.parse((await readRegularFile(file)).toString('utf8'));
  } catch {
    return null;
  }
}

/** Options of one level: those of an object in it have its name before theirs. */
function flatten(config: Readonly<Record<string, unknown>>, prefix = ''): Record<string, unknown> {
  const flat: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      Object.assign(flat, flatten(value as Record<string, unknown>, `${prefix}${name}.`));
    else flat[prefix + name] = value;
  }
  return flat;
}
