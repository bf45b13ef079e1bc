import type {
  CurvePoint,
  EpochRecord,
  FromCoordinator,
  ProgressWithRows,
  StepTimeline,
  WorkerRow,
} from '../../shared/protocol/messages.ts';
import type { Job } from '../../shared/model/job.ts';
import type { WatchEvent } from '../../shared/observer/watch-run.ts';
import { MAX_POINTS, mergeToLength } from './curves.ts';

/** The run, as its feed describes it. Pure: each message gives a new state. */
export interface RunState {
  readonly link: Link;
  readonly job: Job | null;
  readonly stepsPerEpoch: number;
  readonly curve: readonly CurvePoint[];
  readonly epochs: readonly EpochRecord[];
  readonly progress: ProgressWithRows | null;
  /** The last step whose timeline has arrived. */
  readonly timeline: StepTimeline | null;
  /** Whether the coordinator has come back with another run than before. */
  readonly restarted: boolean;
  /** Addresses of the page for other devices; empty if the page's own address works for them. */
  readonly addresses: readonly string[];
  /** Worker ID of this tab; null while it has not joined. */
  readonly ownId: string | null;
  /** The same, kept after this tab has left; null before it joins for the first time. */
  readonly lastOwnId: string | null;
  /** Last row of this tab in the feed since it joined last. */
  readonly ownRow: WorkerRow | null;
}

export type Link =
  | { readonly type: 'connecting' | 'live' }
  | Extract<WatchEvent, { readonly type: 'lost' | 'over' | 'locked' }>;

export type RunEvent =
  | WatchEvent
  /** This tab has joined, or left. */
  | { readonly type: 'ownId'; readonly id: string | null };

export const initialRunState: RunState = {
  link: { type: 'connecting' },
  job: null,
  stepsPerEpoch: 1,
  curve: [],
  epochs: [],
  progress: null,
  timeline: null,
  restarted: false,
  addresses: [],
  ownId: null,
  lastOwnId: null,
  ownRow: null,
};

/** State after an event. */
export function reduceRun(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case 'connecting':
      return state.link.type === 'lost' ? state : { ...state, link: { type: 'connecting' } };
    case 'lost':
    case 'over':
    case 'locked':
      return { ...state, link: event };
    case 'ownId':
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
        stepsPerEpoch: steps,
        curve: mergeToLength(curve, MAX_POINTS),
        epochs,
        progress: null,
        timeline: null,
        restarted:
          state.job !== null && (lastStep(curve) < lastStep(state.curve) || !sameJob(job, state.job)),
      };
    }
    case 'progress': {
      // The first progress may repeat points of the `run` message.
      const newPoints = message.curve.filter(({ step }) => step > lastStep(state.curve));
      const curve =
        newPoints.length === 0 ? state.curve : mergeToLength([...state.curve, ...newPoints], MAX_POINTS);
      // The last progress of a run may arrive after the worker's connection has reported the end.
      const progress = { ...message, workers: message.workers ?? state.progress?.workers ?? [] };
      const ownRow = rowWith(state.lastOwnId, progress) ?? state.ownRow;
      return { ...state, progress, curve, ownRow, timeline: message.timeline ?? state.timeline };
    }
    case 'epoch':
      return { ...state, epochs: [...state.epochs, message.record] };
    case 'finished':
      return { ...state, link: { type: 'over', reason: message.reason, awaitsNextRun: true } };
    case 'details':
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

/** Whether the run has made a step. */
export const hasStarted = ({ progress, curve, epochs }: RunState): boolean =>
  epochs.length > 0 || curve.length > 0 || (progress !== null && progress.step > 0);

/** ID of this tab's row. After the end of a run the tab has left, and its row is still there. */
export const shownOwnId = ({ link, ownId, lastOwnId }: RunState): string | null =>
  link.type === 'over' ? lastOwnId : ownId;

const rowWith = (id: string | null, progress: ProgressWithRows | null): WorkerRow | null =>
  progress?.workers.find((worker) => worker.id === id) ?? null;

const lastStep = (curve: readonly CurvePoint[]): number => curve.at(-1)?.step ?? 0;
const sameJob = (a: Job, b: Job): boolean => JSON.stringify(a) === JSON.stringify(b);
