import { constants } from 'node:fs';
import { open, writeFile } from 'node:fs/promises';
import * as v from 'valibot';
import { readRegularFile } from '../files/read-file.ts';

export const LOCK_FILE = 'lock.json';

/** Larger than any lock. */
const MAX_LOCK_BYTES = 65_536;
const HEARTBEAT_DIGITS = 12;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const schema = v.object({
  /** Drawn anew by each holder. Missing in locks of version 0.1, as are `space` and `beat`. */
  id: v.optional(v.string()),
  pid: v.pipe(count, v.minValue(1)),
  host: v.string(),
  /** See startOf. */
  start: v.nullable(v.string()),
  /** See processSpace. */
  space: v.optional(v.nullable(v.string())),
  /** When it took the folder, ISO 8601. */
  since: v.string(),
  /** Grows while the holder is alive. */
  beat: v.optional(v.pipe(v.string(), v.digits(), v.transform(Number), count)),
});

/** The process that has a run's folder. */
export interface LockHolder extends Omit<v.InferOutput<typeof schema>, 'space'> {
  readonly space?: string | null | undefined;
}

/** A lock's text has the same length for every beat, so that it can be overwritten in place. */
export const serializeHolder = ({ beat, ...rest }: LockHolder): string =>
  `${JSON.stringify({ ...rest, ...(beat === undefined ? {} : { beat: String(beat).padStart(HEARTBEAT_DIGITS, '0') }) })}\n`;

/** @returns null if no process has it, or the file says nothing that can be understood */
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
 * Overwrites a holder's own lock with a later beat, in place: that takes no space on a full disk, and never overwrites the
 * lock of another process, which is another file. A lock that a person has deleted is made again.
 * @returns the process that has taken it, or null if the lock is still the holder's
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
