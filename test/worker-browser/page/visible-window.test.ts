import fc from 'fast-check';
import { expect, it } from 'vitest';
import { rowsInDocument, scrollShift, visibleWindow } from '../../../worker-browser/page/visible-window.ts';
import { checkProperty } from '../../support/property.ts';

it('has the rows of the viewport and some more at each end', () => {
  const list = { height: 320, rowHeight: 64, count: 1000 };
  expect(visibleWindow({ ...list, scrollTop: 640 })).toEqual([4, 22]);
  expect(visibleWindow({ ...list, scrollTop: 0 })).toEqual([0, 12]);
  expect(visibleWindow({ ...list, scrollTop: 64_000 - 320 })).toEqual([989, 1000]);
  expect(visibleWindow({ ...list, count: 0, scrollTop: 0 })).toEqual([0, 0]);
});

it('has the first rows while their height is not known', () => {
  expect(visibleWindow({ scrollTop: 0, height: 0, rowHeight: 0, count: 1000 })).toEqual([0, 30]);
});

it('covers the viewport with few rows wherever a list of any length is scrolled to', () => {
  const viewport = fc.record({
    scrollTop: fc.integer({ min: -100, max: 1_000_000 }),
    height: fc.integer({ min: 0, max: 2_000 }),
    rowHeight: fc.integer({ min: 20, max: 300 }),
    count: fc.nat(4_000),
  });
  checkProperty(
    fc.property(viewport, (list) => {
      const { scrollTop, height, rowHeight, count } = list;
      const [first, end] = visibleWindow(list);
      expect(first).toBeGreaterThanOrEqual(0);
      expect(end).toBeLessThanOrEqual(count);
      expect(end - first).toBeLessThanOrEqual(Math.ceil(height / rowHeight) + 13);
      // Where the browser lets the list be scrolled to.
      const top = Math.max(0, Math.min(scrollTop, count * rowHeight - height));
      expect(first * rowHeight).toBeLessThanOrEqual(top);
      expect(end * rowHeight).toBeGreaterThanOrEqual(Math.min(top + height, count * rowHeight));
    }),
    { seed: 28, numRuns: 500 },
  );
});

it('keeps the row that has the focus, wherever the list is scrolled to', () => {
  const list = { height: 128, rowHeight: 64, count: 1000, scrollTop: 32_000 };
  const [first, end] = visibleWindow(list);
  const rows = Array.from({ length: end - first }, (_, i) => first + i);
  expect(rowsInDocument(list, -1)).toEqual(rows);
  expect(rowsInDocument(list, 500)).toEqual(rows);
  expect(rowsInDocument(list, 3)).toEqual([3, ...rows]);
  expect(rowsInDocument(list, 999)).toEqual([...rows, 999]);
});

it('scrolls by the rows that came or went above the uppermost visible one', () => {
  const before = { keys: ['a', 'b', 'c', 'd'], scrollTop: 150, rowHeight: 64 };
  expect(scrollShift(before, ['a', 'b', 'c', 'd', 'e'])).toBe(0);
  expect(scrollShift(before, ['a', 'c', 'd'])).toBe(-64);
  expect(scrollShift(before, ['x', 'y', 'a', 'b', 'c'])).toBe(128);
  // The row is gone, the list is at its top, or was not laid out yet.
  expect(scrollShift(before, ['a', 'b'])).toBe(0);
  expect(scrollShift({ ...before, scrollTop: 0 }, ['x', 'a'])).toBe(0);
  expect(scrollShift({ ...before, rowHeight: 0 }, ['x', 'a'])).toBe(0);
});
