import type { WorkerRow } from '../../shared/protocol/messages.ts';
import { formatBytes, formatCount, formatMs, formatPercent, formatRate } from './format.ts';
import type { RunState } from './run-state.ts';

export const NO_VALUE = '–';

/** Row of the worker table, as text. */
export interface RowView {
  readonly id: string;
  readonly name: string;
  readonly own: boolean;
  /** Whether steps wait longest for this worker. */
  readonly slowest: boolean;
  /** Whether it computes nothing for now, because steps would wait for it. */
  readonly standby: boolean;
  readonly engine: string;
  readonly speed: string;
  readonly share: string;
  /** 0 to 1. */
  readonly shareOfBatch: number;
  readonly computeTime: string;
  readonly traffic: string;
  readonly roundTrip: string;
  readonly samples: string;
}

/** The worker that steps wait longest for; undefined if fewer than two workers compute. */
export function findSlowest({ progress }: RunState): WorkerRow | undefined {
  const active = progress?.workers.filter(({ standby }) => standby !== true) ?? [];
  return active.length < 2 ? undefined : active.find(({ id }) => id === progress?.slowest?.id);
}

/** Workers in the order of the table: this tab, the slowest one, then by samples. */
export function sortWorkers(
  workers: readonly WorkerRow[],
  ownId: string | null,
  slowestId: string | undefined,
): WorkerRow[] {
  const rank = ({ id }: WorkerRow): number => (id === ownId ? 0 : id === slowestId ? 1 : 2);
  return [...workers].sort((a, b) => rank(a) - rank(b) || b.samples - a.samples);
}

/** Bytes sent and received, and the codecs if vectors do not travel in float32. */
function trafficText({ bytesUp, bytesDown, codecs }: WorkerRow): string {
  const bytes = `${formatBytes(bytesUp)}, ${formatBytes(bytesDown)}`;
  return codecs === undefined || codecs === 'float32/float32' ? bytes : `${bytes}, ${codecs}`;
}

export function createRow(worker: WorkerRow, ownId: string | null, slowestId: string | undefined): RowView {
  const { id, name, backend, device, share, samples, samplesPerSecond, computeMs, turnaroundMs, rttMs } =
    worker;
  return {
    id,
    name,
    own: id === ownId,
    slowest: id === slowestId,
    standby: worker.standby === true,
    engine: `${engineName(backend)} on ${device}`,
    speed: formatRate(samplesPerSecond),
    share: formatPercent(share),
    shareOfBatch: share,
    computeTime: turnaroundMs === 0 ? NO_VALUE : `${formatMs(computeMs)} of ${formatMs(turnaroundMs)}`,
    traffic: trafficText(worker),
    roundTrip: rttMs === null ? NO_VALUE : formatMs(rttMs),
    samples: formatCount(samples),
  };
}

const ENGINE_NAMES: Readonly<Record<string, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
  tensorflow: 'TensorFlow',
};

/** Common name of a backend. */
export const engineName = (backend: string): string => ENGINE_NAMES[backend] ?? backend;
