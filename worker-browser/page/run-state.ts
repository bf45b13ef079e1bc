import { mergePoints } from '../../shared/protocol/merge-points.ts';
import type {
  CurvePoint,
  EpochRecord,
  FromCoordinator,
  ProgressMessage,
  WorkerRow,
} from '../../shared/protocol/messages.ts';
import type { Job } from '../../shared/model/job.ts';

/** What the page knows of the run, from the feed. Pure: messages go in, a new state comes out. */
export interface RunState {
  readonly link: Link;
  readonly job: Job | null;
  /** In an epoch. */
  readonly steps: number;
  readonly curve: readonly CurvePoint[];
  readonly epochs: readonly EpochRecord[];
  readonly progress: ProgressMessage | null;
  /** Whether the coordinator has come back with another run than the one that was shown. */
  readonly restarted: boolean;
  /** Where other devices find the page; empty where the page's own address leads there. */
  readonly addresses: readonly string[];
  /** The worker that this tab is; null while it is none. */
  readonly ownId: string | null;
  /** The same, also after this tab has left; null before it joins for the first time. */
  readonly lastOwnId: string | null;
  /** What the coordinator has said last of this tab, since it joined last. */
  readonly ownRow: WorkerRow | null;
}

export type Link =
  | { readonly type: 'connecting' | 'live' }
  | { readonly type: 'lost'; readonly reason: string }
  /** `looking`: for the next run. */
  | { readonly type: 'over'; readonly reason: string; readonly looking: boolean }
  /** The coordinator wants a token that this page does not have. */
  | { readonly type: 'locked' };

export type RunEvent =
  | { readonly type: 'connecting' }
  /** This tab has joined, or left. */
  | { readonly type: 'own'; readonly id: string | null }
  | { readonly type: 'message'; readonly message: FromCoordinator }
  /** It is being looked for again. */
  | Extract<Link, { type: 'lost' }>
  /** Nothing more will come: the coordinator lets nobody watch. */
  | Extract<Link, { type: 'over' | 'locked' }>;

export const initialRunState: RunState = {
  link: { type: 'connecting' },
  job: null,
  steps: 1,
  curve: [],
  epochs: [],
  progress: null,
  restarted: false,
  addresses: [],
  ownId: null,
  lastOwnId: null,
  ownRow: null,
};

/** More points than a screen has pixels show nothing more. */
export const MAX_POINTS = 1_200;

/** One event after another. */
export function reduceRun(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case 'connecting':
      return state.link.type === 'lost' ? state : { ...state, link: { type: 'connecting' } };
    case 'lost':
    case 'over':
    case 'locked':
      return { ...state, link: event };
    case 'own':
      if (event.id === null) return { ...state, ownId: null };
      return {
        ...state,
        ownId: event.id,
        lastOwnId: event.id,
        ownRow: rowWith(event.id, state.progress),
      };
    case 'message':
      return reduceMessage(state, event.message);
  }
}

function reduceMessage(state: RunState, message: FromCoordinator): RunState {
  switch (message.type) {
    case 'run': {
      const { job, steps, curve, epochs, addresses = [] } = message;
      return {
        ...state,
        addresses,
        link: { type: 'live' },
        job,
        steps,
        curve: mergeToLength(curve, MAX_POINTS),
        epochs,
        progress: null,
        restarted:
          state.job !== null && (lastStep(curve) < lastStep(state.curve) || !sameJob(job, state.job)),
      };
    }
    case 'progress': {
      // What came with the run may come again as news.
      const fresh = message.curve.filter(({ step }) => step > lastStep(state.curve));
      const curve = fresh.length === 0 ? state.curve : mergeToLength([...state.curve, ...fresh], MAX_POINTS);
      // The last figures of a run come by another connection than its end, and may be behind it.
      const ownRow = rowWith(state.lastOwnId, message) ?? state.ownRow;
      return { ...state, progress: message, curve, ownRow };
    }
    case 'epoch':
      return { ...state, epochs: [...state.epochs, message.record] };
    case 'finished':
      return { ...state, link: { type: 'over', reason: message.reason, looking: true } };
    case 'welcome':
    case 'weights':
    case 'update':
    case 'standby':
    case 'prefetch':
    case 'shard':
    case 'rejected':
    case 'ping':
      return state;
  }
}

const rowWith = (id: string | null, progress: ProgressMessage | null): WorkerRow | null =>
  progress?.workers.find((worker) => worker.id === id) ?? null;

const lastStep = (curve: readonly CurvePoint[]): number => curve.at(-1)?.step ?? 0;
const sameJob = (a: Job, b: Job): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The same curve in at most `most` points: neighbours are merged while there are more. */
export function mergeToLength(curve: readonly CurvePoint[], most: number): readonly CurvePoint[] {
  if (curve.length <= most) return curve;
  const merged: CurvePoint[] = [];
  for (let i = 0; i < curve.length; i += 2) {
    const a = curve[i] as CurvePoint;
    const b = curve[i + 1];
    merged.push(b === undefined ? a : mergePoints(a, b));
  }
  return mergeToLength(merged, most);
}
