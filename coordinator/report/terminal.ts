import type { Clock } from '../../shared/util/clock.ts';
import { EtaForecast, type Eta } from './eta.ts';
import { LiveLines, type OnContinued, type TerminalStream } from './live-lines.ts';
import {
  formatEpoch,
  EVALUATING,
  type Reporter,
  formatDuration,
  formatMetric,
  pluralize,
  type Progress,
  type WorkerShare,
} from './reporter.ts';
import { paint, PLAIN_STYLE, widthOf, type TextStyle } from './text-style.ts';

/** Reporter with live lines for each epoch, as Keras draws its bar, and the workers below it. Other lines appear above them. */
export function terminalReporter(
  stream: TerminalStream,
  clock: Clock,
  style: TextStyle,
  onContinued?: OnContinued,
): Reporter {
  const live = new LiveLines(stream, clock, onContinued);
  const forecast = new EtaForecast(clock);
  let epochs = 0;

  const showProgress = (label: string, done: number, total: number | undefined): void => {
    if (total !== undefined && done >= total) live.clear();
    else live.show(({ columns }) => [progressBar(label, done, total, columns, style)]);
  };

  return {
    info: (line) => live.log(line),
    warn: (line) => live.log(`${paint(style, 'yellow', '!')} ${line}`),
    progress: showProgress,
    epochStarted(epoch, ofEpochs, steps) {
      live.clear();
      live.log(paint(style, 'bold', `Epoch ${epoch}/${ofEpochs}`));
      epochs = ofEpochs;
      forecast.epochStarted(epoch, ofEpochs, steps);
    },
    stepFinished(progress) {
      forecast.stepFinished(progress.step);
      const bar = { ...progress, eta: forecast.eta, hasLaterEpochs: progress.epoch < epochs };
      live.show(({ columns }) => [
        epochBar(bar, columns, style),
        ...sharesLine(progress.shares?.() ?? [], columns, style),
      ]);
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
  { isShort: true },
  { hasWorkers: false },
  { bar: 0 },
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
export function epochBar(progress: EpochBar, columns: number, style: TextStyle): string {
  let layout = FULL_LAYOUT;
  for (const omission of OMISSIONS) {
    const line = formatLine(progress, layout, style);
    if (widthOf(line) <= columns) return line;
    layout = { ...layout, ...omission };
  }
  return formatLine(progress, layout, PLAIN_STYLE).slice(0, Math.max(0, columns));
}

/**
 * Line with the workers' shares of the last step, the largest first, and as many of them as fit; none for a single worker.
 * @param columns maximum length
 */
export function sharesLine(shares: readonly WorkerShare[], columns: number, style: TextStyle): string[] {
  if (shares.length < 2) return [];
  const separator = style.isUnicode ? ' · ' : ' - ';
  const items = shares
    .toSorted((a, b) => b.share - a.share)
    .map(({ name, share }) => `${name} ${paint(style, 'cyan', `${Math.round(100 * share)}%`)}`);
  for (let count = items.length; count > 0; count--) {
    const rest = items.length === count ? [] : [`${items.length - count} more`];
    const line = [...items.slice(0, count), ...rest].join(separator);
    if (widthOf(line) <= columns) return [line];
  }
  return [];
}

/**
 * Line of another long task: its label, and a bar and a percentage if the total is known.
 * @param columns maximum length
 */
export function progressBar(
  label: string,
  done: number,
  total: number | undefined,
  columns: number,
  style: TextStyle,
): string {
  if (total === undefined || total === 0) return `${label}: ${done}`.slice(0, Math.max(0, columns));
  const percent = `${Math.floor((100 * done) / total)}%`;
  const lines = [`${label} ${drawBar(done / total, 25, style)} ${percent}`, `${label}: ${percent}`, percent];
  return lines.find((line) => widthOf(line) <= columns) ?? '';
}

function formatLine(progress: EpochBar, layout: BarLayout, style: TextStyle): string {
  const { step, steps, loss, metrics, samplesPerSecond, workers } = progress;
  const { isShort, hasEta, hasLoss, hasMetrics, hasRate, hasWorkers } = layout;
  const count = `${step}/${steps}`;
  const rate = Math.round(samplesPerSecond);
  return [
    layout.bar === 0 ? count : `${count} ${drawBar(step / steps, layout.bar, style)}`,
    ...(hasEta ? [paint(style, 'cyan', formatEta(progress, layout))] : []),
    ...(hasLoss ? [`loss: ${paint(style, 'bold', formatMetric(loss))}`] : []),
    ...(hasMetrics ? shownMetrics(metrics, isShort, style) : []),
    ...(hasRate ? [isShort ? `${rate}/s` : `${rate} samples/s`] : []),
    ...(hasWorkers ? [pluralize(workers, 'worker')] : []),
  ].join(paint(style, 'dim', ' - '));
}

/** Metrics of the line: all, or in a narrow terminal the first one. */
function shownMetrics(metrics: Progress['metrics'], isShort: boolean, style: TextStyle): string[] {
  const shown = Object.entries(metrics).map(([name, value]) => {
    const label = isShort && name === 'accuracy' ? 'acc' : name;
    return `${label}: ${paint(style, 'bold', formatMetric(value))}`;
  });
  return isShort ? shown.slice(0, 1) : shown;
}

function formatEta({ eta, hasLaterEpochs }: EpochBar, { hasRunEta, isShort }: BarLayout): string {
  const epoch = `ETA: ${formatDuration(eta.epochSeconds)}`;
  if (!hasRunEta || !hasLaterEpochs) return epoch;
  const run = formatDuration(eta.runSeconds);
  return isShort ? `${epoch}/${run}` : `${epoch} (run: ${run})`;
}

/** Bar of a fraction: `[===.......]`, or a line where the terminal shows it. @param columns without its ends */
function drawBar(fraction: number, columns: number, style: TextStyle): string {
  const filled = Math.min(columns, Math.floor(fraction * columns));
  if (!style.isUnicode) return `[${'='.repeat(filled)}${'.'.repeat(columns - filled)}]`;
  // Without colors, the rest of the line must differ by its form.
  const rest = (style.inColor ? '━' : '─').repeat(columns - filled);
  return `${paint(style, 'green', '━'.repeat(filled))}${paint(style, 'dim', rest)}`;
}
