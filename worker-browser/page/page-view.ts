import { element, setText } from './elements.ts';
import { WorkerTable } from './people.ts';
import type { RunView } from './run-view.ts';
import type { TabView } from './view.ts';

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
