import type { RowElements } from './row-elements.ts';

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

/** What the list draws; `fill` is called for rows in the document only. */
export interface RowSource {
  readonly keys: readonly string[];
  readonly create: (index: number) => RowElements;
  readonly fill: (elements: RowElements, index: number) => void;
}

/**
 * A long list of rows of one height, of which only those near the viewport are in the document. A short list has all rows, of any
 * height. Elements stay in the document while their values change.
 */
export class VirtualRows {
  readonly #scroller: HTMLElement;
  readonly #body: HTMLElement;
  readonly #elements = new Map<string, RowElements>();
  #source: RowSource = { keys: [], create: unknownRow, fill: unknownRow };
  #isVirtual = false;
  #rowHeight = 0;
  #height = 0;

  /**
   * @param scroller the scrolling element
   * @param body parent of the rows, as high as all of them
   */
  constructor(scroller: HTMLElement, body: HTMLElement) {
    this.#scroller = scroller;
    this.#body = body;
    const observer = new ResizeObserver(() => this.#measure());
    observer.observe(scroller);
    observer.observe(body);
    scroller.addEventListener('scroll', () => this.#draw(), { passive: true });
  }

  /** @param isVirtual whether rows have one height and are in the document only near the viewport */
  show(source: RowSource, isVirtual: boolean): void {
    const top = this.#topKey();
    this.#source = source;
    this.#isVirtual = isVirtual;
    this.#scroller.classList.toggle('virtual', isVirtual);
    this.#scroller.setAttribute('aria-rowcount', String(source.keys.length + 1));
    this.#body.style.setProperty('--rows', String(source.keys.length));
    this.#keepInPlace(top);
    this.#draw();
  }

  scrollToTop(): void {
    this.#scroller.scrollTop = 0;
  }

  get isScrolled(): boolean {
    return this.#isVirtual && this.#scroller.scrollTop > 0;
  }

  /** The uppermost visible row and its number. */
  #topKey(): { readonly key: string; readonly index: number } | null {
    if (!this.isScrolled || this.#rowHeight === 0) return null;
    const index = Math.floor(this.#scroller.scrollTop / this.#rowHeight);
    const key = this.#source.keys[index];
    return key === undefined ? null : { key, index };
  }

  /** Scrolls by the rows that were added or removed above the uppermost visible one, so that it stays where it is. */
  #keepInPlace(top: { readonly key: string; readonly index: number } | null): void {
    if (top === null || this.#source.keys[top.index] === top.key) return;
    const index = this.#source.keys.indexOf(top.key);
    if (index >= 0) this.#scroller.scrollTop += (index - top.index) * this.#rowHeight;
  }

  #measure(): void {
    const { keys } = this.#source;
    if (!this.#isVirtual || keys.length === 0) return;
    this.#rowHeight = this.#body.offsetHeight / keys.length;
    this.#height = this.#scroller.clientHeight;
    this.#draw();
  }

  #draw(): void {
    const indexes = this.#indexes();
    const { keys, create, fill } = this.#source;
    const shown = new Set(indexes.map((index) => keys[index]));
    for (const [key, { node }] of this.#elements) {
      if (shown.has(key)) continue;
      node.remove();
      this.#elements.delete(key);
    }
    let next = this.#body.firstElementChild;
    for (const index of indexes) {
      const key = keys[index] ?? '';
      const elements = this.#elements.get(key) ?? create(index);
      this.#elements.set(key, elements);
      fill(elements, index);
      if (elements.node === next) next = next.nextElementSibling;
      else this.#body.insertBefore(elements.node, next);
    }
  }

  /** Numbers of the rows in the document. The row that has the focus stays there. */
  #indexes(): number[] {
    const { keys } = this.#source;
    if (!this.#isVirtual) return [...keys.keys()];
    const { scrollTop } = this.#scroller;
    const [first, end] = visibleWindow({
      scrollTop,
      height: this.#height,
      rowHeight: this.#rowHeight,
      count: keys.length,
    });
    const indexes = Array.from({ length: end - first }, (_, i) => first + i);
    const focused = document.activeElement?.closest('[role="row"]') ?? null;
    const focusedKey = [...this.#elements].find(([, { node }]) => node === focused)?.[0];
    const focusedIndex = focusedKey === undefined ? -1 : keys.indexOf(focusedKey);
    if (focusedIndex >= 0 && focusedIndex < first) return [focusedIndex, ...indexes];
    return focusedIndex >= end ? [...indexes, focusedIndex] : indexes;
  }
}

function unknownRow(): never {
  throw new Error('An empty list has no rows.');
}
