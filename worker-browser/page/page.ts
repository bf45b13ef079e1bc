import type { FromPage, FromTab } from '../tab-messages.ts';
import { socketUrl, tokenOf } from './address.ts';
import { browserName } from './browser-name.ts';
import { advance, initialState, type PageEvent } from './state.ts';
import { viewOf, type View } from './view.ts';

/** How often figures that change by themselves are drawn again. */
const REDRAW_MS = 1_000;

/** @throws Error if the page lacks the element */
function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`The page has no ${kind.name} #${id}.`);
}

const texts = {
  headline: element('headline', HTMLElement),
  state: element('state', HTMLElement),
  detail: element('detail', HTMLElement),
  countdown: element('countdown', HTMLElement),
  samples: element('samples', HTMLElement),
  samplesPerSecond: element('samples-per-second', HTMLElement),
  shards: element('shards', HTMLElement),
  step: element('step', HTMLElement),
  engine: element('engine', HTMLElement),
  engineWhy: element('engine-why', HTMLElement),
  note: element('note', HTMLElement),
} as const satisfies Partial<Record<keyof View, HTMLElement>>;
const button = element('toggle', HTMLButtonElement);
const progress = element('progress', HTMLProgressElement);

/** What did not change is left alone, or screen readers would read it out again. */
function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

function draw(view: View): void {
  for (const key of Object.keys(texts) as (keyof typeof texts)[]) setText(texts[key], view[key]);
  if (document.title !== view.title) document.title = view.title;
  document.body.dataset.phase = view.phase;
  setText(button, view.button.label);
  // A disabled button would drop the keyboard's focus.
  button.ariaDisabled = String(!view.button.enabled);
  progress.value = view.progress;
}

const worker = new Worker(new URL('tab-worker.js', import.meta.url), { type: 'module' });
const ask = (message: FromPage): void => worker.postMessage(message);

let page = initialState;
const redraw = (): void => draw(viewOf(page, performance.now()));
const handle = (event: PageEvent): void => {
  page = advance(page, event, performance.now());
  redraw();
};

const join = (): void =>
  ask({
    type: 'join',
    url: socketUrl(location.href),
    name: browserName(navigator.userAgent),
    token: tokenOf(location.href),
  });

button.addEventListener('click', () => {
  const { action, enabled } = viewOf(page, performance.now()).button;
  if (!enabled) return;
  switch (action) {
    case 'pause':
      handle({ type: 'clickedPause' });
      ask({ type: 'pause' });
      return;
    case 'continue':
      handle({ type: 'clickedContinue' });
      join();
      return;
    case 'reload':
      location.reload();
      return;
  }
});
worker.onmessage = ({ data }: MessageEvent<FromTab>) => handle(data);
worker.onerror = ({ message }) =>
  handle({ type: 'failed', reason: message || 'The browser could not load the worker of this page.' });
// Somebody has put another token into the address.
addEventListener('hashchange', () => location.reload());

setInterval(redraw, REDRAW_MS);
redraw();
join();
