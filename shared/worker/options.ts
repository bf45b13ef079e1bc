import type { Engine } from '../engine/engine.ts';
import type { Step, Task, Welcome } from '../protocol/messages.ts';
import type { CoordinatorLink } from '../protocol/coordinator-link.ts';
import type { Connect } from '../protocol/transport.ts';
import type { AbortSignalLike, Clock } from '../util/clock.ts';
import type { CustomCodeAccess } from './custom-code-access.ts';
import type { SampleStoreOptions } from './sample-store.ts';
import type { Standby } from './session.ts';

/** Pause before a worker connects again. */
export interface Wait {
  /** Reason for the end of the last connection. */
  readonly reason: string;
  /** Its close code, if there was one. */
  readonly code?: number | undefined;
  readonly waitMs: number;
  readonly url: string;
}

/** Callbacks for the events of a worker, for its terminal or page. */
export interface WorkerReport {
  joined(welcome: Welcome, url: string): void;
  /** Called after each shard. */
  computed(task: Task, step: Step, samples: number, computeMs: number): void;
  /** Called before each pause between two connections. */
  waiting(line: string, wait: Wait): void;
  note(line: string): void;
  /** Called when the worker is put on standby or takes part again. Without this callback, note() is called. */
  standby?(standby: Standby): void;
}

export interface WorkerOptions {
  readonly url: string;
  readonly name: string;
  /** Name of this machine, by which pages group workers. @default they group by the worker's name */
  readonly machine?: string | undefined;
  readonly token?: string;
  /** See CoordinatorLink. */
  readonly fingerprint?: string;
  /**
   * Finds the coordinator again after a connection has ended. Its attempts are counted from the last connection that worked.
   * @param code close code of the connection
   * @returns null if the run is finished. @default the coordinator keeps its address
   */
  readonly locate?: (
    current: CoordinatorLink,
    attempt: number,
    code?: number,
  ) => Promise<CoordinatorLink | null>;
  readonly engine: Engine;
  readonly connect: Connect;
  /** Memory and storage for samples, so that they travel once. @default none is kept */
  readonly sampleStore?: SampleStoreOptions;
  /** Custom code of jobs that this worker runs. @default none: it declines such jobs */
  readonly customCode?: CustomCodeAccess;
  readonly clock: Clock;
  /** Random number in [0, 1), for the jitter of reconnects. */
  readonly random: () => number;
  readonly report: WorkerReport;
  /** Subscribes to events that make an immediate retry useful, such as a network that is back. Returns an unsubscribe function. */
  readonly onRetryNow?: (callback: () => void) => () => void;
  /** Aborted to make the worker leave. */
  readonly signal: AbortSignalLike;
  /** Whether the engine is discarded at the end, so that leaving need not wait for a computation that may never end. */
  readonly abandonsEngine?: boolean;
}
