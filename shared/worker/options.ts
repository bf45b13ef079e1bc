import type { Engine } from '../engine/engine.ts';
import type { Step, Task, Welcome } from '../protocol/messages.ts';
import type { Connect } from '../protocol/transport.ts';
import type { AbortSignalLike, Clock } from '../util/clock.ts';
import type { Standby } from './session.ts';

/** Events of a worker, for its terminal or page. */
export interface WorkerReport {
  joined(welcome: Welcome): void;
  /** After each shard. */
  computed(task: Task, step: Step, samples: number, computeMs: number): void;
  /** Before each pause between two connections. */
  waiting(line: string, wait: { readonly reason: string; readonly waitMs: number }): void;
  note(line: string): void;
  /** The coordinator does without this worker for now, or does not any more; without it, the note says so. */
  standby?(standby: Standby): void;
}

export interface WorkerOptions {
  readonly url: string;
  readonly name: string;
  readonly token?: string;
  readonly engine: Engine;
  readonly connect: Connect;
  readonly clock: Clock;
  /** In [0, 1); spreads the reconnects. */
  readonly random: () => number;
  readonly report: WorkerReport;
  /** Calls back when trying again is worth while at once, as when the network is back; the answer ends that. */
  readonly onRetryNow?: (callback: () => void) => () => void;
  /** Aborted when the person wants the worker to leave. */
  readonly signal: AbortSignalLike;
  /** Whether the engine is thrown away after this: leaving does not wait for what it computes, which may never end. */
  readonly abandonsEngine?: boolean;
}
