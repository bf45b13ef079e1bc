import { element, createElement, setText } from './dom.ts';
import type { RowView } from './worker-rows.ts';

const FIELDS = ['speed', 'share', 'shard', 'link', 'rtt', 'samples'] as const;
const LABELS: Readonly<Record<(typeof FIELDS)[number], string>> = {
  speed: 'Samples/s',
  share: 'Share of batch',
  shard: 'Compute time',
  link: 'Sent, received',
  rtt: 'Round trip',
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

/** The table of those who compute. Rows stay where they are in the document while their figures change. */
export class WorkerTable {
  readonly #table = element('people', HTMLElement);
  readonly #rows = new Map<string, Row>();

  show(views: readonly RowView[]): void {
    this.#table.hidden = views.length === 0;
    const gone = new Set(this.#rows.keys());
    let before = this.#table.firstElementChild;
    for (const view of views) {
      gone.delete(view.id);
      const row = this.#rows.get(view.id) ?? this.#add(view.id);
      if (before?.nextElementSibling !== row.node) before?.after(row.node);
      before = row.node;
      fillRow(row, view);
    }
    for (const id of gone) {
      this.#rows.get(id)?.node.remove();
      this.#rows.delete(id);
    }
  }

  #add(id: string): Row {
    const node = createElement('div');
    node.setAttribute('role', 'row');
    const who = createElement('div', 'who');
    who.setAttribute('role', 'rowheader');
    const [name, badges, engine, bar] = [
      createElement('strong'),
      createElement('span'),
      createElement('small'),
      createElement('span', 'bar'),
    ];
    who.append(name, badges, engine);
    node.append(who);
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
  const marks = [view.own ? 'this tab' : '', view.standby ? 'standby' : view.slowest ? 'slowest' : ''].filter(
    (mark) => mark !== '',
  );
  if (badges.dataset.marks !== marks.join()) {
    badges.dataset.marks = marks.join();
    badges.replaceChildren(
      ...marks.flatMap((mark) => [
        ' ',
        createElement('span', mark === 'this tab' ? 'badge' : 'badge slow', mark),
      ]),
    );
  }
  node.classList.toggle('own', view.own);
  setText(engine, view.engine);
  for (const field of FIELDS) setText(cells[field], view[field]);
  bar.style.setProperty('--part', String(view.shareOfBatch));
}
