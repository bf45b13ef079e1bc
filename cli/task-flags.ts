import type { Command } from 'commander';
import type { Callback } from '../coordinator/callbacks/callback.ts';
import type { Task } from '../coordinator/task/task.ts';
import { flagName } from '../shared/util/option-names.ts';
import { OPTIMIZER_FLAG_KEYS, readOptimizerFlags } from './optimizer-options.ts';

/** Flags as commander parses them. */
type Flags = Readonly<Record<string, unknown>>;

/** Settings of a task that a resumed run keeps from its beginning. */
const KEPT_BY_RUNS: readonly string[] = ['model', 'weights', 'batchSize', 'seed', 'exact', 'microShard'];

/** Parts of a task file for which there are no flags. */
export interface OwnParts extends Pick<Task, 'callbacks' | 'data' | 'lossWeights' | 'model'> {
  /** The file as it was named. */
  readonly file?: string;
}

/** A run as the command line and its task file describe it. */
export interface ParsedRun<RunFlags> {
  readonly flags: RunFlags;
  readonly own?: OwnParts;
}

/**
 * Flags of a run with the settings of a task file for those that were not given on the command line.
 * @param isGiven whether a flag was given, so that it is no default
 * @throws Error with a sentence if a flag does not fit the file; the errors of readOptimizerFlags
 * @example
 * withTask(flags, await loadTaskFile('task.ts'), (key) => command.getOptionValueSource(key) === 'cli');
 */
export function withTask(flags: Flags, task: Task, isGiven: (key: string) => boolean): ParsedRun<Flags> {
  const { data, optimizer, callbacks, lossWeights, model, ...others } = task;
  const isFlag = typeof model === 'string';
  const settings = Object.entries({ ...others, ...(isFlag ? { model } : {}) }).filter(
    ([key, value]) =>
      value !== undefined && !isGiven(key) && !(flags.resume !== undefined && KEPT_BY_RUNS.includes(key)),
  );
  const kept = Object.entries(flags).filter(([key]) => !OPTIMIZER_FLAG_KEYS.includes(key));
  const ofData = withDataOf(data, isGiven);
  const ownModel = isFlag || isGiven('model') || flags.resume !== undefined ? undefined : model;
  return {
    flags: {
      ...Object.fromEntries([...kept, ...settings]),
      ...ofData.flags,
      ...optimizerOf(optimizer, flags),
    },
    own: { callbacks, lossWeights, data: ofData.own, model: ownModel },
  };
}

/** Flags of how files are read, by the names of the options of a task's data. */
const DATA_FLAGS: Readonly<Record<string, string>> = {
  source: 'data',
  test: 'testData',
  ...Object.fromEntries(
    [
      ...['format', 'limit', 'transpose', 'imageSize', 'channels', 'fit', 'validationSplit'],
      ...['target', 'ignore', 'types', 'tokenizer', 'sequenceLength'],
    ].map((key) => [key, key]),
  ),
};

/** The data of the command line, or that of the file with the options of the command line. */
function withDataOf(
  data: Task['data'],
  isGiven: (key: string) => boolean,
): { readonly flags: Flags; readonly own?: Task['data'] } {
  if (data === undefined || isGiven('data')) return { flags: {} };
  if (typeof data === 'object' && ('x' in data || 'train' in data)) {
    const option = Object.values(DATA_FLAGS).find(isGiven);
    if (option === undefined) return { flags: {}, own: data };
    throw new Error(
      `${flagName(option)} is for data that is read from files. The task file has its data itself.`,
    );
  }
  const options = Object.entries(typeof data === 'string' ? { source: data } : data)
    .map(([key, value]) => [DATA_FLAGS[key] ?? key, value] as const)
    .filter(([flag, value]) => value !== undefined && !isGiven(flag));
  return { flags: Object.fromEntries(options) };
}

/** The optimizer of the command line, or that of the file with the hyperparameters of the command line. */
function optimizerOf(optimizer: Task['optimizer'], flags: Flags): Flags {
  const isChanged = OPTIMIZER_FLAG_KEYS.some((key) => flags[key] !== undefined);
  const own = typeof optimizer === 'string' ? { name: optimizer } : optimizer;
  if (!isChanged) return own === undefined ? {} : { optimizer: own };
  if (own === undefined || flags.optimizer !== undefined) return { optimizer: readOptimizerFlags(flags) };
  return { optimizer: { ...own, ...readOptimizerFlags({ ...flags, optimizer: own.name }) } };
}

/**
 * Callbacks of a task file, then those of the command line, which take the place of those with the same name.
 * @example
 * withCallbacks(task.callbacks, callbacksFrom(flags));
 */
export function withCallbacks(
  ofFile: readonly Callback[] = [],
  ofFlags: readonly Callback[],
): readonly Callback[] {
  const names = ofFlags.map(({ name }) => name);
  return [...ofFile.filter(({ name }) => name === undefined || !names.includes(name)), ...ofFlags];
}

/**
 * Flags of a command that trains, with its optimizer and the settings of a task file.
 * @param prepare makes the build that the file is read with
 * @throws the errors of loadTaskFile and withTask
 */
export async function readRunFlags<RunFlags extends object>(
  file: string,
  flags: RunFlags,
  command: Pick<Command, 'getOptionValueSource'>,
  prepare: () => Promise<void>,
): Promise<ParsedRun<RunFlags>> {
  await prepare();
  const { loadTaskFile } = await import('../coordinator/task/task-file.ts');
  const task = await loadTaskFile(file);
  const isGiven = (key: string): boolean => ['cli', 'env'].includes(command.getOptionValueSource(key) ?? '');
  const { flags: merged, own } = withTask(flags as Flags, task, isGiven);
  return { flags: merged as RunFlags, own: { ...own, file } };
}

/** Adds the argument of a task file to a command that trains. */
export const addTaskArgument = (command: Command): Command =>
  command.argument(
    '[task]',
    'task file: a .ts, .js or .mjs module that exports defineTask({ ... }), or .json; options of the command line replace its settings',
  );
