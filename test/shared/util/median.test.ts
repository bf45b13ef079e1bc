import { expect, it } from 'vitest';
import { lowerMedian, lowerMedianBy, median } from '../../../shared/util/median.ts';

it('both medians of an odd number of values are the middle value, in any order', () => {
  expect([median([10, 9, 2]), lowerMedian([10, 9, 2])]).toEqual([9, 9]);
});

it('the two medians of an even number of values are the two middle values', () => {
  const values = [4, 1, 3, 2];
  expect([lowerMedian(values), median(values)]).toEqual([2, 3]);
  expect(values).toEqual([4, 1, 3, 2]);
});

it('the medians of no values are null', () => {
  expect([median([]), lowerMedian([]), lowerMedianBy([], Number)]).toEqual([null, null, null]);
});

it('lowerMedianBy returns the item with the median key', () => {
  const items = ['ccc', 'a', 'bb', 'dddd'];
  expect(lowerMedianBy(items, ({ length }) => length)).toBe('bb');
});
