import { element, setText } from './elements.ts';
import { People } from './people.ts';
import type { RunView } from './run-view.ts';
import type { View } from './view.ts';

const html = (id: string): HTMLElement => element(id, HTMLElement);

const texts = {
  state: html('state'),
  detail: html('detail'),
  countdown: html('countdown'),
  engine: html('engine'),
  engineWhy: html('engine-why'),
  note: html('note'),
} as const satisfies Partial<Record<keyof View, HTMLElement>>;
const runTexts = {
  headline: html('headline'),
  linkNote: html('link-note'),
  epoch: html('epoch'),
  eta: html('eta'),
  loss: html('loss'),
  accuracy: html('accuracy'),
  valAccuracy: html('val-accuracy'),
  speed: html('speed'),
  peopleTitle: html('people-title'),
  holdUp: html('hold-up'),
  advice: html('advice'),
  notices: html('notices'),
  more: html('more'),
  ownSpeed: html('samples-per-second'),
  ownShare: html('own-share'),
  ownSamples: html('samples'),
  ownPart: html('own-part'),
} as const satisfies Partial<Record<keyof RunView, HTMLElement>>;
const button = element('toggle', HTMLButtonElement);
const watch = element('watch', HTMLButtonElement);
const choices = html('choices');
const tokenForm = html('token-form');
const tokenButton = html('token-button');
const progress = element('progress', HTMLProgressElement);
const plots = { lossLabel: html('loss-plot'), accuracyLabel: html('accuracy-plot') } as const;
const people = new People();

/** Puts what concerns this tab on the page. */
export function drawTab(view: View): void {
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
  people.show(view.rows);
}
