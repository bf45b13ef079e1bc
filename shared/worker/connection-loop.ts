import { nanoid } from 'nanoid';
import { pause, type Clock, type AbortSignalLike } from '../util/clock.ts';
import type { Engine } from '../engine/engine.ts';
import type { Connect } from '../protocol/transport.ts';
import { backoffMs } from './backoff.ts';
import { GradientComputerCache } from './gradient-computer-cache.ts';
import { runSession, type WorkerReport } from './run-session.ts';

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

/** The coordinator, or the worker itself, has found that it cannot take part; coming back would not help. */
export class RefusedError extends Error {
  /** The sentence without what this worker put around it. */
  readonly reason: string;
  /** Code of the close, if there was a connection. */
  readonly code: number | undefined;
  constructor(url: string, reason: string, code?: number) {
    super(`This worker cannot take part in the run at ${url}: ${reason}`);
    this.name = 'RefusedError';
    this.reason = reason;
    this.code = code;
  }
}

/**
 * A worker's whole life: connect, work, and come back with growing pauses whenever the connection is lost.
 * @returns why it ended: the run finished, or the person asked
 * @throws RefusedError with the coordinator's sentence if it refuses this worker for good
 */
export async function runWorker(options: WorkerOptions): Promise<string> {
  const { url, clock, random, report, signal } = options;
  const trainers = new GradientComputerCache(options.engine);
  // Whoever knows it takes this worker's place, so it comes from the platform's secure generator, not from `random`.
  const instance = nanoid();
  try {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const { end, authenticated } = await runSession(options, trainers, instance);
      if (end.outcome === 'finished') return end.reason;
      if (end.outcome === 'refused') throw new RefusedError(url, end.reason, end.code);
      if (authenticated) attempt = 0;
      if (end.outcome === 'left') break;
      const waitMs = backoffMs(attempt, random());
      report.waiting(
        `No connection to ${url} (${end.reason}). Trying again in ${(waitMs / 1000).toFixed(1)} s.`,
        { reason: end.reason, waitMs },
      );
      await pause(clock, waitMs, signal, options.onRetryNow);
    }
    return 'left';
  } finally {
    trainers.dispose();
  }
}
