import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import lockfile from 'proper-lockfile';
import { clockOf, pause, type Clock, type StopSignal } from '../../shared/clock.ts';
import { diskProblem } from './disk-error.ts';
import { heldLock, LAPSE_SECONDS, type RunLock } from './held-lock.ts';
import { isLiving, processSpace, startOf } from './living.ts';
import { LOCK_FILE, readHolder, textOf, type Holder } from './lock-file.ts';
import { removeUnfinished, writeWholeFile } from './write-file.ts';

/** Held while a process looks at the lock and takes it. */
const TURN_FILE = '.lock-turn';
/** Names in a run's folder that are nothing of the run. */
export const LOCK_NAMES: ReadonlySet<string> = new Set([LOCK_FILE, TURN_FILE]);

/** How often a process looks at the lock of a holder that it cannot see. */
const LOOK_EVERY_MS = 1_000;
/**
 * So many looks in a row without a change: the holder is gone. Looks are counted, not time: a disk that hangs stops the
 * holder and those who look at its lock alike.
 */
const LOOKS_TO_LAPSE = (1_000 * LAPSE_SECONDS) / LOOK_EVERY_MS;

export interface LockOptions {
  /** Ends the wait for a holder that may be gone. */
  readonly signal?: StopSignal;
  readonly info?: (line: string) => void;
  readonly clock?: Clock;
  /** The process that takes it. @default this one */
  readonly own?: Omit<Holder, 'beat'>;
}

/**
 * Takes a run's folder for this process, until it releases it or ends. A process that is gone holds nothing any more: at
 * once where this machine can see that, else when its heartbeat has stopped for LAPSE_SECONDS.
 * @param dir absolute, and there
 * @throws Error with a sentence if another process has it, or the folder cannot be written; the signal's reason
 */
export async function lockRun(dir: string, options: LockOptions = {}): Promise<RunLock> {
  const { signal = new AbortController().signal, clock = clockOf(globalThis) } = options;
  const file = join(dir, LOCK_FILE);
  const own = options.own ?? (await thisProcess());
  for (let lapsed: Holder | null = null; ;) {
    const holder = await inTurn(dir, () => take(file, own, lapsed));
    if (holder === null) break;
    lapsed = await untilLapsed(file, holder, { ...options, signal, clock, dir });
  }
  return heldLock(dir, own, clock);
}

const thisProcess = async (): Promise<Omit<Holder, 'beat'>> => ({
  id: randomUUID(),
  pid: process.pid,
  host: hostname(),
  start: await startOf(process.pid),
  space: await processSpace(),
  since: new Date().toISOString(),
});

/** @returns the holder that is or may be alive, or null if the lock was taken */
async function take(file: string, own: Omit<Holder, 'beat'>, lapsed: Holder | null): Promise<Holder | null> {
  const found = await readHolder(file);
  const isLapsed = found !== null && lapsed !== null && textOf(found) === textOf(lapsed);
  if (found !== null && !isLapsed && (!isSeenFrom(found, own) || (await isLiving(found.pid, found.start)))) {
    return found;
  }
  await writeWholeFile(file, textOf({ ...own, beat: 0 }));
  return null;
}

/** Whether a process can be asked after by its number. Locks of version 0.1 name the machine only. */
function isSeenFrom({ space, host }: Holder, own: Omit<Holder, 'beat'>): boolean {
  return typeof space === 'string' && own.space !== null ? space === own.space : host === own.host;
}

/**
 * Waits until the heartbeat of a holder on another machine has stopped.
 * @throws Error with a sentence if it is alive; the signal's reason
 */
async function untilLapsed(
  file: string,
  holder: Holder,
  {
    own,
    signal,
    clock,
    dir,
    info,
  }: LockOptions & { readonly signal: StopSignal; readonly clock: Clock; readonly dir: string },
): Promise<Holder> {
  if (isSeenFrom(holder, own ?? (await thisProcess()))) throw new Error(refusal(dir, holder));
  if (holder.beat === undefined) throw new Error(oldRefusal(dir, file, holder));
  info?.(
    `${dir} was in use by process ${holder.pid} on ${holder.host}. Waiting up to ${LAPSE_SECONDS} s to see whether it is alive ...`,
  );
  for (let looks = 0; looks < LOOKS_TO_LAPSE; looks++) {
    await pause(clock, LOOK_EVERY_MS, signal);
    if (signal.aborted) throw (signal as AbortSignal).reason;
    const found = await readHolder(file);
    if (found === null) return holder;
    if (textOf(found) !== textOf(holder)) throw new Error(refusal(dir, found));
  }
  return holder;
}

function refusal(dir: string, { pid, host, since }: Holder): string {
  const isHere = host === hostname();
  const who = isHere ? `process ${pid}` : `process ${pid} on ${host}`;
  const how = isHere ? 'end it with' : 'end it there with';
  return `${dir} belongs to a run that is going on: ${who}, since ${since}. Let it end, or ${how}: kill ${pid}`;
}

const oldRefusal = (dir: string, file: string, { pid, host, since }: Holder): string =>
  `${dir} belongs to a run of an earlier version of gradcast on ${host}: process ${pid}, since ${since}. ` +
  `If that has ended, rename ${file}.`;

/** Does the work alone: of two processes that find the lock of a dead one, only one may take it. */
async function inTurn<Result>(dir: string, work: () => Promise<Result>): Promise<Result> {
  const release = await lockfile
    .lock(dir, {
      lockfilePath: join(dir, TURN_FILE),
      // A process that is killed in these few milliseconds holds up the next one for as long as the lock takes to lapse.
      retries: { retries: 200, minTimeout: 50, maxTimeout: 100 },
      onCompromised: () => undefined,
    })
    .catch((error: unknown) => {
      throw new Error(`The folder ${dir} cannot be taken for a run: ${diskProblem(error)}.`, {
        cause: error,
      });
    });
  try {
    await removeUnfinished(dir, [LOCK_FILE]);
    return await work();
  } finally {
    await release().catch(() => undefined);
  }
}
