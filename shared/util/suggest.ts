import { distance } from 'fastest-levenshtein';

const MAX_EDITS = 3;
const MIN_SIMILARITY = 0.4;

/**
 * The name that a mistyped one is most like, in any case; undefined if none is near. The bounds are those of commander for commands and
 * options. The first of several that are as near is taken.
 * @param maxEdits letters to insert, delete or replace at most
 * @example
 * nearestName('fashion-minst', ['mnist', 'fashion-mnist']); // 'fashion-mnist'
 */
export function nearestName(
  mistyped: string,
  names: Iterable<string>,
  maxEdits = MAX_EDITS,
): string | undefined {
  let nearest: { readonly name: string; readonly edits: number } | undefined;
  for (const name of names) {
    const length = Math.max(name.length, mistyped.length);
    // The distance takes time in proportion to the product of the lengths.
    if (Math.abs(name.length - mistyped.length) > maxEdits) continue;
    const edits = distance(mistyped.toLowerCase(), name.toLowerCase());
    if (edits > maxEdits || (length - edits) / length <= MIN_SIMILARITY) continue;
    if (nearest === undefined || edits < nearest.edits) nearest = { name, edits };
  }
  return nearest?.name;
}

/**
 * Question for the end of a sentence that refuses a name, with a space before it; '' if no name is near.
 * @example
 * `There is no loss hubber.${didYouMean('hubber', LOSS_NAMES)}`; // 'There is no loss hubber. Did you mean 'huber'?'
 */
export function didYouMean(mistyped: string, names: Iterable<string>): string {
  const name = nearestName(mistyped, names);
  return name === undefined ? '' : ` Did you mean '${name}'?`;
}

/**
 * Names among what a schema of valibot expects: those of a picklist, of literals or of a variant.
 * @example
 * namesIn('("auto" | "min") | Object'); // ['auto', 'min']
 */
export const namesIn = (expected: string | null): string[] =>
  [...(expected ?? '').matchAll(/"([^"]*)"/g)].map(([, name = '']) => name);
