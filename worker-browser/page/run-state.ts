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
import { addRows } from './contribution.ts';
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
  /** All worker IDs that this tab has had in this run, the last one last. */
  readonly ownIds: readonly string[];
  /** Samples of each worker that the page has seen in this run, also of those that have left. */
  readonly samplesById: ReadonlyMap<string, number>;
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
  ownIds: [],
  samplesById: new Map(),
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
        ownIds: [...state.ownIds, event.id],
      };
    case 'message':
      return reduceMessage(state, event.message);
  }
}

function reduceMessage(state: RunState, message: FromCoordinator): RunState {
  switch (message.type) {
    case 'run': {
      const { job, steps, curve, epochs, addresses = [] } = message;
      const restarted =
        state.job !== null && (lastStep(curve) < lastStep(state.curve) || !sameJob(job, state.job));
      return {
        ...state,
        ...(restarted ? startCounting(state.ownId) : {}),
        addresses,
        link: { type: 'live' },
        job,
        stepsPerEpoch: steps,
        curve: mergeToLength(curve, MAX_POINTS),
        epochs,
        progress: null,
        timeline: null,
        restarted,
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
      const samplesById = addRows(state.samplesById, message.workers);
      return { ...state, progress, curve, ownRow, samplesById, timeline: message.timeline ?? state.timeline };
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

/** Counts of another run begin with nothing. */
const startCounting = (ownId: string | null): Pick<RunState, 'ownIds' | 'samplesById' | 'ownRow'> => ({
  ownIds: ownId === null ? [] : [ownId],
  samplesById: new Map(),
  ownRow: null,
});

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
