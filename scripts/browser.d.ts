/** What a machine has, and what may be done to it; this one's without. */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where browsers are wont to be. */
  readonly places: readonly string[];
  readonly isRoot: boolean;
  /** @returns whether the program went well */
  readonly run: (program: string, args: readonly string[]) => boolean;
  readonly starts: (path: string) => boolean;
  /** Playwright's own installer: program and first arguments. */
  readonly playwright: readonly [string, ...string[]];
  readonly say: (line: string) => void;
}

/** The path of a browser that is there; null if there is none. */
export function findBrowser(machine?: Pick<Machine, 'env' | 'places'>): string | null;
/** Finds a browser that starts, else gets one; else what to do. */
export function getBrowser(
  machine?: Machine,
): { readonly path: string; readonly advice?: never } | { readonly advice: string; readonly path?: never };
