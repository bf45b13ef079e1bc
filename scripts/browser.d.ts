/** A machine on which a browser is found or installed. */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Usual paths of browsers. */
  readonly usualPaths: readonly string[];
  readonly isRoot: boolean;
  /** @returns whether the program exited with code 0 */
  readonly run: (program: string, args: readonly string[]) => boolean;
  readonly starts: (path: string) => boolean;
  /** Playwright's own installer: program and first arguments. */
  readonly playwright: readonly [string, ...string[]];
  readonly log: (line: string) => void;
}

/** Path of an installed browser; null if there is none. */
export function findBrowser(machine?: Pick<Machine, 'env' | 'usualPaths'>): string | null;
/** Finds a browser that starts, or installs one. Returns its path, or advice for the user. */
export function getBrowser(
  machine?: Machine,
): { readonly path: string; readonly advice?: never } | { readonly advice: string; readonly path?: never };
