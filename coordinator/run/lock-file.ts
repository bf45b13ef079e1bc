import { constants } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import * as v from 'valibot';
import { readRegularFile } from '../files/read-file.ts';
import type { ProcessIdentity } from './process-identity.ts';

export const LOCK_FILE = 'lock.json';

const MAX_LOCK_BYTES = 65_536;
const HEARTBEAT_DIGITS = 12;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const schema = v.object({
  id: v.optional(v.string()),
  pid: v.pipe(count, v.minValue(1)),
  host: v.string(),
  start: v.nullable(v.string()),
  space: v.optional(v.nullable(v.string())),
  since: v.string(),
  beat: v.optional(v.pipe(v.string(), v.digits(), v.transform(Number), count)),
});

/** Process that holds a run's folder, as its lock says. */
export interface LockHolder extends ProcessIdentity {
  /** Random id of this lock. Missing in locks of version 0.1, as are `space` and `beat`. */
  readonly id?: string | undefined;
  /** Time of acquisition, ISO 8601. */
  readonly since: string;
  /** Heartbeat counter; grows while the holder is alive. */
  readonly beat?: number | undefined;
}

/** Holder of a lock before its first heartbeat. */
export type LockOwner = Omit<LockHolder, 'beat'>;

/** Text of a lock. It has the same length for every beat, so that it can be overwritten in place. */
export const serializeHolder = ({ beat, ...rest }: LockHolder): string =>
  `${JSON.stringify({ ...rest, ...(beat === undefined ? {} : { beat: String(beat).padStart(HEARTBEAT_DIGITS, '0') }) })}\n`;

/** Reads a lock. @returns null if there is none, or its text is not valid */
export async function readHolder(file: string): Promise<LockHolder | null> {
  try {
    return parse((await readRegularFile(file, MAX_LOCK_BYTES)).toString('utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || code === 'ENOENT') return null;
    throw error;
  }
}

function parse(text: string): LockHolder | null {
  try {
    const { success, output } = v.safeParse(schema, JSON.parse(text));
    return success ? output : null;
  } catch {
    return null;
  }
}

/**
 * Overwrites a holder's own lock with a later beat. In place: that needs no space on a full disk, and cannot overwrite the
 * lock of another process, which is a new file. Makes the lock again if a person has deleted it.
 * @returns the process that has taken over, or null if the lock is still the holder's
 */
export async function updateHolder(file: string, own: LockHolder): Promise<LockHolder | null> {
  const opened = await open(file, constants.O_RDWR).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  });
  if (opened === null) {
    await writeFile(file, serializeHolder(own), { flag: 'wx' });
    return null;
  }
  try {
    const found = parse(await opened.readFile('utf8'));
    if (found !== null && found.id !== own.id) return found;
    await opened.write(serializeHolder(own), 0, 'utf8');
    return null;
  } finally {
    await opened.close();
  }
}
