import { createHash } from 'node:crypto';

/** A shorter text could be guessed: 16 random characters are some 90 bits. */
const MIN_INSTANCE_LENGTH = 16;

/**
 * Digest of a worker's `instance`. A process that knows the instance takes the worker's place, so it is a secret: the coordinator
 * keeps the digest alone, and sends it to no other process.
 * @returns null for a worker without an instance, or with one that could be guessed
 */
export function instanceKey(instance: string | undefined): string | null {
  if (instance === undefined || instance.length < MIN_INSTANCE_LENGTH) return null;
  return createHash('sha256').update(instance).digest('base64');
}

const MAX_NAME_LENGTH = 100;
const DEFAULT_NAME = 'worker';

/** Control and format characters, and letters and symbols that are drawn as nothing. */
const INVISIBLE = /\p{C}|\p{Default_Ignorable_Code_Point}|\u2800/gu;
/** More marks on one letter than languages need cover the lines around it. */
const STACKED_MARKS = /(\p{M}{3})\p{M}+/gu;

/**
 * Name of a worker for people: composed, without invisible characters, single spaces, never empty, and not the name of another
 * worker. The second `ann` is `ann (2)`.
 * @param asked name that the worker asks for
 * @param taken names of the other workers
 */
export function workerName(asked: string, taken: Iterable<string>): string {
  const visible = asked
    .normalize('NFC')
    .replace(/\s+/gu, ' ')
    .replace(INVISIBLE, '')
    .replace(STACKED_MARKS, '$1');
  const name = truncate(visible.replace(/ +/g, ' ').trim(), MAX_NAME_LENGTH) || DEFAULT_NAME;
  const others = new Set(Array.from(taken, normalizedName));
  let unique = name;
  for (let number = 2; others.has(normalizedName(unique)); number++) {
    const suffix = ` (${number})`;
    unique = truncate(name, MAX_NAME_LENGTH - suffix.length) + suffix;
  }
  return unique;
}

/** Equal for names that differ in capitals and widths alone. */
const normalizedName = (name: string): string => name.normalize('NFKC').toLowerCase();

/** Truncates at a whole character. @param length UTF-16 code units */
function truncate(text: string, length: number): string {
  const kept = text.slice(0, length);
  return (/[\ud800-\udbff]$/.test(kept) ? kept.slice(0, -1) : kept).trim();
}
