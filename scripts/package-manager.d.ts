/** A machine on which programs are found or installed. */
export interface Machine {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
  /** @returns whether the program exited with code 0 */
  readonly run: (program: string, args: readonly string[]) => boolean;
  readonly log: (line: string) => void;
}

/** Programs that a test needs. */
export interface Programs {
  /** Name for people. */
  readonly what: string;
  /** Names on the PATH. */
  readonly programs: readonly string[];
  /** Packages that have them, for each package manager. */
  readonly packages: Readonly<Record<string, readonly string[]>>;
}

/** Path of the first program on the PATH with one of these names; null if there is none. */
export function findProgram(names: readonly string[], env?: Machine['env']): string | null;
/** Installs the packages of programs of which one is missing. Returns whether all are there, else advice for the user. */
export function getPrograms(
  programs: Programs,
  machine?: Machine,
):
  | { readonly isInstalled: true; readonly advice?: never }
  | { readonly isInstalled: false; readonly advice: string };
