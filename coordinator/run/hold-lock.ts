import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../shared/util/clock.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { LOCK_FILE, updateHolder, type LockHolder, type LockOwner } from './lock-file.ts';

/** Interval of a holder's heartbeat: it updates its lock, so that other machines see that it is alive. */
export const UPDATE_INTERVAL_MS = 5_000;
/** A lock without a heartbeat for this long is stale, if its process is not visible. Six heartbeats. */
export const LOCK_TIMEOUT_SECONDS = 30;

/** Another process has taken over the folder, because this process sent no heartbeat: it was frozen, or its disk hung. */
export class LockLostError extends Error {
  constructor(dir: string, { pid, host }: LockHolder) {
    super(
      `${dir} was taken over by process ${pid} on ${host}, because this process sent no heartbeat for ${LOCK_TIMEOUT_SECONDS} s. ` +
        'This process ends and leaves the folder unchanged; the other one continues the run.',
    );
    this.name = 'LockLostError';
  }
}

/** Lock of a run's folder, held by this process. */
export interface RunLock {
  /** Aborted with a LockLostError when another process has taken over the folder. */
  readonly lost: AbortSignal;
  /**
   * Updates the lock. Called before every change in the folder.
   * @throws LockLostError; Error with a sentence if the lock cannot be updated
   */
  check(): Promise<void>;
  release(): Promise<void>;
}

/**
 * Keeps a lock that this process has just acquired: sends heartbeats, and notices when another process takes over.
 * @param dir absolute path
 * @param own contents of the lock
 */
export function holdLock(dir: string, own: LockOwner, clock: Clock): RunLock {
  const file = join(dir, LOCK_FILE);
  const lost = new AbortController();
  let beat = 0;
  let isReleased = false;
  let cancel = (): void => undefined;
  let updating: Promise<void> = Promise.resolve();
  // One update at a time: two would both make a missing lock, and a late one would make it again after the release.
  const update = (): Promise<void> => (updating = updating.catch(() => undefined).then(updateOnce));
  const updateOnce = async (): Promise<void> => {
    if (isReleased) return;
    const taker = await updateHolder(file, { ...own, beat: ++beat });
    if (taker !== null) lost.abort(new LockLostError(dir, taker));
  };
  const schedule = (): void => {
    cancel = clock.after(UPDATE_INTERVAL_MS, () => {
      void update()
        // The disk may hang for a while or be unplugged; the next heartbeat tries again.
        .catch(() => undefined)
        .then(() => {
          if (!isReleased && !lost.signal.aborted) schedule();
        });
    });
  };
  schedule();
  const onExit = (): void => {
    try {
      if (!lost.signal.aborted) rmSync(file, { force: true });
    } catch {
      // Other processes see that this one is gone.
    }
  };
  process.once('exit', onExit);
  return {
    lost: lost.signal,
    async check() {
      if (!lost.signal.aborted) {
        await update().catch((error: unknown) => {
          throw new Error(`${file} cannot be updated: ${describeDiskError(error)}.`, { cause: error });
        });
      }
      lost.signal.throwIfAborted();
    },
    async release() {
      if (isReleased) return;
      await update().catch(() => undefined);
      isReleased = true;
      cancel();
      process.off('exit', onExit);
      if (!lost.signal.aborted) await rm(file, { force: true }).catch(() => undefined);
    },
  };
}
