import type { Connect } from '../shared/transport.ts';

export interface WorkersHereOptions {
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  /** Of each worker, if that is given. */
  readonly threads?: number | undefined;
}

/** What the commands need to know of the program around them. */
export interface Program {
  /** Runs gradcast itself: the program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** The same, as a person types it. */
  readonly typed: string;
  /** Folder of the built page. */
  readonly pageDir: string;
  readonly version: string;
  /**
   * How many local workers make the most of this machine; may measure for some seconds, and says so. What it says counts
   * for nothing once the signal is aborted.
   */
  readonly workersHere: (engine: string, options: WorkersHereOptions) => Promise<number>;
  /**
   * Gets what local workers compute with, if it is missing on this machine and can be had; may take minutes, and says by
   * itself how far it is.
   * @param engine as --engine names it
   */
  readonly prepareEngine: (engine: string, signal: AbortSignal) => Promise<void>;
  /** Connects as a worker does; with a fingerprint, only to whoever has that certificate. */
  readonly connectorFor: (fingerprint: string | undefined) => Promise<Connect>;
}

/** How many local workers were asked for, or are best. */
export function localWorkers(
  { workers, engine }: { readonly workers: number | 'auto'; readonly engine: string },
  program: Program,
  options: WorkersHereOptions,
): number | Promise<number> {
  return workers === 'auto' ? program.workersHere(engine, options) : workers;
}
