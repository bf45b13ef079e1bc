import { Module } from 'node:module';
import { constants } from 'node:os';

/**
 * RTLD_NODELETE of dlfcn.h on Linux and macOS, which Node does not name: the library stays loaded after it is closed.
 * Other platforms have no such flag.
 */
const RTLD_NODELETE = { linux: 0x1000, darwin: 0x80 }[process.platform as string] ?? 0;
const DLOPEN_FLAGS = constants.dlopen.RTLD_LAZY | RTLD_NODELETE;

/**
 * Loads an addon so that it stays in memory until the process ends. Node closes the addons of a thread when the thread
 * ends; TensorFlow's library has threads of its own and functions that run at exit, which would then run in memory that
 * is no longer there (a segmentation fault). Later `require` calls for the file return the same addon.
 * @throws Error if the file cannot be loaded
 */
export function loadResidentAddon(file: string, require: NodeJS.Require): void {
  const path = require.resolve(file);
  if (require.cache[path] !== undefined) return;
  const addon = new Module(path);
  addon.filename = path;
  process.dlopen(addon, path, DLOPEN_FLAGS);
  addon.loaded = true;
  require.cache[path] = addon;
}

/**
 * Loads libraries that are no addons, so that they stay and a library that opens them by name finds these.
 * @returns those that could not be loaded
 */
export function loadResidentLibraries(paths: readonly string[]): string[] {
  return paths.filter((path) => {
    try {
      process.dlopen({ exports: {} }, path, DLOPEN_FLAGS);
      return false;
    } catch (error) {
      // Loaded, and found to be no addon: what was wanted.
      return !(error as Error).message.includes('self-register');
    }
  });
}
