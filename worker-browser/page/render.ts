import { encode } from 'uqr';
import { createElement, element, setText } from './dom.ts';
import { isOnLoopback } from './environment.ts';
import type { MetricRow, RunView } from './run-view.ts';
import type { TabView } from './tab-view.ts';
import { WorkerTable } from './worker-table.ts';

const htmlElement = (id: string): HTMLElement => element(id, HTMLElement);

const tabTexts = {
  purpose: htmlElement('purpose'),
  state: htmlElement('state'),
  detail: htmlElement('detail'),
  countdown: htmlElement('countdown'),
  engine: htmlElement('engine'),
  engineWhy: htmlElement('engine-why'),
  note: htmlElement('note'),
} as const satisfies Partial<Record<keyof TabView, HTMLElement>>;
const runTexts = {
  headline: htmlElement('headline'),
  summary: htmlElement('summary'),
  linkNote: htmlElement('link-note'),
  epoch: htmlElement('epoch'),
  eta: htmlElement('eta'),
  loss: htmlElement('loss'),
  accuracy: htmlElement('accuracy'),
  valAccuracy: htmlElement('val-accuracy'),
  metricTitle: htmlElement('metric-title'),
  metricCaption: htmlElement('metric-caption'),
  valMetricTitle: htmlElement('val-metric-title'),
  speed: htmlElement('speed'),
  drawingHint: htmlElement('drawing-hint'),
  workersTitle: htmlElement('workers-title'),
  slowestWorker: htmlElement('slowest-worker'),
  advice: htmlElement('advice'),
  notices: htmlElement('notices'),
  ownSpeed: htmlElement('own-speed'),
  ownShare: htmlElement('own-share'),
  ownSamples: htmlElement('own-samples'),
  ownPart: htmlElement('own-part'),
  ownTraffic: htmlElement('own-traffic'),
} as const satisfies Partial<Record<keyof RunView, HTMLElement>>;
const mainButton = element('main-button', HTMLButtonElement);
const watchButton = element('watch-button', HTMLButtonElement);
const settings = htmlElement('settings');
const tabCard = htmlElement('tab');
const drawingCard = htmlElement('drawing');
const keepCard = htmlElement('keep');
const tokenForm = htmlElement('token-form');
const tokenButton = htmlElement('token-button');
const progress = element('progress', HTMLProgressElement);
const plots = { lossLabel: htmlElement('loss-plot'), accuracyLabel: htmlElement('accuracy-plot') } as const;
const workerTable = new WorkerTable();

/** The table of all metrics, in which one is chosen to be plotted. Rows stay in the document while their values change. */
class MetricTable {
  readonly #table = element('metrics', HTMLTableElement);
  readonly #body = element('metric-rows', HTMLTableSectionElement);

  onChoice(choose: (metric: string) => void): void {
    this.#body.addEventListener('change', ({ target }) => {
      if (target instanceof HTMLInputElement) choose(target.value);
    });
  }

  show(rows: readonly MetricRow[]): void {
    this.#table.hidden = rows.length === 0;
    const names = (body: HTMLTableSectionElement): string[] =>
      [...body.querySelectorAll('input')].map(({ value }) => value);
    if (names(this.#body).join() !== rows.map(({ name }) => name).join())
      this.#body.replaceChildren(...rows.map(createMetricRow));
    for (const [i, { value, validation, isShown }] of rows.entries()) {
      const [title, ...cells] = this.#body.rows[i]?.cells ?? [];
      const input = title?.querySelector('input');
      if (input != null) input.checked = isShown;
      for (const [c, text] of [value, validation].entries()) {
        const cell = cells[c];
        if (cell !== undefined) setText(cell, text);
      }
    }
  }
}

function createMetricRow({ name, title }: MetricRow): HTMLTableRowElement {
  const row = createElement('tr');
  const header = createElement('th');
  header.scope = 'row';
  const label = createElement('label');
  const input = createElement('input');
  input.type = 'radio';
  input.name = 'metric';
  input.value = name;
  label.append(input, createElement('span', '', title));
  header.append(label);
  row.append(header, createElement('td'), createElement('td'));
  return row;
}

const metricTable = new MetricTable();
/** Calls back when a person chooses the metric that is plotted. */
export const onMetricChoice = (choose: (metric: string) => void): void => metricTable.onChoice(choose);

/** Shows this tab's part of the page. */
export function drawTab(view: TabView): void {
  for (const key of Object.keys(tabTexts) as (keyof typeof tabTexts)[]) setText(tabTexts[key], view[key]);
  if (document.title !== view.title) document.title = view.title;
  document.body.dataset.phase = view.phase;
  mainButton.hidden = view.button === null;
  if (view.button !== null) setText(mainButton, view.button.label);
  // Browsers take the focus from a disabled button.
  mainButton.setAttribute('aria-disabled', String(view.button?.enabled === false));
  tokenForm.hidden = view.tokenButton === null;
  settings.hidden = !view.hasSettings;
  // At the end the buttons of the other card are the main ones. That card is moved, not only shown elsewhere: the order of the Tab key
  // is that of the document.
  document.body.toggleAttribute('data-over', view.isOver);
  mainButton.className = view.isOver ? 'secondary' : 'primary';
  const before = view.isOver ? tabCard : drawingCard;
  if (before.nextElementSibling !== keepCard) before.after(keepCard);
  setText(tokenButton, view.tokenButton ?? '');
  watchButton.hidden = !view.canWatch;
}

/** Shows the run's part of the page. */
export function drawRun(view: RunView): void {
  for (const key of Object.keys(runTexts) as (keyof typeof runTexts)[]) setText(runTexts[key], view[key]);
  document.body.dataset.link = view.link;
  document.body.dataset.progress = view.hasProgress ? 'known' : 'none';
  document.body.dataset.run = view.isKnown ? 'known' : 'unknown';
  progress.value = view.epochProgress;
  for (const key of Object.keys(plots) as (keyof typeof plots)[]) {
    plots[key].setAttribute('aria-label', view[key]);
  }
  metricTable.show(view.metricRows);
  workerTable.show(view.table);
}

/** Tells the style how high the tab's column is, so that it can stay in sight beside the longer one. */
export function measureColumn(): void {
  const column = document.querySelector<HTMLElement>('.column');
  if (column === null) return;
  new ResizeObserver(() => column.style.setProperty('--height', `${column.offsetHeight}px`)).observe(column);
}

const SVG = 'http://www.w3.org/2000/svg';
/** Light modules around the code, which cameras need. */
const BORDER = 4;
const BUSY = "This machine's cores are busy";
const REACHABLE_TEXT =
  'Scan the code with a phone, or open the link on another computer. It then computes too.';
const UNREACHABLE_TEXT =
  'other devices cannot reach this run. The terminal that started it says how to change that.';

/** Why the invitation opens by itself: the run waits for other devices, or this one is too busy to help; null if it does not. */
export type InviteReason = 'awaited' | 'busy' | null;

/** Link and QR code for opening the page on other devices. It opens by itself when the run needs other devices. */
export class Invite {
  readonly #box = element('invite', HTMLDetailsElement);
  readonly #text = element('invite-text', HTMLElement);
  readonly #code = element('invite-code', SVGSVGElement);
  readonly #link = element('invite-link', HTMLAnchorElement);
  readonly #copy = element('copy-link', HTMLButtonElement);
  readonly #note = element('copy-note', HTMLElement);
  #reason: InviteReason = null;

  constructor() {
    this.#copy.addEventListener('click', () => void this.#copyLink());
  }

  /**
   * @param reason large for `awaited`, for a projector
   * @param link null if only this machine can open the page
   * @param isPossible whether another device could join
   */
  show(reason: InviteReason, link: string | null, isPossible: boolean): void {
    this.#box.hidden = !isPossible;
    if (reason !== this.#reason) this.#box.open = reason !== null;
    this.#reason = reason;
    const isBusy = reason === 'busy';
    this.#box.classList.toggle('awaited', reason === 'awaited');
    const canCopy = link !== null && window.isSecureContext;
    setText(
      this.#text,
      link === null
        ? isBusy
          ? `${BUSY}, and ${UNREACHABLE_TEXT}`
          : `${UNREACHABLE_TEXT.charAt(0).toUpperCase()}${UNREACHABLE_TEXT.slice(1)}`
        : isBusy && isOnLoopback(location.href)
          ? `${BUSY}. ${REACHABLE_TEXT}`
          : REACHABLE_TEXT,
    );
    this.#link.hidden = link === null;
    this.#copy.hidden = !canCopy;
    this.#code.toggleAttribute('hidden', link === null);
    if (link === null || this.#link.href === link) return;
    this.#link.href = link;
    setText(this.#link, link);
    setText(this.#note, '');
    this.#draw(link);
  }

  async #copyLink(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.#link.href);
      setText(this.#note, 'Copied.');
    } catch {
      setText(this.#note, 'The browser does not allow copying. Select the link and copy it yourself.');
    }
  }

  #draw(link: string): void {
    const { data, size } = encode(link, { border: BORDER, ecc: 'M' });
    const path = document.createElementNS(SVG, 'path');
    const modules = data.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : [])));
    path.setAttribute('d', modules.join(''));
    this.#code.setAttribute('viewBox', `0 0 ${size} ${size}`);
    this.#code.replaceChildren(path);
  }
}
