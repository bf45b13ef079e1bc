import {
  COLUMNS,
  arrangeWorkers,
  firstOrder,
  isWorthGrouping,
  nextOrder,
  type Order,
  type TableItem,
  type WorkersOfRun,
} from './arrange-workers.ts';
import { element, oncePerFrame, setText } from './dom.ts';
import { formatCount } from './format.ts';
import { RowElements } from './row-elements.ts';
import { VirtualRows } from './virtual-rows.ts';
import { createRow, type RowView } from './worker-rows.ts';

/** Workers up to which the table shows all rows, without search and groups. */
const MAX_PLAIN = 20;

/** The table of workers, with search, order and groups as a person chooses them. */
export class WorkerTable {
  readonly #table = element('workers', HTMLElement);
  readonly #body = element('worker-rows', HTMLElement);
  readonly #tools = element('worker-tools', HTMLElement);
  readonly #search = element('worker-search', HTMLInputElement);
  readonly #grouping = element('group-workers', HTMLInputElement);
  readonly #sorting = element('sort-workers', HTMLSelectElement);
  readonly #count = element('worker-count', HTMLElement);
  readonly #rows = new VirtualRows(this.#table, this.#body);
  readonly #redraw = oncePerFrame(() => this.#draw());
  #run: WorkersOfRun = { workers: [], ownId: null, slowestId: undefined };
  #order: Order | null = null;
  /** Null while the person has not chosen. */
  #isGrouped: boolean | null = null;
  #toggled: ReadonlySet<string> = new Set();
  #toggledInSearch: ReadonlySet<string> = new Set();
  #sequence: readonly string[] = [];
  /** Whether the person has just changed what the table shows, so rows may move. */
  #isChosenAnew = true;
  #isHovered = false;
  #isSelected = false;

  constructor() {
    // Questions about pointer and selection at each message would have the browser lay out the page once more each time.
    this.#body.addEventListener('pointerenter', () => (this.#isHovered = true));
    this.#body.addEventListener('pointerleave', () => (this.#isHovered = false));
    document.addEventListener('selectionchange', () => {
      const selection = document.getSelection();
      this.#isSelected = selection?.isCollapsed === false && this.#body.contains(selection.anchorNode);
    });
    // Browsers may restore what was chosen before the page was reloaded.
    this.#search.value = '';
    this.#grouping.checked = false;
    this.#sorting.value = '';
    this.#search.addEventListener('input', () => {
      this.#toggledInSearch = new Set();
      // The table keeps its height, since the search field would move away if the page became shorter.
      this.#table.style.minHeight = this.#query === '' ? '' : `${this.#table.offsetHeight}px`;
      this.#choose();
    });
    this.#grouping.addEventListener('change', () => {
      this.#isGrouped = this.#grouping.checked;
      this.#choose();
    });
    this.#sorting.addEventListener('change', () => {
      const column = COLUMNS.find((name) => name === this.#sorting.value);
      this.#order = column === undefined ? null : firstOrder(column);
      this.#choose();
    });
    this.#table.addEventListener('click', ({ target }) => {
      const button = target instanceof Element ? target.closest('button') : null;
      const column = COLUMNS.find((name) => name === button?.dataset.column);
      if (column !== undefined) {
        this.#order = nextOrder(this.#order, column);
        this.#sorting.value = this.#order?.column ?? '';
        this.#choose();
      } else if (button?.dataset.key !== undefined) this.#toggle(button.dataset.key);
    });
  }

  /** Shows the workers of the run. Called for each message, at most once a frame; most messages have no new rows. */
  show(run: WorkersOfRun): void {
    const { workers, ownId, slowestId } = this.#run;
    if (run.workers === workers && run.ownId === ownId && run.slowestId === slowestId) return;
    this.#run = run;
    this.#draw();
  }

  get #query(): string {
    return this.#search.value.trim();
  }

  #choose(): void {
    this.#isChosenAnew = true;
    this.#rows.scrollToTop();
    this.#redraw();
  }

  #toggle(key: string): void {
    const isSearch = this.#query !== '';
    const toggled = new Set(isSearch ? this.#toggledInSearch : this.#toggled);
    const machine = key.slice('group '.length);
    if (!toggled.delete(machine)) toggled.add(machine);
    if (isSearch) this.#toggledInSearch = toggled;
    else this.#toggled = toggled;
    this.#redraw();
  }

  /** Whether rows keep their order: they would move away under a pointer, a focus, a selection, or while a person scrolls. */
  #isHeld(): boolean {
    if (this.#isChosenAnew) return false;
    return (
      this.#isHovered ||
      this.#isSelected ||
      this.#body.contains(document.activeElement) ||
      this.#rows.isScrolled
    );
  }

  #draw(): void {
    const { workers } = this.#run;
    const query = this.#query;
    const isLong = workers.length > MAX_PLAIN || query !== '';
    const isGrouped = isLong && (this.#isGrouped ?? (this.#grouping.checked || isWorthGrouping(workers)));
    this.#tools.hidden = !isLong;
    this.#table.hidden = workers.length === 0 && !isLong;
    if (isLong) this.#grouping.checked = isGrouped;
    const { items, matches, sequence } = arrangeWorkers(
      this.#run,
      {
        query,
        order: this.#order,
        isGrouped,
        toggled: query === '' ? this.#toggled : this.#toggledInSearch,
      },
      this.#sequence,
      this.#isHeld(),
    );
    this.#isChosenAnew = false;
    this.#sequence = sequence;
    const { hidden = 0 } = this.#run;
    const found = query === '' ? '' : countText(matches, workers.length, hidden);
    setText(
      this.#count,
      found !== '' || hidden === 0 ? found : countText(workers.length, workers.length, hidden),
    );
    for (const header of this.#table.querySelectorAll<HTMLElement>('[data-column]')) {
      const isSorted = header.dataset.column === this.#order?.column;
      const direction = this.#order?.isDescending === true ? 'descending' : 'ascending';
      header.parentElement?.setAttribute('aria-sort', isSorted ? direction : 'none');
    }
    // The shares of many workers are too small for a bar of the whole batch.
    const fullBar = isLong ? items.reduce((most, item) => Math.max(most, shareOf(item)), 0) : 1;
    const viewOf = (index: number): RowView => {
      const item = items[index];
      if (item === undefined) throw new Error(`The worker table has no row ${index}.`);
      return createRow(item, this.#run, fullBar);
    };
    this.#rows.show(
      {
        keys: items.map(({ key }) => key),
        create: (index) => new RowElements(viewOf(index)),
        fill: (elements, index) => elements.fill(viewOf(index), index),
      },
      isLong,
    );
  }
}

const shareOf = (item: TableItem): number => (item.type === 'group' ? item.group : item.worker).share;

const countText = (matches: number, total: number, hidden: number): string =>
  `${formatCount(matches)} of ${formatCount(total)}${matches === 0 ? ': no worker matches' : ''}` +
  (hidden === 0 ? '' : ` (${formatCount(hidden)} more are not listed)`);
