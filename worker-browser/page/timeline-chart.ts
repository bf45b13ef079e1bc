import { createElement, element, setText } from './dom.ts';
import { COORDINATOR, type TimelineRow, type TimelineView } from './step-timeline.ts';

/** Place of the coordinator's row, below all others. */
const LAST = 1e6;

/** The bars of a step, one for each worker. A button holds the step, so that its figures can be read. */
export class TimelineChart {
  readonly #section = element('timeline', HTMLElement);
  readonly #title = element('timeline-title', HTMLElement);
  readonly #text = element('timeline-text', HTMLElement);
  readonly #rows = element('timeline-rows', HTMLElement);
  readonly #hold = element('hold-timeline', HTMLButtonElement);
  #isHeld = false;
  #latest: TimelineView | null = null;
  #shown: TimelineView | null = null;

  constructor() {
    this.#hold.addEventListener('click', () => {
      this.#isHeld = !this.#isHeld;
      this.#hold.setAttribute('aria-pressed', String(this.#isHeld));
      setText(this.#hold, this.#isHeld ? 'Follow the run' : 'Hold this step');
      this.show(this.#latest);
    });
  }

  show(view: TimelineView | null): void {
    this.#latest = view;
    if (this.#isHeld && this.#shown !== null) return;
    this.#section.hidden = view === null;
    if (view === null || view.title === this.#shown?.title) return;
    this.#shown = view;
    setText(this.#title, view.title);
    setText(this.#text, view.text);
    // Rows stay where they are from step to step: a row that jumped could not be followed by eye.
    const old = [...this.#rows.children].map((row) => (row as HTMLElement).dataset.key);
    const order = (row: TimelineRow): number => {
      const place = old.indexOf(row.key);
      return row.key === COORDINATOR ? LAST : place < 0 ? old.length : place;
    };
    const rows = [...view.rows].sort((a, b) => order(a) - order(b));
    const isSame = rows.length === old.length && rows.every(({ key }, i) => key === old[i]);
    if (!isSame) this.#rows.replaceChildren(...rows.map(createRow));
    rows.forEach((row, i) => {
      const item = this.#rows.children[i];
      if (item instanceof HTMLElement) fillRow(item, row);
    });
  }
}

function createRow({ key }: TimelineRow): HTMLElement {
  const item = createElement('li');
  item.dataset.key = key;
  const track = createElement('span', 'track');
  track.setAttribute('aria-hidden', 'true');
  item.append(createElement('span', 'timeline-name'), track, createElement('span', 'timeline-times'));
  return item;
}

function fillRow(item: HTMLElement, { name, isOwn, isStraggler, parts, text }: TimelineRow): void {
  const [label, track, times] = item.children;
  if (!(label instanceof HTMLElement && track instanceof HTMLElement && times instanceof HTMLElement)) return;
  item.classList.toggle('own', isOwn);
  item.classList.toggle('straggler', isStraggler);
  setText(label, isStraggler ? `${name}, last` : name);
  setText(times, text);
  while (track.childElementCount > parts.length) track.lastElementChild?.remove();
  parts.forEach(({ activity, from, to }, i) => {
    const bar = track.children[i] ?? track.appendChild(createElement('span'));
    if (!(bar instanceof HTMLElement)) return;
    bar.className = activity;
    bar.style.setProperty('--from', String(from));
    bar.style.setProperty('--to', String(to));
  });
}
