/** Median of some values; of an even number of values the upper one of the two in the middle. Null without values. */
export const median = (values: readonly number[]): number | null =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? null;

/** Median of some values; of an even number of values the lower one of the two in the middle. Null without values. */
export const lowerMedian = (values: readonly number[]): number | null =>
  lowerMedianBy(values, (value) => value);

/** Item whose key is the lower median of all keys. Null without items. */
export function lowerMedianBy<Item>(items: readonly Item[], key: (item: Item) => number): Item | null {
  return items.toSorted((a, b) => key(a) - key(b))[(items.length - 1) >> 1] ?? null;
}
