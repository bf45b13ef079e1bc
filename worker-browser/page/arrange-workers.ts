import type { WorkerRow } from '../../shared/protocol/messages.ts';
import { engineName } from './format.ts';

/** Workers of a run, as the table shows them. */
export interface WorkersOfRun {
  readonly workers: readonly WorkerRow[];
  /** Number of further workers, which have no rows. @default 0 */
  readonly hidden?: number;
  /** Worker of this tab. */
  readonly ownId: string | null;
  /** Worker that steps wait longest for. */
  readonly slowestId: string | undefined;
}

export const COLUMNS = ['name', 'speed', 'share', 'computeTime', 'traffic', 'roundTrip', 'samples'] as const;
export type Column = (typeof COLUMNS)[number];

export interface Order {
  readonly column: Column;
  readonly isDescending: boolean;
}

/** Direction that a column has first: the largest figures, or names from A to Z. */
export const firstOrder = (column: Column): Order => ({ column, isDescending: column !== 'name' });

/** The order after a click on a column's header: the column's, its reverse, the default. */
export function nextOrder(order: Order | null, column: Column): Order | null {
  const first = firstOrder(column);
  if (order?.column !== column) return first;
  return order.isDescending === first.isDescending ? { ...first, isDescending: !first.isDescending } : null;
}

/** Search, order and groups that a person has chosen. */
export interface TableChoice {
  /** Words that a row must all have. */
  readonly query: string;
  /** Null for the default order: this tab, the worker with the longest step, then by samples. */
  readonly order: Order | null;
  readonly isGrouped: boolean;
  /** Machines whose workers are shown, or hidden in a search, which shows them by default. */
  readonly toggled: ReadonlySet<string>;
}

/** Workers of one machine, and what they do together. */
export interface WorkerGroup {
  readonly machine: string;
  readonly workers: readonly WorkerRow[];
  readonly samplesPerSecond: number;
  readonly share: number;
  readonly samples: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Time of the slowest of them; 0 before the first answer. */
  readonly turnaroundMs: number;
  /** The longest; null before the first pong. */
  readonly rttMs: number | null;
  readonly standbyCount: number;
}

/** A row of the table. */
export type TableItem =
  | { readonly type: 'worker'; readonly key: string; readonly worker: WorkerRow; readonly isMember: boolean }
  | { readonly type: 'group'; readonly key: string; readonly group: WorkerGroup; readonly isOpen: boolean };

export interface ArrangedWorkers {
  readonly items: readonly TableItem[];
  /** Number of workers that the search has found. */
  readonly matches: number;
  /** Ids of all workers found, in the order of the table, those of closed groups included. */
  readonly sequence: readonly string[];
}

/** A machine with one worker has no group. */
const MIN_GROUP = 2;

/**
 * Machine of a worker: as it says, or else its name without the number of a worker. Tabs say none, so they are grouped by browser.
 */
export const machineOf = ({ machine, name }: WorkerRow): string =>
  machine ?? (name.replace(/ \(\d+\)$/, '').replace(/-(gpu)?\d+$/, '') || name);

/** Whether groups make the table much shorter. */
export const isWorthGrouping = (workers: readonly WorkerRow[]): boolean =>
  new Set(workers.map(machineOf)).size <= workers.length / MIN_GROUP;

/**
 * Rows of the table: the workers that the search finds, sorted and grouped.
 * @param previous sequence of the rows that are shown; equal workers keep its order
 * @param isHeld whether all workers keep the order of `previous`, new ones at the end, so that rows do not move under a pointer
 */
export function arrangeWorkers(
  run: WorkersOfRun,
  { query, order, isGrouped, toggled }: TableChoice,
  previous: readonly string[] = [],
  isHeld = false,
): ArrangedWorkers {
  const places = new Map(previous.map((id, i) => [id, i]));
  const placeOf = ({ id }: WorkerRow): number => places.get(id) ?? previous.length;
  const found = findWorkers(run, query).sort((a, b) => placeOf(a) - placeOf(b));
  const compare = comparison(order, run);
  if (!isHeld) found.sort(compare);
  const asItem = (worker: WorkerRow, isMember: boolean): TableItem => ({
    type: 'worker',
    key: `worker ${worker.id}`,
    worker,
    isMember,
  });
  if (!isGrouped) {
    return {
      items: found.map((worker) => asItem(worker, false)),
      matches: found.length,
      sequence: found.map(({ id }) => id),
    };
  }
  const own = found.filter(({ id }) => id === run.ownId);
  const groups = groupByMachine(found.filter(({ id }) => id !== run.ownId));
  if (!isHeld) groups.sort(compare);
  const isOpen = ({ machine }: WorkerGroup): boolean => toggled.has(machine) !== (query.trim() !== '');
  const items = groups.flatMap((group): TableItem[] => {
    if (group.workers.length < MIN_GROUP) return group.workers.map((worker) => asItem(worker, false));
    const header: TableItem = {
      type: 'group',
      key: `group ${group.machine}`,
      group,
      isOpen: isOpen(group),
    };
    return header.isOpen ? [header, ...group.workers.map((worker) => asItem(worker, true))] : [header];
  });
  return {
    items: [...own.map((worker) => asItem(worker, false)), ...items],
    matches: found.length,
    sequence: [...own, ...groups.flatMap(({ workers }) => workers)].map(({ id }) => id),
  };
}

/** Workers that have each word of the query in their name, machine, engine, device or state. */
function findWorkers({ workers, ownId, slowestId }: WorkersOfRun, query: string): WorkerRow[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...workers];
  return workers.filter((worker) => {
    const { id, name, backend, device, standby } = worker;
    const states = [
      standby === true ? 'standby' : 'active',
      id === ownId ? 'this tab' : '',
      id === slowestId ? 'longest step' : '',
    ];
    const texts = [name, machineOf(worker), backend, engineName(backend), device, ...states];
    const text = texts.join('\n').toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** Groups in the order of their first workers. */
function groupByMachine(workers: readonly WorkerRow[]): WorkerGroup[] {
  const byMachine = new Map<string, WorkerRow[]>();
  for (const worker of workers) {
    const machine = machineOf(worker);
    const members = byMachine.get(machine);
    if (members === undefined) byMachine.set(machine, [worker]);
    else members.push(worker);
  }
  return [...byMachine].map(([machine, members]) => createGroup(machine, members));
}

function createGroup(machine: string, workers: readonly WorkerRow[]): WorkerGroup {
  const sum = (of: (worker: WorkerRow) => number): number =>
    workers.reduce((total, worker) => total + of(worker), 0);
  const rtts = workers.flatMap(({ rttMs }) => (rttMs === null ? [] : [rttMs]));
  return {
    machine,
    workers,
    samplesPerSecond: sum((worker) => worker.samplesPerSecond),
    share: sum((worker) => worker.share),
    samples: sum((worker) => worker.samples),
    bytesUp: sum((worker) => worker.bytesUp),
    bytesDown: sum((worker) => worker.bytesDown),
    turnaroundMs: workers.reduce((most, worker) => Math.max(most, worker.turnaroundMs), 0),
    rttMs: rtts.length === 0 ? null : rtts.reduce((most, ms) => Math.max(most, ms), 0),
    standbyCount: workers.filter(({ standby }) => standby === true).length,
  };
}

type Compared = WorkerRow | WorkerGroup;

const isGroup = (row: Compared): row is WorkerGroup => 'workers' in row;

/** Names with numbers in their order: node2 before node10. */
let collator: Intl.Collator | null = null;
/** Compares names, the numbers in them by value. Made when it is first needed, as it takes a phone long to load. */
const compareNames = (a: string, b: string): number =>
  (collator ??= new Intl.Collator('en', { numeric: true })).compare(a, b);

/** Values that columns sort by; null where there is none yet. */
const VALUES: Readonly<Record<Exclude<Column, 'name'>, (row: Compared) => number | null>> = {
  speed: ({ samplesPerSecond }) => samplesPerSecond,
  share: ({ share }) => share,
  computeTime: ({ turnaroundMs }) => (turnaroundMs === 0 ? null : turnaroundMs),
  traffic: ({ bytesUp, bytesDown }) => bytesUp + bytesDown,
  roundTrip: ({ rttMs }) => rttMs,
  samples: ({ samples }) => samples,
};

function comparison(
  order: Order | null,
  { ownId, slowestId }: WorkersOfRun,
): (a: Compared, b: Compared) => number {
  if (order === null) {
    const rankOf = ({ id }: WorkerRow): number => (id === ownId ? 0 : id === slowestId ? 1 : 2);
    const rank = (row: Compared): number =>
      isGroup(row) ? (row.workers.some(({ id }) => id === slowestId) ? 1 : 2) : rankOf(row);
    return (a, b) => rank(a) - rank(b) || b.samples - a.samples;
  }
  const { column, isDescending } = order;
  const sign = isDescending ? -1 : 1;
  if (column === 'name') {
    const nameOf = (row: Compared): string => (isGroup(row) ? row.machine : row.name);
    return (a, b) => sign * compareNames(nameOf(a), nameOf(b));
  }
  const valueOf = VALUES[column];
  return (a, b) => {
    const [left, right] = [valueOf(a), valueOf(b)];
    // Rows without a value are the last ones in both directions.
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return sign * (left - right);
  };
}
