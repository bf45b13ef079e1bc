import type { EngineChoice } from '../shared/engine/engine-choice.ts';
import type { OpenCoordinatorEngine } from '../coordinator/integrity/reference-engine.ts';
import type { Connect } from '../shared/protocol/transport.ts';

export interface WorkerCountOptions {
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  /** Of each worker, if that is given. */
  readonly threads?: number | undefined;
}

/** What the commands need to know of the program around them. */
export interface CliContext {
  /** Runs gradcast itself: the program and its first arguments. */
  readonly command: readonly [string, ...string[]];
  /** The same, as a person types it. */
  readonly commandLine: string;
  /** A picture of a digit, as a person here would name its file; missing in a package. */
  readonly samplePicture?: string | undefined;
  /** Folder of the built page. */
  readonly pageDir: string;
  readonly version: string;
  /**
   * How many local workers make the most of this machine; may measure for some seconds, and says so. What it says counts
   * for nothing once the signal is aborted.
   */
  readonly chooseWorkerCount: (engine: EngineChoice, options: WorkerCountOptions) => Promise<number>;
  /**
   * Installs the engine that was asked for by name, if it is missing; may take minutes, and prints its progress.
   * @throws Error with a sentence if this machine cannot have it
   */
  readonly prepareEngine: (engine: EngineChoice, signal: AbortSignal) => Promise<void>;
  /** Opens an engine in a thread of this process, for the coordinator's own computations. @throws Error with a sentence */
  readonly openCoordinatorEngine: OpenCoordinatorEngine;
  /** Connects as a worker does; with a fingerprint, only to whoever has that certificate. */
  readonly createConnector: (fingerprint: string | undefined) => Promise<Connect>;
}

/** How many local workers were asked for, or are best. */
export function resolveWorkerCount(
  { workers, engine }: { readonly workers: number | 'auto'; readonly engine: EngineChoice },
  program: CliContext,
  options: WorkerCountOptions,
): number | Promise<number> {
  return workers === 'auto' ? program.chooseWorkerCount(engine, options) : workers;
}
