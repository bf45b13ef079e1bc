import type { Machine as AnyMachine } from './package-manager.js';

/** A machine on which a browser is found or installed. */
export interface Machine extends AnyMachine {
  /** Usual paths of browsers. */
  readonly usualPaths: readonly string[];
  readonly starts: (path: string) => boolean;
  /** Playwright's own installer: program and first arguments. */
  readonly playwright: readonly [string, ...string[]];
}

/** Path of an installed browser; null if there is none. */
export function findBrowser(machine?: Pick<Machine, 'env' | 'usualPaths'>): string | null;
/** Finds a browser that starts, or installs one. Returns its path, or advice for the user. */
export function getBrowser(
  machine?: Machine,
): { readonly path: string; readonly advice?: never } | { readonly advice: string; readonly path?: never };
