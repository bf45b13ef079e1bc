import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import lockfile from 'proper-lockfile';
import { systemClock, pause, type Clock, type AbortSignalLike } from '../../shared/util/clock.ts';
import { describeDiskError } from '../files/disk-error.ts';
import { holdLock, LOCK_TIMEOUT_SECONDS, type RunLock } from './hold-lock.ts';
import { isProcessAlive, processNamespace, processStartTime } from './process-identity.ts';
import { LOCK_FILE, readHolder, serializeHolder, type LockHolder } from './lock-file.ts';
import { removeTemporaryFiles, writeFileAtomic } from '../files/write-file.ts';

/** Held while a process looks at the lock and takes it. */
const MUTEX_FILE = '.lock-turn';
/** Names in a run's folder that are nothing of the run. */
export const LOCK_FILES: ReadonlySet<string> = new Set([LOCK_FILE, MUTEX_FILE]);

/** How often a process looks at the lock of a holder that it cannot see. */
const POLL_INTERVAL_MS = 1_000;
/**
 * So many looks in a row without a change: the holder is gone. Looks are counted, not time: a disk that hangs stops the
 * holder and those who look at its lock alike.
 */
const POLLS_UNTIL_STALE = (1_000 * LOCK_TIMEOUT_SECONDS) / POLL_INTERVAL_MS;

export interface LockOptions {
  /** Ends the wait for a holder that may be gone. */
  readonly signal?: AbortSignalLike;
  readonly info?: (line: string) => void;
  readonly clock?: Clock;
  /** The process that takes it. @default this one */
  readonly own?: Omit<LockHolder, 'beat'>;
}

/**
 * Takes a run's folder for this process, until it releases it or ends. A process that is gone holds nothing any more: at
 * once where this machine can see that, else when its heartbeat has stopped for LAPSE_SECONDS.
 * @param dir absolute, and there
 * @throws Error with a sentence if another process has it, or the folder cannot be written; the signal's reason
 */
export async function acquireRunLock(dir: string, options: LockOptions = {}): Promise<RunLock> {
  const { signal = new AbortController().signal, clock = systemClock(globalThis) } = options;
  const file = join(dir, LOCK_FILE);
  const own = options.own ?? (await describeThisProcess());
  for (let lapsed: LockHolder | null = null; ;) {
    const holder = await withMutex(dir, () => tryAcquire(file, own, lapsed));
    if (holder === null) break;
    lapsed = await waitUntilStale(file, holder, { ...options, signal, clock, dir });
  }
  return holdLock(dir, own, clock);
}

const describeThisProcess = async (): Promise<Omit<LockHolder, 'beat'>> => ({
  id: randomUUID(),
  pid: process.pid,
  host: hostname(),
  start: await processStartTime(process.pid),
  space: await processNamespace(),
  since: new Date().toISOString(),
});

/** @returns the holder that is or may be alive, or null if the lock was taken */
async function tryAcquire(
  file: string,
  own: Omit<LockHolder, 'beat'>,
  lapsed: LockHolder | null,
): Promise<LockHolder | null> {
  const found = await readHolder(file);
  const isLapsed = found !== null && lapsed !== null && serializeHolder(found) === serializeHolder(lapsed);
  if (
    found !== null &&
    !isLapsed &&
    (!isProcessVisible(found, own) || (await isProcessAlive(found.pid, found.start)))
  ) {
    return found;
  }
  await writeFileAtomic(file, serializeHolder({ ...own, beat: 0 }));
  return null;
}

/** Whether a process can be asked after by its number. Locks of version 0.1 name the machine only. */
function isProcessVisible({ space, host }: LockHolder, own: Omit<LockHolder, 'beat'>): boolean {
  return typeof space === 'string' && own.space !== null ? space === own.space : host === own.host;
}

/**
 * Waits until the heartbeat of a holder on another machine has stopped.
 * @throws Error with a sentence if it is alive; the signal's reason
 */
async function waitUntilStale(
  file: string,
  holder: LockHolder,
  {
    own,
    signal,
    clock,
    dir,
    info,
  }: LockOptions & { readonly signal: AbortSignalLike; readonly clock: Clock; readonly dir: string },
): Promise<LockHolder> {
  if (isProcessVisible(holder, own ?? (await describeThisProcess())))
    throw new Error(inUseMessage(dir, holder));
  if (holder.beat === undefined) throw new Error(inUseByOldVersionMessage(dir, file, holder));
  info?.(
    `${dir} was in use by process ${holder.pid} on ${holder.host}. Waiting up to ${LOCK_TIMEOUT_SECONDS} s to see whether it is alive ...`,
  );
  for (let looks = 0; looks < POLLS_UNTIL_STALE; looks++) {
    await pause(clock, POLL_INTERVAL_MS, signal);
    if (signal.aborted) throw (signal as AbortSignal).reason;
    const found = await readHolder(file);
    if (found === null) return holder;
    if (serializeHolder(found) !== serializeHolder(holder)) throw new Error(inUseMessage(dir, found));
  }
  return holder;
}

function inUseMessage(dir: string, { pid, host, since }: LockHolder): string {
  const isHere = host === hostname();
  const who = isHere ? `process ${pid}` : `process ${pid} on ${host}`;
  const how = isHere ? 'end it with' : 'end it there with';
  return `${dir} belongs to a run that is going on: ${who}, since ${since}. Let it end, or ${how}: kill ${pid}`;
}

const inUseByOldVersionMessage = (dir: string, file: string, { pid, host, since }: LockHolder): string =>
  `${dir} belongs to a run of an earlier version of gradcast on ${host}: process ${pid}, since ${since}. ` +
  `If that has ended, rename ${file}.`;

/** Does the work alone: of two processes that find the lock of a dead one, only one may take it. */
async function withMutex<Result>(dir: string, work: () => Promise<Result>): Promise<Result> {
  const release = await lockfile
    .lock(dir, {
      lockfilePath: join(dir, MUTEX_FILE),
      // A process that is killed in these few milliseconds holds up the next one for as long as the lock takes to lapse.
      retries: { retries: 200, minTimeout: 50, maxTimeout: 100 },
      onCompromised: () => undefined,
    })
    .catch((error: unknown) => {
      throw new Error(`The folder ${dir} cannot be taken for a run: ${describeDiskError(error)}.`, {
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
