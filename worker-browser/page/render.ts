import { element, setText } from './dom.ts';
import { WorkerTable } from './worker-table.ts';
import type { RunView } from './run-view.ts';
import type { TabView } from './tab-view.ts';
import { encode } from 'uqr';
import { isOnLoopback } from './environment.ts';
const htmlElement = (id: string): HTMLElement => element(id, HTMLElement);

const texts = {
  state: htmlElement('state'),
  detail: htmlElement('detail'),
  countdown: htmlElement('countdown'),
  engine: htmlElement('engine'),
  engineWhy: htmlElement('engine-why'),
  note: htmlElement('note'),
} as const satisfies Partial<Record<keyof TabView, HTMLElement>>;
const runTexts = {
  headline: htmlElement('headline'),
  linkNote: htmlElement('link-note'),
  epoch: htmlElement('epoch'),
  eta: htmlElement('eta'),
  loss: htmlElement('loss'),
  accuracy: htmlElement('accuracy'),
  valAccuracy: htmlElement('val-accuracy'),
  speed: htmlElement('speed'),
  workersTitle: htmlElement('people-title'),
  slowestWorker: htmlElement('hold-up'),
  advice: htmlElement('advice'),
  notices: htmlElement('notices'),
  hiddenRows: htmlElement('more'),
  ownSpeed: htmlElement('samples-per-second'),
  ownShare: htmlElement('own-share'),
  ownSamples: htmlElement('samples'),
  ownContribution: htmlElement('own-part'),
} as const satisfies Partial<Record<keyof RunView, HTMLElement>>;
const button = element('toggle', HTMLButtonElement);
const watch = element('watch', HTMLButtonElement);
const choices = htmlElement('choices');
const tokenForm = htmlElement('token-form');
const tokenButton = htmlElement('token-button');
const progress = element('progress', HTMLProgressElement);
const plots = { lossLabel: htmlElement('loss-plot'), accuracyLabel: htmlElement('accuracy-plot') } as const;
const workerTable = new WorkerTable();

/** Puts what concerns this tab on the page. */
export function drawTab(view: TabView): void {
  for (const key of Object.keys(texts) as (keyof typeof texts)[]) setText(texts[key], view[key]);
  if (document.title !== view.title) document.title = view.title;
  document.body.dataset.phase = view.phase;
  button.hidden = view.button === null;
  if (view.button !== null) setText(button, view.button.label);
  // A disabled button would drop the keyboard's focus.
  button.setAttribute('aria-disabled', String(view.button?.enabled === false));
  tokenForm.hidden = view.tokenButton === null;
  choices.hidden = view.tokenButton !== null;
  setText(tokenButton, view.tokenButton ?? '');
  watch.hidden = !view.canWatch;
}

/** Puts what concerns the run on the page. */
export function drawRun(view: RunView): void {
  for (const key of Object.keys(runTexts) as (keyof typeof runTexts)[]) setText(runTexts[key], view[key]);
  document.body.dataset.link = view.link;
  document.body.dataset.run = view.isKnown ? 'known' : 'unknown';
  progress.value = view.epochProgress;
  for (const key of Object.keys(plots) as (keyof typeof plots)[]) {
    plots[key].setAttribute('aria-label', view[key]);
  }
  workerTable.show(view.rows);
}

const SVG = 'http://www.w3.org/2000/svg';
/** Light modules around the code, as cameras want. */
const BORDER = 4;
const LOOPBACK_TEXT = "This machine's cores are busy: open this page on another device.";
const REACHABLE_TEXT = 'Open this page on another device to add that one:';
const UNREACHABLE_TEXT =
  "This machine's cores are busy, and other devices cannot reach this run; its terminal says how to let them in.";

/** The link and QR code by which other devices open the page. */
export class Invite {
  readonly #box = element('invite', HTMLElement);
  readonly #text = element('invite-text', HTMLElement);
  readonly #code = element('invite-code', SVGSVGElement);
  readonly #link = element('invite-link', HTMLAnchorElement);

  /** @param link null if only this machine can open the page */
  show(isWanted: boolean, link: string | null): void {
    this.#box.hidden = !isWanted;
    if (!isWanted) return;
    setText(
      this.#text,
      link === null ? UNREACHABLE_TEXT : isOnLoopback(location.href) ? LOOPBACK_TEXT : REACHABLE_TEXT,
    );
    this.#link.hidden = link === null;
    this.#code.toggleAttribute('hidden', link === null);
    if (link === null || this.#link.href === link) return;
    this.#link.href = link;
    setText(this.#link, link);
    this.#draw(link);
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
