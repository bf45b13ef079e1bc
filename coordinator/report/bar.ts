import { duration, fixed, plural, type Progress } from './report.ts';
import type { Eta } from './eta.ts';

/** Figures in the line of an epoch. */
export interface EpochBar extends Progress {
  readonly eta: Eta;
  /** False in the last epoch, which ends with the run. */
  readonly hasLaterEpochs: boolean;
}

interface Layout {
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

const WIDEST: Layout = {
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
const OMISSIONS: readonly Partial<Layout>[] = [
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
  let layout = WIDEST;
  let line = lineOf(progress, layout);
  for (const omission of OMISSIONS) {
    if (line.length <= columns) return line;
    layout = { ...layout, ...omission };
    line = lineOf(progress, layout);
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
  const lines = [`${label} [${graphic(done / total, 25)}] ${percent}`, `${label}: ${percent}`, percent];
  return lines.find((line) => line.length <= columns) ?? '';
}

function lineOf(progress: EpochBar, layout: Layout): string {
  const { step, steps, loss, accuracy, samplesPerSecond, workers } = progress;
  const { isShort, hasEta, hasLoss, hasAccuracy, hasRate, hasWorkers } = layout;
  const count = `${step}/${steps}`;
  const rate = Math.round(samplesPerSecond);
  return [
    layout.bar === 0 ? count : `${count} [${graphic(step / steps, layout.bar)}]`,
    ...(hasEta ? [etaText(progress, layout)] : []),
    ...(hasLoss ? [`loss: ${fixed(loss)}`] : []),
    ...(hasAccuracy ? [`${isShort ? 'acc' : 'accuracy'}: ${fixed(accuracy)}`] : []),
    ...(hasRate ? [isShort ? `${rate}/s` : `${rate} samples/s`] : []),
    ...(hasWorkers ? [plural(workers, 'worker')] : []),
  ].join(' - ');
}

function etaText({ eta, hasLaterEpochs }: EpochBar, { hasRunEta, isShort }: Layout): string {
  const epoch = `ETA: ${duration(eta.epochSeconds)}`;
  if (!hasRunEta || !hasLaterEpochs) return epoch;
  const run = duration(eta.runSeconds);
  return isShort ? `${epoch}/${run}` : `${epoch} (run: ${run})`;
}

function graphic(share: number, columns: number): string {
  const filled = Math.min(columns, Math.floor(share * columns));
  return '='.repeat(filled) + '.'.repeat(columns - filled);
}
