import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import lockfile from 'proper-lockfile';

/** Age at which a lock counts as left by a dead process; a living one updates it every UPDATE_INTERVAL_MS. */
const STALE_MS = 10_000;
const UPDATE_INTERVAL_MS = 2_000;
const POLL_INTERVAL_MS = 500;

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Called once if another process holds the lock. */
  readonly onWaiting: () => void;
  readonly pollMs?: number;
  readonly staleMs?: number;
}

/** Another process holds the lock now, because this one did not update it in time: it slept, or was stopped. */
export class LockLostError extends Error {
  constructor() {
    super('Another installation has taken over.');
    this.name = 'LockLostError';
  }
}

/**
 * Runs `work` while no other process works in the same folder. The lock of a killed process expires by its age; process
 * ids would not do, as systems reuse them.
 * @param work its signal is aborted with `signal`, and with a LockLostError if the lock is lost
 */
export async function withLock<Result>(
  folder: string,
  options: LockOptions,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  await mkdir(folder, { recursive: true });
  const lost = new AbortController();
  const release = await acquire(folder, options, () => lost.abort(new LockLostError()));
  try {
    return await work(AbortSignal.any([options.signal, lost.signal]));
  } finally {
    // A process that took the lock over keeps it.
    await release().catch(() => undefined);
  }
}

async function acquire(
  folder: string,
  options: LockOptions,
  onLost: () => void,
): Promise<() => Promise<void>> {
  const { signal, onWaiting, pollMs = POLL_INTERVAL_MS, staleMs = STALE_MS } = options;
  let hasReported = false;
  for (;;) {
    try {
      return await lockfile.lock(folder, {
        lockfilePath: join(folder, '.lock'),
        stale: staleMs,
        update: Math.min(UPDATE_INTERVAL_MS, staleMs / 2),
        onCompromised: onLost,
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error;
    }
    if (!hasReported) onWaiting();
    hasReported = true;
    await sleep(pollMs, undefined, { signal });
  }
}
