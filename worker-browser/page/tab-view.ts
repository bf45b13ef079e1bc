import { engineName } from './worker-rows.ts';
import type { PageState, Phase } from './page-state.ts';

/** Everything that the page shows, as text. */
export interface TabView {
  readonly title: string;
  readonly phase: Phase['type'] | 'standby';
  /** A few words; spoken by screen readers when it changes, as `detail` is. */
  readonly state: string;
  readonly detail: string;
  /** Changes every second; not spoken. */
  readonly countdown: string;
  /** null where there is nothing to click: a token has to be typed first. */
  readonly button: Button | null;
  /** What the button behind the field for the token says; null while none is wanted. */
  readonly tokenButton: string | null;
  /** Whether the person is asked to open the page on other devices. */
  readonly invites: boolean;
  /** Whether 'Only watch' is worth offering. */
  readonly canWatch: boolean;
  readonly engine: string;
  readonly engineWhy: string;
  readonly note: string;
}

export interface Button {
  readonly label: string;
  readonly action: 'pause' | 'continue' | 'reload';
  readonly enabled: boolean;
}

/** While all goes well again, what went wrong so long ago is no news. */
const NOTE_LIFETIME_MS = 60_000;

/** What the page shows of a state at a time. */
export function createTabView(page: PageState, nowMs: number): TabView {
  const { phase } = page;
  const { state, detail } = describeState(page);
  const onStandby = isOnStandby(page);
  return {
    title: `${state} · gradcast`,
    phase: onStandby ? 'standby' : phase.type,
    state,
    detail,
    countdown: phase.type === 'waiting' ? countdown(phase.untilMs - nowMs, page.hasJoined) : '',
    button: isIdleAfterRun(page) ? null : phaseButton(phase),
    tokenButton: phase.type === 'locked' ? (page.watchOnly ? 'Watch' : 'Join') : null,
    invites: onStandby,
    canWatch: !UNWATCHABLE_PHASES.has(phase.type) && !isIdleAfterRun(page),
    engine: engineText(page),
    engineWhy: asSentence(page.engine?.why ?? ''),
    note: noteText(page, nowMs),
  };
}

const UNWATCHABLE_PHASES: ReadonlySet<Phase['type']> = new Set(['watching', 'pausing', 'failed', 'locked']);

const isOnStandby = ({ phase, standby }: PageState): boolean =>
  phase.type === 'contributing' && standby !== null;

/** There is nothing that the tab could take part in. */
const isIdleAfterRun = ({ phase, isRunOver }: PageState): boolean =>
  isRunOver && (phase.type === 'watching' || phase.type === 'paused');

function describeState(page: PageState): { readonly state: string; readonly detail: string } {
  const { phase, hidden, online, hasJoined, hasToken } = page;
  if (isOnStandby(page)) return STANDBY;
  if (isIdleAfterRun(page))
    return { state: 'The run is over', detail: 'The model still reads what you draw.' };
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
      if (!online) return { state: 'No network', detail: 'This device has lost its network.' };
      return {
        state: hasJoined ? 'Connection lost' : 'Cannot reach the run',
        detail: asSentence(phase.reason),
      };
    case 'locked':
      return hasToken
        ? { state: 'Wrong token', detail: `The run does not take this token. ${TOKEN_ADVICE}` }
        : { state: 'This run needs a token', detail: TOKEN_ADVICE };
    case 'finished': {
      const thanks = hasJoined ? ' Thank you for taking part.' : '';
      return { state: 'The run is over', detail: asSentence(phase.reason) + thanks };
    }
    case 'refused':
      return { state: 'The coordinator refused this tab', detail: asSentence(phase.reason) };
    case 'failed':
      return { state: 'This tab cannot take part', detail: asSentence(phase.reason) };
  }
}

const TOKEN_ADVICE = 'Ask the person who started the run for it.';

const STANDBY = {
  state: 'Standing by',
  detail:
    'The run is faster without this tab for now. It is tried again now and then, and helps out when others leave.',
} as const;

function phaseButton(phase: Phase): Button | null {
  switch (phase.type) {
    case 'locked':
      return null;
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
  const old = note !== null && phase.type === 'contributing' && nowMs > note.atMs + NOTE_LIFETIME_MS;
  return note === null || old ? '' : note.line;
}

function engineText({ engine, watchOnly, phase }: PageState): string {
  if (engine === null) return watchOnly ? 'not started' : phase.type === 'failed' ? 'none' : 'being prepared';
  const { backend, device, threads } = engine.info;
  const using = backend === 'wasm' ? `, ${threads} ${threads === 1 ? 'thread' : 'threads'},` : '';
  return `${engineName(backend)}${using} on ${device}`;
}

function countdown(ms: number, hasJoined: boolean): string {
  const seconds = Math.ceil(ms / 1000);
  const when = seconds > 0 ? `in ${seconds} s` : 'now';
  return hasJoined ? `Reconnecting ${when}; no work is lost.` : `Trying again ${when}.`;
}

/** Reasons come as sentences or as parts of one. */
function asSentence(reason: string): string {
  const text = reason.trim();
  if (text === '') return '';
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.');
}
