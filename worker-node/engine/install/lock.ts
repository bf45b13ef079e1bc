import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import lockfile from 'proper-lockfile';

/** A holder that has not touched its lock for so long is dead; a living one touches it every TOUCH_MS. */
const STALE_MS = 10_000;
const TOUCH_MS = 2_000;

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Said once, when somebody else has it. */
  readonly onWaiting: () => void;
  readonly retryMs?: number;
  readonly staleMs?: number;
}

/**
 * Does the work while no other process does its own in the same folder. The lock of a process that was killed lapses
 * by itself; that does not depend on process ids, which are given out again.
 */
export async function withLock<Result>(
  folder: string,
  options: LockOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  await mkdir(folder, { recursive: true });
  const unlock = await acquire(folder, options);
  try {
    return await work();
  } finally {
    // Whoever took it over after this process had slept keeps it.
    await unlock().catch(() => undefined);
  }
}

async function acquire(folder: string, options: LockOptions): Promise<() => Promise<void>> {
  const { signal, onWaiting, retryMs = 500, staleMs = STALE_MS } = options;
  let said = false;
  for (;;) {
    try {
      return await lockfile.lock(folder, {
        lockfilePath: join(folder, '.lock'),
        stale: staleMs,
        update: Math.min(TOUCH_MS, staleMs / 2),
        onCompromised: () => undefined,
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error;
    }
    if (!said) onWaiting();
    said = true;
    await sleep(retryMs, undefined, { signal });
  }
}
