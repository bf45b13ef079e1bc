import type { Column } from './arrange-workers.ts';
import { createElement, setText } from './dom.ts';
import type { RowView } from './worker-rows.ts';

const LABELS: Readonly<Record<Exclude<Column, 'name'>, string>> = {
  speed: 'Samples/s',
  share: 'Share of batch',
  computeTime: 'Compute time',
  traffic: 'Sent, received',
  roundTrip: 'Round trip',
  samples: 'Samples so far',
};
const FIELDS = Object.keys(LABELS) as (keyof typeof LABELS)[];

/** Elements of a row of the worker table, whose values change. */
export class RowElements {
  readonly node = createElement('div');
  readonly #header = createElement('div', 'worker-name');
  readonly #name = createElement('strong');
  readonly #badges = createElement('span');
  readonly #engine = createElement('small');
  readonly #bar = createElement('span', 'bar');
  readonly #cells: Readonly<Record<keyof typeof LABELS, HTMLElement>>;
  /** Opens and closes the group; null in the row of a worker. */
  readonly #toggle: HTMLButtonElement | null;

  constructor({ key, isOpen }: RowView) {
    this.node.setAttribute('role', 'row');
    this.#header.setAttribute('role', 'rowheader');
    this.#toggle = isOpen === null ? null : createElement('button', 'toggle');
    if (this.#toggle !== null) {
      this.node.classList.add('group');
      this.#toggle.type = 'button';
      this.#toggle.dataset.key = key;
      this.#toggle.append(this.#name);
    }
    this.#header.append(this.#toggle ?? this.#name, this.#badges, this.#engine);
    this.node.append(this.#header);
    const cells = {} as Record<keyof typeof LABELS, HTMLElement>;
    for (const field of FIELDS) {
      const cell = createElement('div', field);
      cell.setAttribute('role', 'cell');
      const label = createElement('span', 'cell-label', LABELS[field]);
      cells[field] = createElement('span');
      cell.append(label, cells[field]);
      if (field === 'share') cell.append(this.#bar);
      this.node.append(cell);
    }
    this.#cells = cells;
  }

  /** @param index of the row in the table, from 0 */
  fill(view: RowView, index: number): void {
    const { node } = this;
    setText(this.#name, view.name);
    const badges = view.badges.map(({ text }) => text).join();
    if (this.#badges.dataset.badges !== badges) {
      this.#badges.dataset.badges = badges;
      this.#badges.replaceChildren(
        ...view.badges.flatMap(({ text, isWarning, title }) => {
          const badge = createElement('span', isWarning ? 'badge warning' : 'badge', text);
          badge.title = title;
          return [' ', badge];
        }),
      );
    }
    node.classList.toggle('own', view.own);
    node.classList.toggle('member', view.isMember);
    this.#toggle?.setAttribute('aria-expanded', String(view.isOpen));
    setText(this.#engine, view.engine);
    // Rows of one height cut off what is too long.
    const title = `${view.name}\n${view.engine}`;
    if (this.#header.title !== title) this.#header.title = title;
    for (const field of FIELDS) setText(this.#cells[field], view[field]);
    this.#bar.style.setProperty('--fraction', String(view.bar));
    node.style.setProperty('--index', String(index));
    // The header is the first row.
    node.setAttribute('aria-rowindex', String(index + 2));
  }
}
