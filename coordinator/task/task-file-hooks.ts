import { readFile } from 'node:fs/promises';
import type { InitializeHook, LoadHook, ResolveHook } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripTypes } from './strip-types.ts';

// Module hooks for `register` of node:module, which run in a thread of their own: Node 20 imports task files in TypeScript, and
// 'gradcast' is the running program, also where it is not installed.

/** Data of register(). */
export interface TaskFileHooksData {
  /** URLs of the entries of this package, by name: 'gradcast', 'gradcast/worker'. */
  readonly entries: Readonly<Record<string, string>>;
}

let entries: TaskFileHooksData['entries'] = {};

export const initialize: InitializeHook<TaskFileHooksData> = (data) => {
  ({ entries } = data);
};

export const resolve: ResolveHook = (specifier, context, nextResolve) => {
  const url = Object.hasOwn(entries, specifier) ? entries[specifier] : undefined;
  return url === undefined ? nextResolve(specifier, context) : { url, shortCircuit: true };
};

/** Strips the types of .ts and .mts files outside of packages, without moving a line or column. */
export const load: LoadHook = async (url, context, nextLoad) => {
  const { pathname, protocol } = new URL(url);
  if (protocol !== 'file:' || !/\.m?ts$/.test(pathname) || pathname.includes('/node_modules/'))
    return nextLoad(url, context);
  const file = fileURLToPath(url);
  const source = stripTypes(await readFile(file, 'utf8'), relative(process.cwd(), file));
  return { format: 'module', source, shortCircuit: true };
};
