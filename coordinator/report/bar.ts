import { formatDuration, formatMetric, pluralize, type Progress } from './report.ts';
import type { Eta } from './eta.ts';

/** Figures in the line of an epoch. */
export interface EpochBar extends Progress {
  readonly eta: Eta;
  /** False in the last epoch, which ends with the run. */
  readonly hasLaterEpochs: boolean;
}

interface BarLayout {
  /** Columns of the bar itself. */
  readonly bar: number;
  readonly isShort: boolean;
  readonly hasWorkers: boolean;
  readonly hasRunEta: boolean;
  readonly hasRate: boolean;
  readonly hasEta: boolean;
  readonly hasAccuracy: boolean;
  readonly hasLoss: boolean;
}

const FULL_LAYOUT: BarLayout = {
  bar: 25,
  isShort: false,
  hasWorkers: true,
  hasRunEta: true,
  hasRate: true,
  hasEta: true,
  hasAccuracy: true,
  hasLoss: true,
};
/** Fields that a narrower terminal leaves out, the least useful first. */
const OMISSIONS: readonly Partial<BarLayout>[] = [
  { bar: 10 },
  { bar: 0 },
  { isShort: true },
  { hasWorkers: false },
  { hasRunEta: false },
  { hasRate: false },
  { hasEta: false },
  { hasAccuracy: false },
  { hasLoss: false },
];

/**
 * The line of an epoch in progress, as Keras writes it, with as many of its fields as fit.
 * @param columns at most so many characters
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
 * The line of something else that takes long: its label, a bar and percents where the total is known.
 * @param columns at most so many characters
 */
export function progressBar(label: string, done: number, total: number | undefined, columns: number): string {
  if (total === undefined || total === 0) return `${label}: ${done}`.slice(0, Math.max(0, columns));
  const percent = `${Math.floor((100 * done) / total)}%`;
  const lines = [`${label} [${drawBar(done / total, 25)}] ${percent}`, `${label}: ${percent}`, percent];
  return lines.find((line) => line.length <= columns) ?? '';
}

function formatLine(progress: EpochBar, layout: BarLayout): string {
  const { step, steps, loss, accuracy, samplesPerSecond, workers } = progress;
  const { isShort, hasEta, hasLoss, hasAccuracy, hasRate, hasWorkers } = layout;
  const count = `${step}/${steps}`;
  const rate = Math.round(samplesPerSecond);
  return [
    layout.bar === 0 ? count : `${count} [${drawBar(step / steps, layout.bar)}]`,
    ...(hasEta ? [formatEta(progress, layout)] : []),
    ...(hasLoss ? [`loss: ${formatMetric(loss)}`] : []),
    ...(hasAccuracy ? [`${isShort ? 'acc' : 'accuracy'}: ${formatMetric(accuracy)}`] : []),
    ...(hasRate ? [isShort ? `${rate}/s` : `${rate} samples/s`] : []),
    ...(hasWorkers ? [pluralize(workers, 'worker')] : []),
  ].join(' - ');
}

function formatEta({ eta, hasLaterEpochs }: EpochBar, { hasRunEta, isShort }: BarLayout): string {
  const epoch = `ETA: ${formatDuration(eta.epochSeconds)}`;
  if (!hasRunEta || !hasLaterEpochs) return epoch;
  const run = formatDuration(eta.runSeconds);
  return isShort ? `${epoch}/${run}` : `${epoch} (run: ${run})`;
}

function drawBar(share: number, columns: number): string {
  const filled = Math.min(columns, Math.floor(share * columns));
  return '='.repeat(filled) + '.'.repeat(columns - filled);
}
