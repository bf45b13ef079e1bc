const MAX_NAME_LENGTH = 100;
const DEFAULT_NAME = 'worker';

/** What no eye sees: control and format characters, and letters and symbols that are drawn as nothing. */
const INVISIBLE = /\p{C}|\p{Default_Ignorable_Code_Point}|\u2800/gu;
/** More marks on one letter than languages need cover the lines around it. */
const STACKED_MARKS = /(\p{M}{3})\p{M}+/gu;

/**
 * The name of a worker as people see it: composed, without invisible characters, single spaces, never empty, and not
 * that of another worker. The second `ann` is `ann (2)`.
 * @param asked what the worker calls itself
 * @param taken names of the others
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

/** Alike for names that look alike but for capitals and widths. */
const normalizedName = (name: string): string => name.normalize('NFKC').toLowerCase();

/** Cuts at a whole character. @param length UTF-16 code units */
function truncate(text: string, length: number): string {
  const kept = text.slice(0, length);
  return (/[\ud800-\udbff]$/.test(kept) ? kept.slice(0, -1) : kept).trim();
}
