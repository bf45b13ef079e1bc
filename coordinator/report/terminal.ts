import type { Clock } from '../../shared/util/clock.ts';
import { EtaForecast, type Eta } from './eta.ts';
import { LiveLine, type OnContinued, type TerminalStream } from './live-line.ts';
import {
  formatEpoch,
  EVALUATING,
  type Reporter,
  formatDuration,
  formatMetric,
  pluralize,
  type Progress,
} from './reporter.ts';

/** Subscribes to SIGCONT, which a process gets when it continues after Ctrl-Z. */
const onProcessContinued: OnContinued = (callback) => {
  process.on('SIGCONT', callback);
  return () => process.off('SIGCONT', callback);
};

/** Reporter with a live line for each epoch, as Keras draws it. Other lines appear above it. */
export function terminalReporter(
  stream: TerminalStream,
  clock: Clock,
  onContinued: OnContinued = onProcessContinued,
): Reporter {
  const live = new LiveLine(stream, clock, onContinued);
  const forecast = new EtaForecast(clock);
  let epochs = 0;

  const showProgress = (label: string, done: number, total: number | undefined): void => {
    if (total !== undefined && done >= total) live.clear();
    else live.show((columns) => progressBar(label, done, total, columns));
  };

  return {
    info: (line) => live.log(line),
    warn: (line) => live.log(`! ${line}`),
    progress: showProgress,
    epochStarted(epoch, ofEpochs, steps) {
      live.clear();
      live.log(`Epoch ${epoch}/${ofEpochs}`);
      epochs = ofEpochs;
      forecast.epochStarted(epoch, ofEpochs, steps);
    },
    stepFinished(progress) {
      forecast.stepFinished(progress.step);
      const bar = { ...progress, eta: forecast.eta, hasLaterEpochs: progress.epoch < epochs };
      live.show((columns) => epochBar(bar, columns));
    },
    evaluated: (done, total) => showProgress(EVALUATING, done, total),
    epochFinished(record, _epochs, steps) {
      forecast.epochFinished();
      live.clear();
      live.log(`${steps}/${steps} - ${formatEpoch(record)}`);
    },
    close: () => live.clear(),
  };
}

/** Contents of an epoch's line. */
export interface EpochBar extends Progress {
  readonly eta: Eta;
  /** False in the last epoch. */
  readonly hasLaterEpochs: boolean;
}

interface BarLayout {
  /** Width of the bar in columns. */
  readonly bar: number;
  readonly isShort: boolean;
  readonly hasWorkers: boolean;
  readonly hasRunEta: boolean;
  readonly hasRate: boolean;
  readonly hasEta: boolean;
  readonly hasMetrics: boolean;
  readonly hasLoss: boolean;
}

const FULL_LAYOUT: BarLayout = {
  bar: 25,
  isShort: false,
  hasWorkers: true,
  hasRunEta: true,
  hasRate: true,
  hasEta: true,
  hasMetrics: true,
  hasLoss: true,
};
/** Fields that are left out in a narrow terminal, the least useful first. */
const OMISSIONS: readonly Partial<BarLayout>[] = [
  { bar: 10 },
  { bar: 0 },
  { isShort: true },
  { hasWorkers: false },
  { hasRunEta: false },
  { hasRate: false },
  { hasEta: false },
  { hasMetrics: false },
  { hasLoss: false },
];

/**
 * Line of the current epoch, as Keras writes it, with as many fields as fit.
 * @param columns maximum length
 */
export function epochBar(progress: EpochBar, columns: number): string {
  let layout = FULL_LAYOUT;
  let line = formatLine(progress, layout);
  for (const omission of OMISSIONS) {
    if (line.length <= columns) return line;
    layout = { ...layout, ...omission };
    line = formatLine(progress, layout);
  }
  return line.slice(0, Math.max(0, columns));
}

/**
 * Line of another long task: its label, and a bar and a percentage if the total is known.
 * @param columns maximum length
 */
export function progressBar(label: string, done: number, total: number | undefined, columns: number): string {
  if (total === undefined || total === 0) return `${label}: ${done}`.slice(0, Math.max(0, columns));
  const percent = `${Math.floor((100 * done) / total)}%`;
  const lines = [`${label} [${drawBar(done / total, 25)}] ${percent}`, `${label}: ${percent}`, percent];
  return lines.find((line) => line.length <= columns) ?? '';
}

function formatLine(progress: EpochBar, layout: BarLayout): string {
  const { step, steps, loss, metrics, samplesPerSecond, workers } = progress;
  const { isShort, hasEta, hasLoss, hasMetrics, hasRate, hasWorkers } = layout;
  const count = `${step}/${steps}`;
  const rate = Math.round(samplesPerSecond);
  return [
    layout.bar === 0 ? count : `${count} [${drawBar(step / steps, layout.bar)}]`,
    ...(hasEta ? [formatEta(progress, layout)] : []),
    ...(hasLoss ? [`loss: ${formatMetric(loss)}`] : []),
    ...(hasMetrics ? shownMetrics(metrics, isShort) : []),
    ...(hasRate ? [isShort ? `${rate}/s` : `${rate} samples/s`] : []),
    ...(hasWorkers ? [pluralize(workers, 'worker')] : []),
  ].join(' - ');
}

/** Metrics of the line: all, or in a narrow terminal the first one. */
function shownMetrics(metrics: Progress['metrics'], isShort: boolean): string[] {
  const shown = Object.entries(metrics).map(
    ([name, value]) => `${isShort && name === 'accuracy' ? 'acc' : name}: ${formatMetric(value)}`,
  );
  return isShort ? shown.slice(0, 1) : shown;
}

function formatEta({ eta, hasLaterEpochs }: EpochBar, { hasRunEta, isShort }: BarLayout): string {
  const epoch = `ETA: ${formatDuration(eta.epochSeconds)}`;
  if (!hasRunEta || !hasLaterEpochs) return epoch;
  const run = formatDuration(eta.runSeconds);
  return isShort ? `${epoch}/${run}` : `${epoch} (run: ${run})`;
}

function drawBar(fraction: number, columns: number): string {
  const filled = Math.min(columns, Math.floor(fraction * columns));
  return '='.repeat(filled) + '.'.repeat(columns - filled);
}
