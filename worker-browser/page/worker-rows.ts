import type { WorkerRow } from '../../shared/protocol/messages.ts';
import { formatBytes, formatCount, formatMs, formatPercent, formatRate } from './format.ts';
import type { RunState } from './run-state.ts';

export const NO_VALUE = '–';

export interface RowView {
  readonly id: string;
  readonly name: string;
  readonly own: boolean;
  /** Whether the steps wait for it. */
  readonly slowest: boolean;
  /** Whether it has no part, because the steps would wait for it. */
  readonly standby: boolean;
  readonly engine: string;
  readonly speed: string;
  readonly share: string;
  /** 0 to 1. */
  readonly shareOfBatch: number;
  readonly shard: string;
  readonly link: string;
  readonly rtt: string;
  readonly samples: string;
}

/** The worker that the steps wait for longest; undefined where there is no other to compare it with. */
export function findSlowest({ progress }: RunState): WorkerRow | undefined {
  const active = progress?.workers.filter(({ standby }) => standby !== true) ?? [];
  return active.length < 2 ? undefined : active.find(({ id }) => id === progress?.slowest?.id);
}

/** This tab first, then whom all wait for, then by what was contributed. */
export function sortWorkers(
  workers: readonly WorkerRow[],
  own: string | null,
  slowest: string | undefined,
): WorkerRow[] {
  const rank = ({ id }: WorkerRow): number => (id === own ? 0 : id === slowest ? 1 : 2);
  return [...workers].sort((a, b) => rank(a) - rank(b) || b.samples - a.samples);
}

const linkText = ({ bytesUp, bytesDown }: WorkerRow): string =>
  `${formatBytes(bytesUp)}, ${formatBytes(bytesDown)}`;

/** How vectors travel, where that is not as they are. */
const codecTexts = ({ codecs }: WorkerRow): string[] =>
  codecs === undefined || codecs === 'float32/float32' ? [] : [codecs];

export function createRow(worker: WorkerRow, own: string | null, slowest: string | undefined): RowView {
  const { id, name, backend, device, share, samples, samplesPerSecond, computeMs, turnaroundMs, rttMs } =
    worker;
  return {
    id,
    name,
    own: id === own,
    slowest: id === slowest,
    standby: worker.standby === true,
    engine: `${engineName(backend)} on ${device}`,
    speed: formatRate(samplesPerSecond),
    share: formatPercent(share),
    shareOfBatch: share,
    shard: turnaroundMs === 0 ? NO_VALUE : `${formatMs(computeMs)} of ${formatMs(turnaroundMs)}`,
    link: [linkText(worker), ...codecTexts(worker)].join(', '),
    rtt: rttMs === null ? NO_VALUE : formatMs(rttMs),
    samples: formatCount(samples),
  };
}

const ENGINE_NAMES: Readonly<Record<string, string>> = {
  wasm: 'WebAssembly',
  webgl: 'WebGL',
  webgpu: 'WebGPU',
  tensorflow: 'TensorFlow',
};

/** The name that people know. */
export const engineName = (backend: string): string => ENGINE_NAMES[backend] ?? backend;
