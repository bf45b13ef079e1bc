import { existsSync, readFileSync } from 'node:fs';
import { register } from 'node:module';
import { dirname, extname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { errorMessage } from '../../shared/util/error-message.ts';
import { callbacksFromJson } from '../callbacks/from-options.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { readRegularFile } from '../files/read-file.ts';
import { stripTypes } from './strip-types.ts';
import { checkTask, type Task, type TaskData } from './task.ts';

const MODULES: ReadonlySet<string> = new Set(['.ts', '.mts', '.js', '.mjs']);
const MAX_JSON_BYTES = 2 ** 26;

/**
 * Reads a task file: a module in TypeScript or JavaScript whose default export is a task, or JSON. Paths of model, weights and data
 * are relative to the file.
 * @throws Error with a sentence that begins with the file, and the line if it is known
 * @example
 * ```ts
 * const task = await loadTaskFile('task.ts');
 * ```
 */
export async function loadTaskFile(path: string): Promise<Task> {
  const name = relative(process.cwd(), resolve(path)) || path;
  const extension = extname(path);
  if (extension !== '.json' && !MODULES.has(extension))
    throw new Error(`${name} is no task file. Its name has to end in .ts, .js, .mjs or .json.`);
  const text = await readTaskFile(path, name);
  const value = extension === '.json' ? parseJson(text, name) : await importTask(path, name, text);
  try {
    return withPathsOf(dirname(resolve(path)), checkTask(value, 'The task'));
  } catch (error) {
    throw new Error(`${name}${lineOfSetting(text, errorMessage(error))}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

async function readTaskFile(path: string, name: string): Promise<string> {
  try {
    return (await readRegularFile(path, MAX_JSON_BYTES)).toString('utf8');
  } catch (error) {
    throw new Error(`${name} cannot be read: ${describeDiskError(error)}.`, { cause: error });
  }
}

/** A task in JSON, with callbacks by their names. */
function parseJson(text: string, name: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { message } = error as SyntaxError;
    const [, position] = /at position (\d+)/.exec(message) ?? [];
    const place = position === undefined ? '' : placeAt(text, Number(position));
    throw new Error(`${name}${place} is not valid JSON: ${message.replace(/ in JSON at position.*/, '')}.`, {
      cause: error,
    });
  }
  const { callbacks } = (value ?? {}) as { readonly callbacks?: unknown };
  if (callbacks === undefined) return value;
  try {
    return { ...(value as object), callbacks: callbacksFromJson(callbacks) };
  } catch (error) {
    throw new Error(`${name}${lineOfSetting(text, 'callbacks')}: ${errorMessage(error)}`, { cause: error });
  }
}

let areHooksRegistered = false;

async function importTask(path: string, name: string, text: string): Promise<unknown> {
  if (!areHooksRegistered) registerHooks();
  areHooksRegistered = true;
  let module: { readonly default?: unknown };
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as typeof module;
  } catch (error) {
    // Node does not say where a syntax error of a module is: the parser throws one that does.
    if (error instanceof SyntaxError) stripTypes(text, name);
    throw new Error(withPlace(error, name, text), { cause: error });
  }
  if (module.default === undefined)
    throw new Error(`${name} has no default export. End it with export default defineTask({ ... }).`);
  return module.default;
}

/** Makes Node import TypeScript, and 'gradcast' as this program, from now on. */
function registerHooks(): void {
  const root = packageRoot();
  const { name, exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
  };
  const entries = Object.entries(exports).map(([path, target]) => {
    const file = typeof target === 'string' ? target : target.default;
    return [`${name}${path.slice(1)}`, pathToFileURL(join(root, file)).href] as const;
  });
  register(pathToFileURL(join(root, HOOKS)).href, { data: { entries: Object.fromEntries(entries) } });
}

const HOOKS = 'dist/coordinator/task/task-file-hooks.js';

/** Folder of this package: the one above this file that has the build. */
function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, HOOKS))) return folder;
    if (folder === dirname(folder))
      throw new Error('The build of gradcast is missing. Reinstall the package.');
  }
}

/** Message of an error of a module that begins with the file, line and column it came from. */
function withPlace(error: unknown, name: string, text: string): string {
  const message = errorMessage(error);
  // A syntax error has its place.
  if (error instanceof SyntaxError && /^[^\n]+:\d+:\d+: /.test(message)) return message;
  const frames = (error instanceof Error ? (error.stack ?? '') : '').matchAll(
    /(file:\/\/[^\s)]+):(\d+):(\d+)/g,
  );
  for (const [, url = '', line, column] of frames) {
    const file = fileURLToPath(url);
    // What follows are the callers of the import.
    if (file.startsWith(packageRoot() + sep)) break;
    if (file.includes(`${sep}node_modules${sep}`)) continue;
    return `${relative(process.cwd(), file)}:${line}:${column}: ${message}`;
  }
  // An import that fails has no place either, but the name of what is imported.
  const [, imported] = /'([^']+)'/.exec(message) ?? [];
  const position = imported === undefined ? -1 : text.indexOf(imported);
  return `${name}${position === -1 ? '' : placeAt(text, position)}: ${message}`;
}

/** The line of the setting that a sentence names, as ':3'; '' if it is not found. */
function lineOfSetting(text: string, sentence: string): string {
  const [, unknown, wrong] = /has no setting (\w+)|(?:^|: )(\w+)(?:[.\w]*) is wrong/.exec(sentence) ?? [];
  const setting = unknown ?? wrong ?? (/^\w+$/.test(sentence) ? sentence : undefined);
  if (setting === undefined) return '';
  const found = new RegExp(`(?:^|[{,\\s])["']?${setting}["']?\\s*[:,(}]`, 'm').exec(text);
  if (found === null) return '';
  return `:${text.slice(0, found.index + found[0].indexOf(setting)).split('\n').length}`;
}

/** Line and column of a position, as ':3:5'. */
function placeAt(text: string, position: number): string {
  const lines = text.slice(0, position).split('\n');
  return `:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
}

/** A task whose paths do not depend on the working directory. */
function withPathsOf(folder: string, task: Task): Task {
  const { model, weights, data } = task;
  return {
    ...task,
    ...(typeof model === 'string' ? { model: resolve(folder, model) } : {}),
    ...(weights === undefined ? {} : { weights: resolve(folder, weights) }),
    ...(data === undefined ? {} : { data: dataOf(folder, data) }),
  };
}

function dataOf(folder: string, data: TaskData): TaskData {
  if (typeof data === 'string') return pathOrName(folder, data);
  if ('x' in data || 'train' in data) return data;
  const { source, test, tokenizer } = data;
  return {
    ...data,
    ...(source === undefined ? {} : { source: pathOrName(folder, source) }),
    ...(test === undefined ? {} : { test: resolve(folder, test) }),
    ...(tokenizer === undefined ? {} : { tokenizer: resolve(folder, tokenizer) }),
  };
}

/** A path, unless it is a name such as fashion-mnist, which no file has. */
function pathOrName(folder: string, source: string): string {
  const path = resolve(folder, source);
  return existsSync(path) || /[\\/.]/.test(source) ? path : source;
}
