import { rmSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import lockfile from 'proper-lockfile';
import * as v from 'valibot';
import writeFileAtomic from 'write-file-atomic';
import { isLiving, startOf } from './living.ts';

const LOCK_FILE = 'lock.json';
/** Held while somebody looks at the lock and takes it. */
const TURN_FILE = '.lock-turn';
/** Names in a run's folder that are nothing of the run. */
export const LOCK_NAMES: ReadonlySet<string> = new Set([LOCK_FILE, TURN_FILE]);

const holder = v.object({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  host: v.string(),
  /** See startOf. */
  start: v.nullable(v.string()),
  /** When it took the folder, ISO 8601. */
  since: v.string(),
});
type Holder = v.InferOutput<typeof holder>;

/** A run's folder that no other process writes to. */
export interface RunLock {
  release(): Promise<void>;
}

/**
 * Takes a run's folder for this process, until it releases it or ends. Whose process is gone holds nothing any more, so
 * that a run that was killed can be gone on with at once.
 * @param dir absolute, and there
 * @throws Error with a sentence if a process that is there has it, or the folder cannot be written
 */
export async function lockRun(dir: string): Promise<RunLock> {
  const file = join(dir, LOCK_FILE);
  const own: Holder = {
    pid: process.pid,
    host: hostname(),
    start: await startOf(process.pid),
    since: new Date().toISOString(),
  };
  await inTurn(dir, async () => {
    const found = await read(file);
    if (found !== null && (await holds(found))) throw new Error(refusal(dir, file, found));
    await writeFileAtomic(file, `${JSON.stringify(own)}\n`);
  });
  // A lock that cannot be removed is no harm: its process is gone soon.
  const onExit = (): void => {
    try {
      rmSync(file, { force: true });
    } catch {
      // As good as removed.
    }
  };
  process.once('exit', onExit);
  return {
    async release() {
      process.off('exit', onExit);
      await rm(file, { force: true }).catch(() => undefined);
    },
  };
}

/** Of two who find the lock of a process that has died, only one may take it. */
async function inTurn(dir: string, work: () => Promise<void>): Promise<void> {
  const release = await lockfile
    .lock(dir, {
      lockfilePath: join(dir, TURN_FILE),
      // A process that is killed in these few milliseconds holds up the next one for as long as the lock takes to lapse.
      retries: { retries: 200, minTimeout: 50, maxTimeout: 100 },
      onCompromised: () => undefined,
    })
    .catch((error: unknown) => {
      throw new Error(`The folder ${dir} cannot be taken for a run: ${String(error)}`, { cause: error });
    });
  try {
    await work();
  } finally {
    await release().catch(() => undefined);
  }
}

/** @returns null if nobody has it, or nobody can say who */
async function read(file: string): Promise<Holder | null> {
  try {
    return v.parse(holder, JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || code === 'ENOENT') return null;
    throw error;
  }
}

/** Of a process on another machine nothing can be seen: that it holds on is assumed. */
const holds = async ({ host, pid, start }: Holder): Promise<boolean> =>
  host !== hostname() || (await isLiving(pid, start));

function refusal(dir: string, file: string, { pid, host, since }: Holder): string {
  return host === hostname()
    ? `${dir} belongs to a run that is going on: process ${pid}, since ${since}. Let it end, or end it with: kill ${pid}`
    : `${dir} belongs to a run on ${host}: process ${pid}, since ${since}. If that is no longer there, delete ${file}`;
}
