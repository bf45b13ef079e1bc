import { element, createElement, setText } from './dom.ts';
import type { RowView } from './worker-rows.ts';

const FIELDS = ['speed', 'share', 'computeTime', 'traffic', 'roundTrip', 'samples'] as const;
const LABELS: Readonly<Record<(typeof FIELDS)[number], string>> = {
  speed: 'Samples/s',
  share: 'Share of batch',
  computeTime: 'Compute time',
  traffic: 'Sent, received',
  roundTrip: 'Round trip',
  samples: 'Samples so far',
};

interface Row {
  readonly node: HTMLElement;
  readonly name: HTMLElement;
  readonly badges: HTMLElement;
  readonly engine: HTMLElement;
  readonly bar: HTMLElement;
  readonly cells: Readonly<Record<(typeof FIELDS)[number], HTMLElement>>;
}

/** The table of workers. Rows stay in the document while their values change. */
export class WorkerTable {
  readonly #table = element('workers', HTMLElement);
  readonly #rows = new Map<string, Row>();

  show(views: readonly RowView[]): void {
    this.#table.hidden = views.length === 0;
    const removed = new Set(this.#rows.keys());
    let before = this.#table.firstElementChild;
    for (const view of views) {
      removed.delete(view.id);
      const row = this.#rows.get(view.id) ?? this.#add(view.id);
      if (before?.nextElementSibling !== row.node) before?.after(row.node);
      before = row.node;
      fillRow(row, view);
    }
    for (const id of removed) {
      this.#rows.get(id)?.node.remove();
      this.#rows.delete(id);
    }
  }

  #add(id: string): Row {
    const node = createElement('div');
    node.setAttribute('role', 'row');
    const header = createElement('div', 'worker-name');
    header.setAttribute('role', 'rowheader');
    const name = createElement('strong');
    const badges = createElement('span');
    const engine = createElement('small');
    const bar = createElement('span', 'bar');
    header.append(name, badges, engine);
    node.append(header);
    const cells = {} as Record<(typeof FIELDS)[number], HTMLElement>;
    for (const field of FIELDS) {
      const cell = createElement('div', field);
      cell.setAttribute('role', 'cell');
      const label = createElement('span', 'cell-label', LABELS[field]);
      cells[field] = createElement('span');
      cell.append(label, cells[field]);
      if (field === 'share') cell.append(bar);
      node.append(cell);
    }
    const row = { node, name, badges, engine, bar, cells };
    this.#rows.set(id, row);
    return row;
  }
}

function fillRow({ node, name, badges, engine, bar, cells }: Row, view: RowView): void {
  setText(name, view.name);
  const labels = [
    view.own ? 'this tab' : '',
    view.standby ? 'standby' : view.slowest ? 'slowest' : '',
  ].filter((label) => label !== '');
  if (badges.dataset.labels !== labels.join()) {
    badges.dataset.labels = labels.join();
    badges.replaceChildren(
      ...labels.flatMap((label) => [
        ' ',
        createElement('span', label === 'this tab' ? 'badge' : 'badge warning', label),
      ]),
    );
  }
  node.classList.toggle('own', view.own);
  setText(engine, view.engine);
  for (const field of FIELDS) setText(cells[field], view[field]);
  bar.style.setProperty('--fraction', String(view.shareOfBatch));
}
