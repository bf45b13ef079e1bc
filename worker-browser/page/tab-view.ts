import { engineName } from './format.ts';
import type { PageState, Phase } from './page-state.ts';

/** The tab's part of the page, as text. */
export interface TabView {
  readonly title: string;
  readonly phase: Phase['type'] | 'standby';
  /** Sentence on the page and on what this tab does, for someone who has just opened it. */
  readonly purpose: string;
  /** A few words. Screen readers announce changes of it and of `detail`. */
  readonly state: string;
  readonly detail: string;
  /** Changes every second, so screen readers do not announce it. */
  readonly countdown: string;
  /** Main button; null where there is nothing to pause or join. */
  readonly button: Button | null;
  /** Label of the button beside the token's field; null while no token is required. */
  readonly tokenButton: string | null;
  /** Whether the page asks the person to open it on other devices. */
  readonly invites: boolean;
  /** Whether the person may choose only to watch. */
  readonly canWatch: boolean;
  /** Whether the person may choose how this tab takes part. */
  readonly hasSettings: boolean;
  /** Whether the run is over for this tab: what the person takes away comes first then. */
  readonly isOver: boolean;
  readonly engine: string;
  readonly engineWhy: string;
  readonly note: string;
}

export interface Button {
  readonly label: string;
  readonly action: 'pause' | 'continue' | 'reload';
  readonly enabled: boolean;
}

/** Time after which a note is hidden while the tab contributes. */
const NOTE_LIFETIME_MS = 60_000;

/** View of a state at a time. */
export function createTabView(page: PageState, nowMs: number): TabView {
  const { phase } = page;
  const { state, detail } = describeState(page);
  const onStandby = isOnStandby(page);
  const isOver = phase.type === 'finished' || isIdleAfterRun(page);
  return {
    title: `${state} · gradcast`,
    phase: onStandby ? 'standby' : phase.type,
    purpose: purposeText(page),
    state,
    detail,
    countdown:
      phase.type === 'waiting' ? countdown(phase.untilMs - nowMs, page.hasJoined && !phase.isFull) : '',
    button: isIdleAfterRun(page) ? null : phaseButton(phase),
    tokenButton: phase.type === 'locked' ? (page.watchOnly ? 'Watch' : 'Join') : null,
    invites: onStandby,
    canWatch: !UNWATCHABLE_PHASES.has(phase.type) && !isOver,
    hasSettings: phase.type !== 'locked' && !isOver,
    isOver,
    engine: engineText(page),
    engineWhy: asSentence(page.engine?.why ?? ''),
    note: noteText(page, nowMs),
  };
}

const UNWATCHABLE_PHASES: ReadonlySet<Phase['type']> = new Set(['watching', 'pausing', 'failed', 'locked']);

const isOnStandby = ({ phase, standby }: PageState): boolean =>
  phase.type === 'contributing' && standby !== null;

/** Whether the tab does not take part and the run is over, so that there is nothing to join. */
const isIdleAfterRun = ({ phase, isRunOver }: PageState): boolean =>
  isRunOver && (phase.type === 'watching' || phase.type === 'paused');

function describeState(page: PageState): { readonly state: string; readonly detail: string } {
  const { phase, hidden, online, hasJoined, hasToken } = page;
  if (isOnStandby(page)) return STANDBY;
  if (isIdleAfterRun(page))
    return { state: 'The run is over', detail: page.canRead ? 'The model still reads drawings.' : '' };
  switch (phase.type) {
    case 'starting':
      return { state: 'Starting', detail: 'Preparing an engine in this browser.' };
    case 'connecting':
      return { state: 'Connecting', detail: 'Waiting for the coordinator to answer.' };
    case 'building':
      return { state: 'Building the model', detail: 'Almost there.' };
    case 'contributing':
      return {
        state: 'Contributing',
        detail: hidden
          ? 'This tab computes in the background. A phone may stop it there until you come back.'
          : 'This tab computes its share of every batch.',
      };
    case 'pausing':
      return { state: 'Pausing', detail: 'Leaving the run.' };
    case 'paused':
      return { state: 'Paused', detail: 'The run continues without this tab.' };
    case 'watching':
      return { state: 'Watching', detail: 'This tab watches the run and computes nothing for it.' };
    case 'waiting':
      if (!online) return { state: 'No network', detail: 'This device has lost its network.' };
      return {
        state: phase.isFull ? 'The run is full' : hasJoined ? 'Connection lost' : 'Cannot reach the run',
        detail: asSentence(phase.reason),
      };
    case 'locked':
      return hasToken
        ? {
            state: 'Wrong token',
            detail:
              'The coordinator has rejected this token. Ask the person who started the run for the right one.',
          }
        : { state: 'This run needs a token', detail: 'Ask the person who started the run for it.' };
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

const TOGETHER = 'Many devices train one neural network together.';

function purposeText(page: PageState): string {
  if (isIdleAfterRun(page)) return 'The network is trained. Try it, download it, show what you gave.';
  switch (page.phase.type) {
    case 'starting':
    case 'connecting':
    case 'building':
    case 'contributing':
    case 'waiting':
      return `${TOGETHER} This tab computes a part of every step; nothing is installed.`;
    case 'pausing':
    case 'paused':
    case 'watching':
      return `${TOGETHER} This page shows how it learns, step by step; your tab can help.`;
    case 'locked':
      return `${TOGETHER} This run is for people with its token.`;
    case 'finished':
      return 'The network is trained. Try it, download it, show what you gave.';
    case 'refused':
    case 'failed':
      return `${TOGETHER} This tab does not take part, but you can watch.`;
  }
}

const STANDBY = {
  state: 'On standby',
  // Two lines on a phone, as for the state that it alternates with.
  detail: 'The run is faster without this tab for now. It is tried again later.',
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
      return { label: 'Join the next run', action: 'continue', enabled: true };
    case 'refused':
      return { label: 'Try again', action: 'continue', enabled: true };
    case 'failed':
      // The Web Worker may not have started.
      return { label: 'Try again', action: 'reload', enabled: true };
  }
}

function noteText({ note, phase }: PageState, nowMs: number): string {
  if (note === null) return '';
  const isOld = phase.type === 'contributing' && nowMs > note.atMs + NOTE_LIFETIME_MS;
  return isOld ? '' : note.line;
}

function engineText({ engine, watchOnly, phase }: PageState): string {
  if (engine === null) return watchOnly ? 'not started' : phase.type === 'failed' ? 'none' : 'being prepared';
  const { backend, device, threads } = engine.info;
  const threadCount = backend === 'wasm' ? `, ${threads} ${threads === 1 ? 'thread' : 'threads'},` : '';
  return `${engineName(backend)}${threadCount} on ${device}`;
}

function countdown(ms: number, hasJoined: boolean): string {
  const seconds = Math.ceil(ms / 1000);
  const when = seconds > 0 ? `in ${seconds} s` : 'now';
  return hasJoined ? `Reconnecting ${when}; no work is lost.` : `Trying again ${when}.`;
}

/** A reason as a sentence: reasons arrive as whole sentences or as parts of one. */
function asSentence(reason: string): string {
  const text = reason.trim();
  if (text === '') return '';
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? '' : '.');
}
