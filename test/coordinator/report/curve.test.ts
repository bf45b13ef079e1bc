import { expect, test } from 'vitest';
import { drawCurves } from '../../../coordinator/report/curve.ts';
import { isUnicodeLocale } from '../../../coordinator/report/text-style.ts';

const falling = { mark: '*', values: [4, 3, 2, 1] };

test('one curve is drawn in braille dots, from its largest value down to its smallest', () => {
  const lines = drawCurves([falling], { columns: 17, rows: 2, isUnicode: true, inColor: false });
  expect(lines[0]).toMatch(/^4\.0000 │[\u2801-\u28ff]+$/);
  expect(lines[1]).toMatch(/^1\.0000 │ +[\u2801-\u28ff]+$/);
});

test('where the locale is not UTF-8, a curve is drawn in ASCII', () => {
  expect(drawCurves([falling], { columns: 13, rows: 4, isUnicode: false, inColor: false })).toEqual([
    '4.0000 |*',
    '       | *',
    '       |  *',
    '1.0000 |   *',
  ]);
});

test('two curves keep their marks, a star where they meet, and a shorter one ends earlier', () => {
  const curves = [
    { mark: 'A', values: [1, 1, 1, 1] },
    { mark: 'B', values: [1, 0] },
  ];
  expect(drawCurves(curves, { columns: 13, rows: 2, isUnicode: false, inColor: false })).toEqual([
    '1.0000 |*AAA',
    '0.0000 | B',
  ]);
});

test('in color, the axis is dim and the curve green', () => {
  const lines = drawCurves([falling], { columns: 13, rows: 4, isUnicode: false, inColor: true });
  expect(lines[3]).toBe('\u001b[2m1.0000 |\u001b[22m\u001b[32m   *\u001b[39m');
});

test.each([40, 80, 200])('no line is longer than %i columns', (columns) => {
  const values = Array.from({ length: 300 }, (_, epoch) => Math.exp(-epoch / 50));
  for (const isUnicode of [true, false]) {
    const lines = drawCurves([{ mark: '*', values }], { columns, isUnicode, inColor: false });
    expect(lines).toHaveLength(4);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(columns);
  }
});

test('nothing is drawn of one epoch, of values that are not finite, or in a terminal without room', () => {
  const style = { columns: 80, isUnicode: true, inColor: false };
  expect(drawCurves([{ mark: '*', values: [1] }], style)).toEqual([]);
  expect(drawCurves([{ mark: '*', values: [NaN, NaN] }], style)).toEqual([]);
  expect(drawCurves([falling], { ...style, columns: 12 })).toEqual([]);
});

test('a constant curve and one with a gap are drawn', () => {
  const style = { columns: 80, isUnicode: false, inColor: false };
  expect(drawCurves([{ mark: '*', values: [2, 2] }], style)).toHaveLength(4);
  expect(drawCurves([{ mark: '*', values: [2, NaN, 1] }], style)).toHaveLength(4);
});

test('the first of LC_ALL, LC_CTYPE and LANG that is set decides on Unicode', () => {
  expect(isUnicodeLocale({ LANG: 'de_DE.UTF-8' }, 'linux')).toBe(true);
  expect(isUnicodeLocale({ LC_ALL: 'C', LANG: 'en_US.UTF-8' }, 'linux')).toBe(false);
  expect(isUnicodeLocale({ LC_ALL: '', LC_CTYPE: 'C.utf8' }, 'linux')).toBe(true);
  expect(isUnicodeLocale({}, 'linux')).toBe(false);
  expect(isUnicodeLocale({}, 'win32')).toBe(true);
});
