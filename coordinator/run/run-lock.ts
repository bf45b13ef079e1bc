import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import lockfile from 'proper-lockfile';
import { systemClock, pause, type Clock, type AbortSignalLike } from '../../shared/util/clock.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { holdLock, LOCK_TIMEOUT_SECONDS, type RunLock } from './hold-lock.ts';
import { identifyThisProcess, isProcessAlive, isProcessVisible } from './process-identity.ts';
import { LOCK_FILE, readHolder, serializeHolder, type LockHolder, type LockOwner } from './lock-file.ts';
import { removeTemporaryFiles, writeFileAtomic } from '../files/write-file.ts';

/** Held while a process reads the lock and takes it. */
const MUTEX_FILE = '.lock-turn';
/** Files in a run's folder that belong to its lock. */
export const LOCK_FILES: ReadonlySet<string> = new Set([LOCK_FILE, MUTEX_FILE]);

/** Interval at which a process reads the lock of a holder that it cannot see. */
const POLL_INTERVAL_MS = 1_000;
/**
 * A lock is stale after so many polls without a change. Polls are counted instead of time, because a disk that hangs stops
 * the holder and the polling process alike.
 */
const POLLS_UNTIL_STALE = (1_000 * LOCK_TIMEOUT_SECONDS) / POLL_INTERVAL_MS;

export interface LockOptions {
  /** Ends the wait for a holder that may be gone. */
  readonly signal?: AbortSignalLike;
  readonly info?: (line: string) => void;
  readonly clock?: Clock;
  /** Process that acquires the lock. @default this one */
  readonly own?: LockOwner;
}

/**
 * Locks a run's folder for this process, until it releases the lock or ends. The lock of a process that is gone is stale: at
 * once if this machine can see that process, else when its heartbeat has stopped for LOCK_TIMEOUT_SECONDS.
 * @param dir absolute path of a folder that exists
 * @throws Error with a sentence if another process holds the lock, or the folder cannot be written; the signal's reason
 */
export async function acquireRunLock(dir: string, options: LockOptions = {}): Promise<RunLock> {
  const { signal = new AbortController().signal, clock = systemClock(globalThis) } = options;
  const file = join(dir, LOCK_FILE);
  const own = options.own ?? (await describeThisProcess());
  for (let stale: LockHolder | null = null; ;) {
    const holder = await withMutex(dir, () => tryAcquire(file, own, stale));
    if (holder === null) break;
    stale = await waitUntilStale(file, holder, { ...options, own, signal, clock, dir });
  }
  return holdLock(dir, own, clock);
}

const describeThisProcess = async (): Promise<LockOwner> => ({
  id: randomUUID(),
  ...(await identifyThisProcess()),
  since: new Date().toISOString(),
});

/**
 * Takes the lock if it is free or stale.
 * @param stale holder whose heartbeat has stopped
 * @returns the holder that is or may be alive, or null if the lock was taken
 */
async function tryAcquire(
  file: string,
  own: LockOwner,
  stale: LockHolder | null,
): Promise<LockHolder | null> {
  const holder = await readHolder(file);
  const isStale = holder !== null && stale !== null && serializeHolder(holder) === serializeHolder(stale);
  if (
    holder !== null &&
    !isStale &&
    (!isProcessVisible(holder, own) || (await isProcessAlive(holder.pid, holder.start)))
  ) {
    return holder;
  }
  await writeFileAtomic(file, serializeHolder({ ...own, beat: 0 }));
  return null;
}

/** Options of one wait, with defaults filled in. */
interface WaitOptions extends LockOptions {
  readonly own: LockOwner;
  readonly signal: AbortSignalLike;
  readonly clock: Clock;
  readonly dir: string;
}

/**
 * Waits until the heartbeat of a holder on another machine has stopped.
 * @returns the stale holder
 * @throws Error with a sentence if the holder is alive; the signal's reason
 */
async function waitUntilStale(
  file: string,
  holder: LockHolder,
  { own, signal, clock, dir, info }: WaitOptions,
): Promise<LockHolder> {
  if (isProcessVisible(holder, own)) throw new Error(inUseMessage(dir, holder));
  if (holder.beat === undefined) throw new Error(inUseByOldVersionMessage(dir, file, holder));
  info?.(
    `${dir} is locked by process ${holder.pid} on ${holder.host}. Waiting up to ${LOCK_TIMEOUT_SECONDS} s to see whether it is alive ...`,
  );
  for (let polls = 0; polls < POLLS_UNTIL_STALE; polls++) {
    await pause(clock, POLL_INTERVAL_MS, signal);
    if (signal.aborted) throw (signal as AbortSignal).reason;
    const current = await readHolder(file);
    if (current === null) return holder;
    if (serializeHolder(current) !== serializeHolder(holder)) throw new Error(inUseMessage(dir, current));
  }
  return holder;
}

function inUseMessage(dir: string, { pid, host, since }: LockHolder): string {
  const isHere = host === hostname();
  const holder = isHere ? `process ${pid}` : `process ${pid} on ${host}`;
  const remedy = isHere ? 'end it with' : 'end it there with';
  return `${dir} is in use by ${holder}, since ${since}. Wait until it ends, or ${remedy}: kill ${pid}`;
}

const inUseByOldVersionMessage = (dir: string, file: string, { pid, host, since }: LockHolder): string =>
  `${dir} is in use by a run of an earlier version of gradcast on ${host}: process ${pid}, since ${since}. ` +
  `If that process has ended, rename ${file}.`;

/** Does the work while no other process does: of two processes that find a stale lock, only one may take it. */
async function withMutex<Result>(dir: string, work: () => Promise<Result>): Promise<Result> {
  const release = await lockfile
    .lock(dir, {
      lockfilePath: join(dir, MUTEX_FILE),
      // A process that is killed within these few milliseconds leaves a mutex that is stale after ten seconds.
      retries: { retries: 200, minTimeout: 50, maxTimeout: 100 },
      onCompromised: () => undefined,
    })
    .catch((error: unknown) => {
      throw new Error(`The folder ${dir} cannot be locked for a run: ${describeDiskError(error)}.`, {
        cause: error,
      });
    });
  try {
    await removeTemporaryFiles(dir, [LOCK_FILE]);
    return await work();
  } finally {
    await release().catch(() => undefined);
  }
}
