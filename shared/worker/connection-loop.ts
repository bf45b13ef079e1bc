import { nanoid } from 'nanoid';
import { pause } from '../util/clock.ts';
import { backoffMs } from './backoff.ts';
import { GradientComputerCache } from './gradient-computer-cache.ts';
import { runSession } from './run-session.ts';
import type { WorkerOptions } from './options.ts';

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
