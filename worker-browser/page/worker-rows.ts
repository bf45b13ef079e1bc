import type { WorkerRow } from '../../shared/protocol/messages.ts';
import type { TableItem, WorkerGroup, WorkersOfRun } from './arrange-workers.ts';
import { engineName, formatBytes, formatCount, formatMs, formatPercent, formatRate } from './format.ts';
import type { RunState } from './run-state.ts';

export const NO_VALUE = '–';

/** Row of the worker table, as text. */
export interface RowView {
  readonly key: string;
  readonly name: string;
  readonly badges: readonly Badge[];
  /** Engine and device; of a group the number of workers too. */
  readonly engine: string;
  readonly speed: string;
  readonly share: string;
  /** Filled part of the bar below the share, 0 to 1. */
  readonly bar: number;
  readonly computeTime: string;
  readonly traffic: string;
  readonly roundTrip: string;
  readonly samples: string;
  /** Whether it is this tab. */
  readonly own: boolean;
  /** Whether it is below the row of its group. */
  readonly isMember: boolean;
  /** Whether the workers of this group are shown; null for the row of a worker. */
  readonly isOpen: boolean | null;
}

export interface Badge {
  readonly text: string;
  readonly isWarning: boolean;
  /** Explanation that a pointer on it shows. */
  readonly title: string;
}

/** The worker that steps wait longest for; undefined if fewer than two workers compute. */
export function findSlowest({ progress }: RunState): WorkerRow | undefined {
  const active = progress?.workers.filter(({ standby }) => standby !== true) ?? [];
  return active.length < 2 ? undefined : active.find(({ id }) => id === progress?.slowest?.id);
}

/** Bytes sent and received, and the codecs if vectors do not travel in float32. */
function trafficText({
  bytesUp,
  bytesDown,
  codecs,
}: Pick<WorkerRow, 'bytesUp' | 'bytesDown' | 'codecs'>): string {
  const bytes = `${formatBytes(bytesUp)}, ${formatBytes(bytesDown)}`;
  return codecs === undefined || codecs === 'float32/float32' ? bytes : `${bytes}, ${codecs}`;
}

/** The smallest share that is written as a number: the page has one digit behind the point. */
const MIN_SHARE = 0.0005;

function shareText(share: number): string {
  if (share > 0 && share < MIN_SHARE) return '<0.1%';
  // Of a thousand workers each has a tenth of a percent.
  return formatPercent(share, share < 0.1 ? 1 : 0);
}

/**
 * Text of a row.
 * @param fullBar share of the batch that fills the bar
 */
export function createRow(
  item: TableItem,
  { ownId, slowestId }: Omit<WorkersOfRun, 'workers'>,
  fullBar = 1,
): RowView {
  const row = item.type === 'group' ? item.group : item.worker;
  const { share, samplesPerSecond, rttMs, samples } = row;
  const figures = {
    key: item.key,
    speed: formatRate(samplesPerSecond),
    share: shareText(share),
    bar: fullBar === 0 ? 0 : Math.min(1, share / fullBar),
    samples: formatCount(samples),
  };
  const isSlowest = ({ id }: WorkerRow): boolean => id === slowestId;
  if (item.type === 'group') {
    const { group } = item;
    const upTo = (ms: number): string => `up to ${formatMs(ms)}`;
    return {
      ...figures,
      name: group.machine,
      badges: [
        ...(group.workers.some(isSlowest) ? [LONGEST_STEP] : []),
        ...(group.standbyCount === 0
          ? []
          : [{ ...STANDBY, text: `${formatCount(group.standbyCount)} standby` }]),
      ],
      engine: `${formatCount(group.workers.length)} workers, ${groupEngineText(group)}`,
      computeTime: group.turnaroundMs === 0 ? NO_VALUE : upTo(group.turnaroundMs),
      traffic: trafficText(group),
      roundTrip: rttMs === null ? NO_VALUE : upTo(rttMs),
      own: false,
      isMember: false,
      isOpen: item.isOpen,
    };
  }
  const { worker, isMember } = item;
  const { id, name, computeMs, turnaroundMs } = worker;
  const own = id === ownId;
  return {
    ...figures,
    name,
    badges: [
      ...(own ? [THIS_TAB] : []),
      ...(worker.standby === true ? [STANDBY] : isSlowest(worker) ? [LONGEST_STEP] : []),
    ],
    engine: engineText(worker),
    computeTime: turnaroundMs === 0 ? NO_VALUE : `${formatMs(computeMs)} of ${formatMs(turnaroundMs)}`,
    traffic: trafficText(worker),
    roundTrip: rttMs === null ? NO_VALUE : formatMs(rttMs),
    own,
    isMember,
    isOpen: null,
  };
}

const LONGEST_STEP: Badge = {
  text: 'longest step',
  isWarning: true,
  title: 'Its part of a step takes longest, computation and connection together. The others wait for it.',
};
const STANDBY: Badge = {
  text: 'standby',
  isWarning: true,
  title: 'The run is faster without it for now.',
};
const THIS_TAB: Badge = { text: 'this tab', isWarning: false, title: 'The worker in this page.' };

const engineText = ({ backend, device }: WorkerRow): string => `${engineName(backend)} on ${device}`;

/** Engine of all workers of a group, or the number of engines. */
function groupEngineText({ workers }: WorkerGroup): string {
  const engines = new Set(workers.map(engineText));
  const [first = ''] = engines;
  return engines.size === 1 ? first : `${formatCount(engines.size)} engines and devices`;
}
