import type { EpochRecord, ProgressMessage, RunMessage, WorkerRow } from '../../shared/protocol/messages.ts';
import { formatNotice } from '../../shared/protocol/format-notice.ts';
import { formatDuration, formatEpoch, formatMetric } from '../report/reporter.ts';

/** What an observer knows of a run. */
export interface RunStatus {
  readonly run: RunMessage;
  readonly progress: ProgressMessage;
  /** The last epoch that is done. */
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

/** A run in words and a table, a line each. */
export function describeStatus({ run, progress, last }: RunStatus): string[] {
  const { job, steps } = run;
  const { epoch, step, loss, accuracy, samplesPerSecond, etaSeconds, workers } = progress;
  const figures =
    loss === null || accuracy === null
      ? ''
      : ` - loss: ${formatMetric(loss)} - accuracy: ${formatMetric(accuracy)}`;
  const eta = etaSeconds === null ? '' : ` - ETA: ${formatDuration(etaSeconds)}${runEta(run, progress)}`;
  const state =
    epoch === 0
      ? 'No step has been made yet.'
      : `Epoch ${epoch}/${job.epochs}: ${step}/${steps}${eta}${figures} - ${Math.round(samplesPerSecond)} samples/s`;
  return [
    `${job.data.name}: ${job.data.trainSamples} samples, batches of ${job.batchSize}`,
    state,
    ...(last === null ? [] : [`Epoch ${last.epoch} was: ${formatEpoch(last)}`]),
    '',
    ...(workers.length === 0 ? [noWorkersText(last, job.epochs)] : formatTable(workers)),
    ...describeSlowest(progress),
    ...(progress.advice === undefined ? [] : [progress.advice]),
    ...noticeLines(progress),
  ];
}

/** Time to the end of the last epoch, by the steps of this one; empty in the last epoch, and where no step is left to go by. */
function runEta(
  { job: { epochs }, steps }: RunMessage,
  { epoch, step, etaSeconds }: ProgressMessage,
): string {
  if (etaSeconds === null || epoch >= epochs || step >= steps) return '';
  const secondsPerStep = etaSeconds / (steps - step);
  return ` (run: ${formatDuration(etaSeconds + (epochs - epoch) * steps * secondsPerStep)})`;
}

/** A coordinator with --keep-open has no workers any more. */
const noWorkersText = (last: EpochRecord | null, epochs: number): string =>
  last?.epoch === epochs ? 'The run is finished.' : 'No worker is connected: the run waits.';

/** Who does not take part, and why. */
function noticeLines({ notices = [] }: ProgressMessage): string[] {
  return notices.length === 0 ? [] : ['', ...notices.map(formatNotice)];
}

function formatTable(workers: readonly WorkerRow[]): string[] {
  const told = workers.some(({ codecs }) => codecs !== undefined);
  const rows = [HEADINGS, ...workers.map(workerCells)].map((row) => (told ? row : row.slice(0, -1)));
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

/** The worker that steps wait for, beside the fastest one. */
function describeSlowest({ slowest, workers }: ProgressMessage): string[] {
  const found = workers.find(({ id }) => id === slowest?.id);
  const fastestMs = Math.min(...workers.map(({ turnaroundMs }) => turnaroundMs));
  if (slowest === null || found === undefined) return [];
  const { name, turnaroundMs, computeMs } = found;
  const of =
    slowest.cause === 'compute'
      ? `${computeMs.toFixed(0)} ms of them to compute`
      : `${(turnaroundMs - computeMs).toFixed(0)} ms of them for its connection`;
  const others = workers.length > 1 ? ` The fastest one takes ${fastestMs.toFixed(0)} ms.` : '';
  return ['', `Slowest worker: ${name}, ${turnaroundMs.toFixed(0)} ms a step, ${of}.${others}`];
}
