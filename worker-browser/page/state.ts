import type { FromTab, RunSummary } from '../tab-messages.ts';

/** What the page knows. Pure: messages of the Web Worker and the person's clicks go in, a new state comes out. */
export interface PageState {
  readonly phase: Phase;
  readonly engine: Extract<FromTab, { type: 'engine' }> | null;
  readonly run: RunSummary | null;
  /** Since the page was opened, over all connections. */
  readonly shards: number;
  readonly samples: number;
  /** Of the last shard, counted from 1; null before the first. */
  readonly step: number | null;
  /** What was computed within the last RECENT_MS, the newest last. */
  readonly recent: readonly { readonly atMs: number; readonly samples: number }[];
  /** The last thing that went wrong without ending the work. */
  readonly note: { readonly line: string; readonly atMs: number } | null;
  /** What the coordinator calls this tab's connection; null while it has none. */
  readonly workerId: string | null;
  /** The person wants to look on only. */
  readonly watchOnly: boolean;
  /** Whether the tab is in the background, and whether the device has a network. */
  readonly hidden: boolean;
  readonly online: boolean;
}

export type Phase =
  | { readonly type: 'starting' | 'connecting' | 'building' | 'pausing' | 'paused' | 'watching' }
  | { readonly type: 'contributing'; readonly sinceMs: number }
  | { readonly type: 'waiting'; readonly reason: string; readonly untilMs: number }
  | { readonly type: 'finished' | 'refused' | 'failed'; readonly reason: string };

export type PageEvent =
  | Exclude<FromTab, { type: 'read' }>
  | { readonly type: 'clickedPause' | 'clickedContinue' | 'clickedWatch' }
  | { readonly type: 'visibility'; readonly hidden: boolean }
  | { readonly type: 'network'; readonly online: boolean };

/** How far back 'lately' goes: long enough that single shards do not make the figure jump. */
export const RECENT_MS = 10_000;

export const initialState: PageState = {
  phase: { type: 'starting' },
  engine: null,
  run: null,
  shards: 0,
  samples: 0,
  step: null,
  recent: [],
  note: null,
  workerId: null,
  watchOnly: false,
  hidden: false,
  online: true,
};

/** Of a page that was opened to look on. */
export const watchingState: PageState = { ...initialState, phase: { type: 'watching' }, watchOnly: true };

const ENDS: ReadonlySet<Phase['type']> = new Set(['finished', 'refused', 'failed']);

/** Whether the tab takes part in the run, or is about to. */
export function takesPart({ phase: { type } }: PageState): boolean {
  return !AWAY.has(type) && !ENDS.has(type);
}

const AWAY: ReadonlySet<Phase['type']> = new Set(['pausing', 'paused', 'watching']);

/** One event after another. */
export function advance(state: PageState, event: PageEvent, nowMs: number): PageState {
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
      const away = state.phase.type === 'paused' || ENDS.has(state.phase.type);
      return { ...state, phase: { type: away ? 'watching' : 'pausing' }, watchOnly: true };
    }
    case 'visibility':
      return { ...state, hidden: event.hidden };
    case 'network':
      return { ...state, online: event.online };
    case 'paused':
      return { ...state, phase: { type: state.watchOnly ? 'watching' : 'paused' }, workerId: null };
    case 'finished':
    case 'refused':
    case 'failed':
      return { ...state, phase: event, workerId: null };
    case 'connecting':
    case 'building':
    case 'joined':
    case 'computed':
    case 'waiting':
      // On its way out a worker may still finish what it was at; nobody waits for that any more.
      return state.phase.type === 'pausing' ? state : atWork(state, event, nowMs);
  }
}

type WorkEvent = Extract<FromTab, { type: 'connecting' | 'building' | 'joined' | 'computed' | 'waiting' }>;

function atWork(state: PageState, event: WorkEvent, nowMs: number): PageState {
  switch (event.type) {
    case 'connecting':
      // Of every try one sentence would be said, and of its failure another.
      if (state.phase.type === 'waiting') return { ...state, phase: { ...state.phase, untilMs: nowMs } };
      return { ...state, phase: { type: 'connecting' } };
    case 'building':
      return { ...state, phase: { type: 'building' } };
    case 'joined':
      return {
        ...state,
        phase: { type: 'contributing', sinceMs: nowMs },
        run: event.run,
        workerId: event.workerId,
        recent: [],
      };
    case 'waiting':
      return {
        ...state,
        phase: { type: 'waiting', reason: event.reason, untilMs: nowMs + event.waitMs },
        workerId: null,
      };
    case 'computed':
      return {
        ...state,
        shards: state.shards + 1,
        samples: state.samples + event.samples,
        step: event.step,
        recent: [
          ...state.recent.filter(({ atMs }) => atMs > nowMs - RECENT_MS),
          { atMs: nowMs, samples: event.samples },
        ],
      };
  }
}

/** Samples a second over the last RECENT_MS, waiting included; null while this tab is not at work. */
export function samplesPerSecond({ phase, recent }: PageState, nowMs: number): number | null {
  if (phase.type !== 'contributing') return null;
  const fromMs = Math.max(phase.sinceMs, nowMs - RECENT_MS);
  const counted = recent.filter(({ atMs }) => atMs > fromMs);
  // In the first moments a single shard says little, and there is none to say it of.
  if (counted.length === 0 && nowMs - phase.sinceMs < RECENT_MS) return null;
  const samples = counted.reduce((sum, shard) => sum + shard.samples, 0);
  return (samples * 1000) / Math.max(nowMs - fromMs, 1);
}
