export interface Viewport {
  /** Pixels of the list above the viewport. */
  readonly scrollTop: number;
  /** Height of the viewport in pixels. */
  readonly height: number;
  /** Height of each row in pixels. */
  readonly rowHeight: number;
  /** Number of rows. */
  readonly count: number;
}

/** Rows beyond each edge of the viewport, which scrolling shows before the next frame. */
const OVERSCAN = 6;
/** Rows in the document while their height is not known yet. */
const FIRST_ROWS = 30;

/**
 * Rows that are in the document: those in the viewport, and OVERSCAN more at each end.
 * @returns first row, and the row after the last one
 * @example visibleWindow({ scrollTop: 640, height: 320, rowHeight: 64, count: 1000 }) // [4, 21]
 */
export function visibleWindow({ scrollTop, height, rowHeight, count }: Viewport): readonly [number, number] {
  if (rowHeight <= 0) return [0, Math.min(count, FIRST_ROWS)];
  const rows = Math.ceil(height / rowHeight);
  // A list that has become shorter is scrolled back by the browser only later.
  const top = Math.max(0, Math.min(Math.floor(scrollTop / rowHeight), count - rows));
  return [Math.max(0, top - OVERSCAN), Math.min(count, top + rows + 1 + OVERSCAN)];
}

/**
 * Numbers of the rows that are in the document, ascending: the visible window and the row that has the focus, which it would
 * lose if it left the document.
 * @param focused number of that row; -1 for none
 */
export function rowsInDocument(viewport: Viewport, focused: number): number[] {
  const [first, end] = visibleWindow(viewport);
  const rows = Array.from({ length: end - first }, (_, i) => first + i);
  if (focused >= 0 && focused < first) return [focused, ...rows];
  return focused >= end ? [...rows, focused] : rows;
}

/** A list of rows that is scrolled. */
export interface ScrolledList {
  readonly keys: readonly string[];
  /** Pixels of the list above the viewport. */
  readonly scrollTop: number;
  /** Height of each row in pixels. */
  readonly rowHeight: number;
}

/**
 * Pixels to scroll by so that the uppermost visible row stays where it is, although rows were added or removed above it; 0 if it
 * is gone, or the list is not scrolled.
 * @param keys of the new list
 */
export function scrollShift(before: ScrolledList, keys: readonly string[]): number {
  const { scrollTop, rowHeight } = before;
  if (scrollTop <= 0 || rowHeight <= 0) return 0;
  const index = Math.floor(scrollTop / rowHeight);
  const key = before.keys[index];
  if (key === undefined || keys[index] === key) return 0;
  const newIndex = keys.indexOf(key);
  return newIndex < 0 ? 0 : (newIndex - index) * rowHeight;
}
