import { CloseCode } from '../../shared/protocol/close-codes.ts';
import type { FromTab } from '../tab-messages.ts';

/** The page's own tab. Pure: each message of the Web Worker and each click of the person gives a new state. */
export interface PageState {
  readonly phase: Phase;
  readonly engine: Extract<FromTab, { type: 'engine' }> | null;
  /** The last problem that did not end the tab's part in the run. */
  readonly note: { readonly line: string; readonly atMs: number } | null;
  /** Worker ID of this tab; null while it has not joined. */
  readonly workerId: string | null;
  /** Why the coordinator has put this tab on standby; null while it is not on standby. */
  readonly standby: string | null;
  /** Whether this tab has joined at least once. */
  readonly hasJoined: boolean;
  /** Whether the page's address has a token. */
  readonly hasToken: boolean;
  /** Whether the run is over and no other one has begun. */
  readonly isRunOver: boolean;
  /** Whether the person has chosen only to watch. */
  readonly watchOnly: boolean;
  /** Whether the tab is in the background. */
  readonly hidden: boolean;
  /** Whether the device has a network. */
  readonly online: boolean;
  /** Whether the tab has, or can load, an engine that reads drawings. */
  readonly canRead: boolean;
}

export type Phase =
  | { readonly type: 'starting' | 'connecting' | 'building' | 'pausing' | 'paused' | 'watching' }
  | { readonly type: 'contributing' }
  | {
      readonly type: 'waiting';
      readonly reason: string;
      readonly untilMs: number;
      /** Whether the coordinator has no place for a worker. */
      readonly isFull: boolean;
    }
  /** The coordinator requires a token that this page does not have. */
  | { readonly type: 'locked' }
  | { readonly type: 'finished' | 'refused' | 'failed'; readonly reason: string };

export type PageEvent =
  | Exclude<FromTab, { type: 'prediction' | 'samplePredictions' }>
  /** The coordinator requires a token that this page does not have. */
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
  canRead: true,
};

/** State of a page that was opened only to watch. */
export const initialWatchState: PageState = { ...initialState, phase: { type: 'watching' }, watchOnly: true };

const END_PHASES: ReadonlySet<Phase['type']> = new Set(['finished', 'refused', 'failed', 'locked']);

/** Whether the tab takes part in the run, or is about to. */
export function isParticipating({ phase: { type } }: PageState): boolean {
  return !INACTIVE_PHASES.has(type) && !END_PHASES.has(type);
}

const INACTIVE_PHASES: ReadonlySet<Phase['type']> = new Set(['pausing', 'paused', 'watching']);

const DISCONNECTED = { workerId: null, standby: null } as const;

/** State after an event. */
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
      const hasLeft = state.phase.type === 'paused' || END_PHASES.has(state.phase.type);
      return { ...state, phase: { type: hasLeft ? 'watching' : 'pausing' }, watchOnly: true };
    }
    case 'visibility':
      return { ...state, hidden: event.hidden };
    case 'network':
      return { ...state, online: event.online };
    case 'runOver':
      return { ...state, isRunOver: event.isOver };
    case 'paused':
      // A tab without the token has not joined, so it stays locked.
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
      return { ...state, ...DISCONNECTED, phase: event };
    case 'failed':
      // A tab that only watches goes on without an engine: the coordinator may have ended before it was loaded.
      if (state.phase.type === 'watching') return { ...state, canRead: false };
      return { ...state, ...DISCONNECTED, phase: event };
    case 'connecting':
    case 'building':
    case 'joined':
    case 'standby':
    case 'waiting':
      // A worker that leaves may still report progress, which no longer matters.
      return isParticipating(state) ? reduceSession(state, event, nowMs) : state;
  }
}

type SessionEvent = Extract<FromTab, { type: 'connecting' | 'building' | 'joined' | 'standby' | 'waiting' }>;

function reduceSession(state: PageState, event: SessionEvent, nowMs: number): PageState {
  switch (event.type) {
    case 'connecting':
      // A change of phase at every try would make screen readers announce each of them.
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
        phase: {
          type: 'waiting',
          reason: event.reason,
          untilMs: nowMs + event.waitMs,
          isFull: event.isFull === true,
        },
      };
  }
}
