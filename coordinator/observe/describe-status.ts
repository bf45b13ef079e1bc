import type {
  EpochRecord,
  ProgressMessage,
  ProgressWithRows,
  RunMessage,
  WorkerRow,
} from '../../shared/protocol/messages.ts';
import { formatNotice } from '../../shared/protocol/format-notice.ts';
import { formatDuration, formatEpoch, formatMetrics } from '../report/reporter.ts';

/** State of a run as observers receive it. */
export interface RunStatus {
  readonly run: RunMessage;
  /** Progress with the rows of workers. */
  readonly progress: ProgressWithRows;
  /** Last finished epoch. */
  readonly last: EpochRecord | null;
}

const HEADINGS = [
  'worker',
  'engine',
  'samples/s',
  'share',
  'compute',
  'answer',
  'ping',
  'sent',
  'received',
  'codecs',
];

/** Lines that describe a run: its progress, a table of workers, and hints. */
export function describeStatus({ run, progress, last }: RunStatus): string[] {
  const { job, steps } = run;
  const { epoch, step, loss, metrics, samplesPerSecond, etaSeconds, workers } = progress;
  const figures = loss === null ? '' : ` - ${formatMetrics({ loss, ...metrics })}`;
  const eta = etaSeconds === null ? '' : ` - ETA: ${formatDuration(etaSeconds)}${runEta(run, progress)}`;
  const state =
    epoch === 0
      ? 'No step has finished yet.'
      : `Epoch ${epoch}/${job.epochs}: ${step}/${steps}${eta}${figures} - ${Math.round(samplesPerSecond)} samples/s`;
  return [
    `${job.data.name}: ${job.data.trainSamples} samples, batches of ${job.batchSize}`,
    state,
    ...(last === null ? [] : [`Last epoch (${last.epoch}): ${formatEpoch(last)}`]),
    '',
    ...(workers.length === 0 ? [noWorkersText(last, job.epochs)] : formatTable(workers)),
    ...hiddenWorkers(progress),
    ...describeSlowest(progress),
    ...(progress.advice === undefined ? [] : [progress.advice]),
    ...noticeLines(progress),
  ];
}

/** Time to the end of the run, from the speed of this epoch; empty in the last epoch, and after an epoch's last step. */
function runEta(
  { job: { epochs }, steps }: RunMessage,
  { epoch, step, etaSeconds }: ProgressMessage,
): string {
  if (etaSeconds === null || epoch >= epochs || step >= steps) return '';
  const secondsPerStep = etaSeconds / (steps - step);
  return ` (run: ${formatDuration(etaSeconds + (epochs - epoch) * steps * secondsPerStep)})`;
}

/** Line for a run without workers; a coordinator with --keep-open has none when the run is finished. */
const noWorkersText = (last: EpochRecord | null, epochs: number): string =>
  last?.epoch === epochs ? 'The run is finished.' : 'No worker is connected: the run waits.';

const hiddenWorkers = ({ workers = [], workerCount = workers.length }: ProgressMessage): string[] =>
  workerCount === workers.length ? [] : [`and ${workerCount - workers.length} more workers`];

/** Lines on workers that do not take part, with reasons. */
function noticeLines({ notices = [] }: ProgressMessage): string[] {
  return notices.length === 0 ? [] : ['', ...notices.map(formatNotice)];
}

function formatTable(workers: readonly WorkerRow[]): string[] {
  const hasCodecs = workers.some(({ codecs }) => codecs !== undefined);
  const rows = [HEADINGS, ...workers.map(workerCells)].map((row) => (hasCodecs ? row : row.slice(0, -1)));
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

function workerCells(worker: WorkerRow): string[] {
  const { name, backend, samplesPerSecond, share, computeMs, turnaroundMs, rttMs, bytesUp, bytesDown } =
    worker;
  return [
    name.slice(0, 30),
    backend,
    samplesPerSecond.toFixed(0),
    `${(share * 100).toFixed(0)}%`,
    `${computeMs.toFixed(1)} ms`,
    `${turnaroundMs.toFixed(1)} ms`,
    rttMs === null ? '-' : `${rttMs.toFixed(1)} ms`,
    formatMegabytes(bytesUp),
    formatMegabytes(bytesDown),
    worker.codecs ?? '-',
  ];
}

const formatMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Line on the worker that steps wait for, with a comparison to the fastest one. */
function describeSlowest({ slowest, workers }: ProgressWithRows): string[] {
  const found = workers.find(({ id }) => id === slowest?.id);
  // A worker that has just joined has no time yet.
  const times = workers.map((worker) => worker.turnaroundMs).filter((ms) => ms > 0);
  const fastestMs = Math.min(...times);
  if (slowest === null || found === undefined) return [];
  const { name, turnaroundMs, computeMs } = found;
  const cause =
    slowest.cause === 'compute'
      ? `${computeMs.toFixed(0)} ms of them for computing`
      : `${(turnaroundMs - computeMs).toFixed(0)} ms of them for its connection`;
  const others = times.length > 1 ? ` The fastest worker takes ${fastestMs.toFixed(0)} ms.` : '';
  return ['', `Longest step: ${name}, ${turnaroundMs.toFixed(0)} ms a step, ${cause}.${others}`];
}
