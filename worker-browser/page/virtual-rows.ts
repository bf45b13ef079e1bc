import type { RowElements } from './row-elements.ts';
import { rowsInDocument, scrollShift } from './visible-window.ts';

/** Rows of the list; `fill` is called for rows in the document only. */
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
    // A list that has all its rows needs no layout here.
    const scrollTop = this.#isVirtual ? this.#scroller.scrollTop : 0;
    const before = { keys: this.#source.keys, scrollTop, rowHeight: this.#rowHeight };
    this.#source = source;
    this.#isVirtual = isVirtual;
    this.#scroller.classList.toggle('virtual', isVirtual);
    this.#scroller.setAttribute('aria-rowcount', String(source.keys.length + 1));
    this.#body.style.setProperty('--rows', String(source.keys.length));
    const shift = scrollShift(before, source.keys);
    if (shift !== 0) this.#scroller.scrollTop += shift;
    this.#draw();
  }

  scrollToTop(): void {
    this.#scroller.scrollTop = 0;
  }

  get isScrolled(): boolean {
    return this.#isVirtual && this.#scroller.scrollTop > 0;
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

  /** Numbers of the rows in the document. */
  #indexes(): number[] {
    const { keys } = this.#source;
    if (!this.#isVirtual) return [...keys.keys()];
    const focused = document.activeElement?.closest('[role="row"]') ?? null;
    const focusedKey = [...this.#elements].find(([, { node }]) => node === focused)?.[0];
    const viewport = {
      scrollTop: this.#scroller.scrollTop,
      height: this.#height,
      rowHeight: this.#rowHeight,
      count: keys.length,
    };
    return rowsInDocument(viewport, focusedKey === undefined ? -1 : keys.indexOf(focusedKey));
  }
}

function unknownRow(): never {
  throw new Error('An empty list has no rows.');
}
