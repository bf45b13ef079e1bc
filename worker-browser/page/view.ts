import { countText, rateText } from './figures.ts';
import { engineName } from './run-view.ts';
import { samplesPerSecond, type PageState, type Phase } from './state.ts';

/** Everything that the page shows, as text. */
export interface View {
  readonly title: string;
  readonly phase: Phase['type'];
  /** A few words; spoken by screen readers when it changes, as `detail` is. */
  readonly state: string;
  readonly detail: string;
  /** Changes every second; not spoken. */
  readonly countdown: string;
  readonly button: Button;
  /** Whether 'Only watch' is worth offering. */
  readonly canWatch: boolean;
  readonly samples: string;
  readonly samplesPerSecond: string;
  readonly shards: string;
  readonly step: string;
  readonly engine: string;
  readonly engineWhy: string;
  readonly note: string;
}

export interface Button {
  readonly label: string;
  readonly action: 'pause' | 'continue' | 'reload';
  readonly enabled: boolean;
}

const NOTHING_YET = '–';
/** While all goes well again, what went wrong so long ago is no news. */
const NOTE_MS = 60_000;

/** What the page shows of a state at a time. */
export function viewOf(page: PageState, nowMs: number): View {
  const { phase, run, step } = page;
  const { state, detail } = wordsOf(page);
  const rate = samplesPerSecond(page, nowMs);
  return {
    title: `${state} · gradcast`,
    phase: phase.type,
    state,
    detail,
    countdown: phase.type === 'waiting' ? countdown(phase.untilMs - nowMs) : '',
    button: buttonOf(phase),
    canWatch: phase.type !== 'watching' && phase.type !== 'pausing' && phase.type !== 'failed',
    samples: countText(page.samples),
    samplesPerSecond: rate === null ? NOTHING_YET : rateText(rate),
    shards: countText(page.shards),
    step: stepText(step, run?.steps),
    engine: engineText(page),
    engineWhy: asSentence(page.engine?.why ?? ''),
    note: noteText(page, nowMs),
  };
}

function wordsOf({ phase, hidden, online }: PageState): { readonly state: string; readonly detail: string } {
  switch (phase.type) {
    case 'starting':
      return { state: 'Starting', detail: 'Preparing this browser for computing.' };
    case 'connecting':
      return { state: 'Connecting', detail: 'Looking for the coordinator of the run.' };
    case 'building':
      return { state: 'Building the model', detail: 'Almost there.' };
    case 'contributing':
      return {
        state: 'Contributing',
        detail: hidden
          ? 'This tab computes in the background. A phone may stop it there; it comes back when you do.'
          : 'This tab computes its share of every batch.',
      };
    case 'pausing':
      return { state: 'Pausing', detail: 'Leaving the run.' };
    case 'paused':
      return { state: 'Paused', detail: 'The run goes on without this tab.' };
    case 'watching':
      return { state: 'Watching', detail: 'This tab looks on and computes nothing for the run.' };
    case 'waiting':
      return online
        ? { state: 'Waiting to reconnect', detail: `${asSentence(phase.reason)} ${COMES_BACK}` }
        : { state: 'No network', detail: `This device has lost its network. ${COMES_BACK}` };
    case 'finished':
      return { state: 'The run is over', detail: `${asSentence(phase.reason)} Thank you for taking part.` };
    case 'refused':
      return { state: 'The coordinator refused this tab', detail: asSentence(phase.reason) };
    case 'failed':
      return { state: 'This tab cannot take part', detail: asSentence(phase.reason) };
  }
}

const COMES_BACK =
  'This tab comes back by itself; only the shard that it was at is lost, and another worker takes it.';

function buttonOf(phase: Phase): Button {
  switch (phase.type) {
    case 'starting':
    case 'connecting':
    case 'building':
    case 'contributing':
    case 'waiting':
      return { label: 'Pause', action: 'pause', enabled: true };
    case 'pausing':
      return { label: 'Pausing …', action: 'pause', enabled: false };
    case 'paused':
      return { label: 'Continue', action: 'continue', enabled: true };
    case 'watching':
      return { label: 'Join in', action: 'continue', enabled: true };
    case 'finished':
      return { label: 'Join again', action: 'continue', enabled: true };
    case 'refused':
      return { label: 'Try again', action: 'continue', enabled: true };
    case 'failed':
      // The Web Worker may not even be there.
      return { label: 'Try again', action: 'reload', enabled: true };
  }
}

function noteText({ note, phase }: PageState, nowMs: number): string {
  const old = note !== null && phase.type === 'contributing' && nowMs > note.atMs + NOTE_MS;
  return note === null || old ? '' : note.line;
}

function engineText({ engine, watchOnly, phase }: PageState): string {
  if (engine === null) return watchOnly ? 'not started' : phase.type === 'failed' ? 'none' : 'being prepared';
  const { backend, device, threads } = engine.info;
  const using = backend === 'wasm' ? `, ${threads} ${threads === 1 ? 'thread' : 'threads'},` : '';
  return `${engineName(backend)}${using} on ${device}`;
}

const countdown = (ms: number): string => {
  const seconds = Math.ceil(ms / 1000);
  return seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again now.';
};

function stepText(step: number | null, steps: number | undefined): string {
  if (step === null) return '';
  const total = steps === undefined ? '' : ` of ${countText(steps)}`;
  return `Step ${countText(step)}${total}`;
}

/** Reasons come as sentences or as parts of one. */
function asSentence(reason: string): string {
  const text = reason.trim();
  if (text === '') return '';
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.');
}
