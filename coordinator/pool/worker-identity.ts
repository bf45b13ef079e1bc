import { createHash } from 'node:crypto';

/** Shorter values could be guessed; 16 random characters are about 90 bits. */
const MIN_INSTANCE_LENGTH = 16;

/**
 * Digest of a worker's `instance`. A process that knows the instance can take the worker's slot, so the instance is a secret:
 * the coordinator keeps only the digest, and sends it to no process.
 * @returns null for a worker without an instance, or with one that could be guessed
 */
export function instanceKey(instance: string | undefined): string | null {
  if (instance === undefined || instance.length < MIN_INSTANCE_LENGTH) return null;
  return createHash('sha256').update(instance).digest('base64');
}

const MAX_NAME_LENGTH = 100;
const DEFAULT_NAME = 'worker';

/** Control and format characters, and letters and symbols without a visible glyph. */
const INVISIBLE = /\p{C}|\p{Default_Ignorable_Code_Point}|\u2800/gu;
/** More marks on one letter than any language needs; they would cover the lines around the name. */
const STACKED_MARKS = /(\p{M}{3})\p{M}+/gu;

/**
 * A name as it is displayed: composed, without invisible characters, with single spaces. May be empty.
 * @param requested name in the worker's hello
 */
export function visibleName(requested: string): string {
  const visible = requested
    .normalize('NFC')
    .replace(/\s+/gu, ' ')
    .replace(INVISIBLE, '')
    .replace(STACKED_MARKS, '$1');
  return truncate(visible.replace(/ +/g, ' ').trim(), MAX_NAME_LENGTH);
}

/** Display names of the workers of a run, each unique. */
export class WorkerNames {
  readonly #taken = new Set<string>();

  /**
   * Takes a name: composed, without invisible characters, with single spaces, never empty, and unique. The second `ann` becomes
   * `ann (2)`.
   * @param requested name in the worker's hello
   */
  take(requested: string): string {
    const name = visibleName(requested) || DEFAULT_NAME;
    let unique = name;
    for (let number = 2; this.#taken.has(normalizedName(unique)); number++) {
      const suffix = ` (${number})`;
      unique = truncate(name, MAX_NAME_LENGTH - suffix.length) + suffix;
    }
    this.#taken.add(normalizedName(unique));
    return unique;
  }

  /** Frees the name of a worker that has left. */
  free(name: string): void {
    this.#taken.delete(normalizedName(name));
  }
}

/** Key that is equal for names that differ only in case and width. */
const normalizedName = (name: string): string => name.normalize('NFKC').toLowerCase();

/** Truncates at a whole character. @param length UTF-16 code units */
function truncate(text: string, length: number): string {
  const prefix = text.slice(0, length);
  return (/[\ud800-\udbff]$/.test(prefix) ? prefix.slice(0, -1) : prefix).trim();
}
