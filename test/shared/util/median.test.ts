import { expect, it } from 'vitest';
import { lowerMedian, lowerMedianBy, median } from '../../../shared/util/median.ts';

it('of an odd number of values both medians are the one in the middle, whatever the order', () => {
  expect([median([10, 9, 2]), lowerMedian([10, 9, 2])]).toEqual([9, 9]);
});

it('of an even number of values the medians are the two in the middle', () => {
  const values = [4, 1, 3, 2];
  expect([lowerMedian(values), median(values)]).toEqual([2, 3]);
  expect(values).toEqual([4, 1, 3, 2]);
});

it('there is no median without values', () => {
  expect([median([]), lowerMedian([]), lowerMedianBy([], Number)]).toEqual([null, null, null]);
});

it('an item is found by its key', () => {
  const items = ['ccc', 'a', 'bb', 'dddd'];
  expect(lowerMedianBy(items, ({ length }) => length)).toBe('bb');
});
