import { rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../shared/util/clock.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { LOCK_FILE, updateHolder, type LockHolder } from './lock-file.ts';

/** How often a holder changes its lock, so that other machines see that it is alive. */
export const HEARTBEAT_INTERVAL_MS = 5_000;
/** A holder whose lock has not changed for so long is gone, where its process cannot be seen. Six heartbeats. */
export const LOCK_TIMEOUT_SECONDS = 30;

/** A run's folder that no other process writes to. */
export interface RunLock {
  /** Aborted, with an Error for the person as its reason, when another process has taken the folder. */
  readonly lost: AbortSignal;
  /**
   * Called before anything in the folder is replaced.
   * @throws Error with a sentence if another process has taken the folder
   */
  check(): Promise<void>;
  release(): Promise<void>;
}

/**
 * The lock of a folder that a process has just taken: changes it now and then, and notices when another process has taken it.
 * @param dir absolute
 * @param own what the lock says
 */
export function holdLock(dir: string, own: Omit<LockHolder, 'beat'>, clock: Clock): RunLock {
  const file = join(dir, LOCK_FILE);
  const lost = new AbortController();
  let beat = 0;
  let isReleased = false;
  let cancel = (): void => undefined;
  let updating: Promise<void> = Promise.resolve();
  // One at a time: two would both make a lock that is missing, and one that is late would make it again after its release.
  const update = (): Promise<void> => (updating = updating.catch(() => undefined).then(updateOnce));
  const updateOnce = async (): Promise<void> => {
    if (isReleased) return;
    const taker = await updateHolder(file, { ...own, beat: ++beat });
    if (taker === null) return;
    lost.abort(
      new Error(
        `${dir} was taken over by process ${taker.pid} on ${taker.host}: this process was not heard of for ${LOCK_TIMEOUT_SECONDS} s. ` +
          'This run ends and leaves the folder as it is; the other one continues it.',
      ),
    );
  };
  const schedule = (): void => {
    cancel = clock.after(HEARTBEAT_INTERVAL_MS, () => {
      void update()
        // A disk that hangs for a while or is unplugged is no reason to end.
        .catch(() => undefined)
        .then(() => {
          if (!isReleased && !lost.signal.aborted) schedule();
        });
    });
  };
  schedule();
  // A lock that cannot be removed is no harm: its process is gone soon.
  const onExit = (): void => {
    try {
      if (!lost.signal.aborted) rmSync(file, { force: true });
    } catch {
      // As good as removed.
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
