import { formatMetric } from './reporter.ts';
import { paint, styleOf, type TextStyle } from './text-style.ts';

/** Values of a curve, one an epoch. */
export interface Curve {
  /** One character that marks the curve where characters are drawn in place of dots. */
  readonly mark: string;
  readonly values: readonly number[];
}

export interface CurveStyle extends TextStyle {
  /** Width of the drawing with its labels, in columns. */
  readonly columns: number;
  /** Height of the drawing in lines. @default 4 */
  readonly rows?: number;
}

/** Width beyond which a drawing gets no wider. */
const MAX_PLOT_COLUMNS = 60;
const BRAILLE_BLANK = 0x2800;
/** Bits of a braille character's dots, from the top: in its left column, and in its right one. */
const BRAILLE_DOTS = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;

/** Style of drawings on a stream of this process; 80 columns where it is no terminal. */
export const curveStyle = (stream: { readonly columns?: number; readonly isTTY?: boolean }): CurveStyle => ({
  columns: stream.columns ?? 80,
  ...styleOf(stream),
});

/**
 * Lines that draw curves over a common axis, the largest and smallest value beside them. One curve is drawn in braille dots, several
 * in their marks, with `*` where they meet.
 * @returns no lines if no curve has two finite values, or the terminal is too narrow
 */
export function drawCurves(curves: readonly Curve[], style: CurveStyle): string[] {
  const { columns, rows = 4, isUnicode } = style;
  const finite = curves.flatMap(({ values }) => values.filter(Number.isFinite));
  const hasCurve = curves.some(({ values }) => values.filter(Number.isFinite).length > 1);
  const max = Math.max(...finite);
  const min = Math.min(...finite);
  const labels = [formatMetric(max), formatMetric(min)];
  const labelColumns = Math.max(...labels.map((label) => label.length));
  const width = Math.min(MAX_PLOT_COLUMNS, columns - labelColumns - 3);
  if (!hasCurve || width < 4) return [];
  const length = Math.max(...curves.map(({ values }) => values.length));
  const heightOf = (value: number): number => (max === min ? 0.5 : (max - value) / (max - min));
  const isDots = isUnicode && curves.length === 1;
  const cells = isDots
    ? drawDots(curves[0]?.values ?? [], width, rows, heightOf)
    : drawMarks(curves, length, width, rows, heightOf);
  return cells.map((line, row) => {
    const label = row === 0 ? labels[0] : row === rows - 1 ? labels[1] : '';
    const axis = paint(style, 'dim', `${(label ?? '').padStart(labelColumns)} ${isUnicode ? '│' : '|'}`);
    return `${axis}${paint(style, 'green', line.trimEnd())}`;
  });
}

/** Value between two epochs, or NaN outside of the curve. @param at epoch, from 0 */
function valueAt(values: readonly number[], at: number): number {
  const before = values[Math.floor(at)] ?? NaN;
  const after = values[Math.ceil(at)] ?? NaN;
  return before + (after - before) * (at - Math.floor(at));
}

function drawDots(
  values: readonly number[],
  width: number,
  rows: number,
  heightOf: (value: number) => number,
): string[] {
  const cells = Array.from({ length: rows }, () => new Array<number>(width).fill(BRAILLE_BLANK));
  for (let x = 0; x < 2 * width; x++) {
    const height = heightOf(valueAt(values, (x / (2 * width - 1)) * (values.length - 1)));
    if (Number.isNaN(height)) continue;
    const y = Math.round(height * (4 * rows - 1));
    const line = cells[Math.floor(y / 4)];
    const column = x >> 1;
    if (line !== undefined) line[column] = (line[column] ?? 0) | (BRAILLE_DOTS[x & 1]?.[y % 4] ?? 0);
  }
  return cells.map((line) =>
    line.map((cell) => (cell === BRAILLE_BLANK ? ' ' : String.fromCodePoint(cell))).join(''),
  );
}

function drawMarks(
  curves: readonly Curve[],
  length: number,
  width: number,
  rows: number,
  heightOf: (value: number) => number,
): string[] {
  const cells = Array.from({ length: rows }, () => new Array<string>(width).fill(' '));
  for (const { mark, values } of curves) {
    for (let x = 0; x < width; x++) {
      const height = heightOf(valueAt(values, (x / (width - 1)) * (length - 1)));
      const line = Number.isNaN(height) ? undefined : cells[Math.round(height * (rows - 1))];
      if (line !== undefined) line[x] = line[x] === ' ' ? mark : '*';
    }
  }
  return cells.map((line) => line.join(''));
}
