import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import lockfile from 'proper-lockfile';

/** A holder that has not touched its lock for so long is dead; a living one touches it every TOUCH_MS. */
const STALE_MS = 10_000;
const UPDATE_INTERVAL_MS = 2_000;
const POLL_INTERVAL_MS = 500;

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Said once, when somebody else has it. */
  readonly onWaiting: () => void;
  readonly pollMs?: number;
  readonly staleMs?: number;
}

/** Somebody else holds the lock now, as this process did not touch it for so long: it slept, or was stopped. */
export class LockLostError extends Error {
  constructor() {
    super('Another installation has taken over.');
    this.name = 'TakenOverError';
  }
}

/**
 * Does the work while no other process does its own in the same folder. The lock of a process that was killed lapses
 * by itself; that does not depend on process ids, which are given out again.
 * @param work its signal is aborted where `signal` is, and with a TakenOverError where the lock was lost
 */
export async function withLock<Result>(
  folder: string,
  options: LockOptions,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  await mkdir(folder, { recursive: true });
  const lost = new AbortController();
  const unlock = await acquire(folder, options, () => lost.abort(new LockLostError()));
  try {
    return await work(AbortSignal.any([options.signal, lost.signal]));
  } finally {
    // Whoever took it over after this process had slept keeps it.
    await unlock().catch(() => undefined);
  }
}

async function acquire(
  folder: string,
  options: LockOptions,
  onLost: () => void,
): Promise<() => Promise<void>> {
  const { signal, onWaiting, pollMs = POLL_INTERVAL_MS, staleMs = STALE_MS } = options;
  let said = false;
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
    if (!said) onWaiting();
    said = true;
    await sleep(pollMs, undefined, { signal });
  }
}
