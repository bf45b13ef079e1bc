import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { FromTab } from '../tab-messages.ts';

/** What the page knows of its own tab. Pure: messages of the Web Worker and the person's clicks go in, a new state comes out. */
export interface PageState {
  readonly phase: Phase;
  readonly engine: Extract<FromTab, { type: 'engine' }> | null;
  /** The last thing that went wrong without ending the work. */
  readonly note: { readonly line: string; readonly atMs: number } | null;
  /** What the coordinator calls this tab's connection; null while it has none. */
  readonly workerId: string | null;
  /** Why the coordinator does without this tab for now; null while it does not. */
  readonly standby: string | null;
  /** Whether this tab has taken part before. */
  readonly hasJoined: boolean;
  /** Whether the page's address has a token. */
  readonly hasToken: boolean;
  /** Whether the run is over, and no other has begun. */
  readonly isRunOver: boolean;
  /** The person wants to look on only. */
  readonly watchOnly: boolean;
  /** Whether the tab is in the background, and whether the device has a network. */
  readonly hidden: boolean;
  readonly online: boolean;
}

export type Phase =
  | { readonly type: 'starting' | 'connecting' | 'building' | 'pausing' | 'paused' | 'watching' }
  | { readonly type: 'contributing' }
  | { readonly type: 'waiting'; readonly reason: string; readonly untilMs: number }
  /** The coordinator wants a token that this page does not have. */
  | { readonly type: 'locked' }
  | { readonly type: 'finished' | 'refused' | 'failed'; readonly reason: string };

export type PageEvent =
  | Exclude<FromTab, { type: 'read' }>
  /** The coordinator wants a token that this page does not have. */
  | { readonly type: 'locked' }
  | { readonly type: 'runOver'; readonly isOver: boolean }
  | { readonly type: 'clickedPause' | 'clickedContinue' | 'clickedWatch' }
  | { readonly type: 'visibility'; readonly hidden: boolean }
  | { readonly type: 'network'; readonly online: boolean };

export const initialState: PageState = {
  phase: { type: 'starting' },
  engine: null,
  note: null,
  workerId: null,
  standby: null,
  hasJoined: false,
  hasToken: false,
  isRunOver: false,
  watchOnly: false,
  hidden: false,
  online: true,
};

/** Of a page that was opened to look on. */
export const watchingState: PageState = { ...initialState, phase: { type: 'watching' }, watchOnly: true };

const END_PHASES: ReadonlySet<Phase['type']> = new Set(['finished', 'refused', 'failed', 'locked']);

/** Whether the tab takes part in the run, or is about to. */
export function isParticipating({ phase: { type } }: PageState): boolean {
  return !INACTIVE_PHASES.has(type) && !END_PHASES.has(type);
}

const INACTIVE_PHASES: ReadonlySet<Phase['type']> = new Set(['pausing', 'paused', 'watching']);

const DISCONNECTED = { workerId: null, standby: null } as const;

/** One event after another. */
export function reducePage(state: PageState, event: PageEvent, nowMs: number): PageState {
  switch (event.type) {
    case 'engine':
      return { ...state, engine: event };
    case 'note':
      return { ...state, note: { line: event.line, atMs: nowMs } };
    case 'clickedPause':
      return { ...state, phase: { type: 'pausing' } };
    case 'clickedContinue':
      return {
        ...state,
        phase: { type: state.engine === null ? 'starting' : 'connecting' },
        note: null,
        watchOnly: false,
      };
    case 'clickedWatch': {
      const away = state.phase.type === 'paused' || END_PHASES.has(state.phase.type);
      return { ...state, phase: { type: away ? 'watching' : 'pausing' }, watchOnly: true };
    }
    case 'visibility':
      return { ...state, hidden: event.hidden };
    case 'network':
      return { ...state, online: event.online };
    case 'runOver':
      return { ...state, isRunOver: event.isOver };
    case 'paused':
      // Without a token there is nothing to pause.
      if (state.phase.type === 'locked') return state;
      return { ...state, ...DISCONNECTED, phase: { type: state.watchOnly ? 'watching' : 'paused' } };
    case 'locked':
      return { ...state, ...DISCONNECTED, phase: { type: 'locked' } };
    case 'refused':
      return {
        ...state,
        ...DISCONNECTED,
        phase: event.code === CloseCode.unauthorized ? { type: 'locked' } : event,
      };
    case 'finished':
    case 'failed':
      return { ...state, ...DISCONNECTED, phase: event };
    case 'connecting':
    case 'building':
    case 'joined':
    case 'standby':
    case 'waiting':
      // On its way out a worker may still finish what it was at; nobody waits for that any more.
      return isParticipating(state) ? reduceSession(state, event, nowMs) : state;
  }
}

type SessionEvent = Extract<FromTab, { type: 'connecting' | 'building' | 'joined' | 'standby' | 'waiting' }>;

function reduceSession(state: PageState, event: SessionEvent, nowMs: number): PageState {
  switch (event.type) {
    case 'connecting':
      // Of every try one sentence would be said, and of its failure another.
      if (state.phase.type === 'waiting') return { ...state, phase: { ...state.phase, untilMs: nowMs } };
      return { ...state, ...DISCONNECTED, phase: { type: 'connecting' } };
    case 'building':
      return { ...state, phase: { type: 'building' } };
    case 'joined':
      return {
        ...state,
        phase: { type: 'contributing' },
        workerId: event.workerId,
        standby: null,
        hasJoined: true,
      };
    case 'standby':
      return { ...state, standby: event.onStandby ? event.reason : null };
    case 'waiting':
      return {
        ...state,
        ...DISCONNECTED,
        phase: { type: 'waiting', reason: event.reason, untilMs: nowMs + event.waitMs },
      };
  }
}
