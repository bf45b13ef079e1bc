import type { Log } from './log.ts';
import type { Score } from '../../shared/model/loss.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';

/** Figures over the part of an epoch that is done: means over its samples so far. */
export interface Progress {
  /** From 1. */
  readonly epoch: number;
  /** Steps done in this epoch, of `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly samplesPerSecond: number;
  readonly workers: number;
}

/** What the training loop says of a step that is done. */
export interface StepReport extends Progress {
  /** Sums over the step's samples alone. */
  readonly batch: Score & { readonly samples: number };
  /** Weights after the step; `source` has the newest committed ones. */
  readonly weights: { readonly step: Step; readonly source: { readonly committedWeights: Float32Array } };
}

/** What the person at the terminal sees. */
export interface Reporter extends Log {
  /** Something long that is no epoch, such as a download; `total` is undefined while nobody knows it. */
  progress(label: string, done: number, total: number | undefined): void;
  epochStarted(epoch: number, epochs: number, steps: number): void;
  stepFinished(progress: Progress): void;
  /** Loss and accuracy of so many of the test samples are known. */
  evaluated?(done: number, total: number): void;
  epochFinished(record: EpochRecord, epochs: number, steps: number): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

/** What hears of the training itself. */
export interface TrainingListener {
  epochStarted(epoch: number, epochs: number, steps: number): void;
  stepFinished(news: StepReport): void;
  /** Loss and accuracy of so many of the test samples are known. */
  evaluated?(done: number, total: number): void;
  epochFinished(record: EpochRecord, epochs: number, steps: number): void;
}

/** Tells both. */
export const combineListeners = (one: TrainingListener, other: TrainingListener): TrainingListener => ({
  epochStarted(...news) {
    one.epochStarted(...news);
    other.epochStarted(...news);
  },
  stepFinished(news) {
    one.stepFinished(news);
    other.stepFinished(news);
  },
  evaluated(...news) {
    one.evaluated?.(...news);
    other.evaluated?.(...news);
  },
  epochFinished(...news) {
    one.epochFinished(...news);
    other.epochFinished(...news);
  },
});

/** Label of the time after an epoch's last step. */
export const EVALUATING = 'Measuring on the test data';

export const formatMetric = (value: number): string => value.toFixed(4);

/** "1h 02m", "3m 05s", "42s" */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole >= 3600) return `${Math.floor(whole / 3600)}h ${two(Math.floor(whole / 60) % 60)}m`;
  if (whole >= 60) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${whole}s`;
}

export const pluralize = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

export function formatProgress({
  loss,
  accuracy,
  samplesPerSecond,
  workers,
}: Omit<Progress, 'epoch' | 'step' | 'steps'>): string {
  return (
    `loss: ${formatMetric(loss)} - accuracy: ${formatMetric(accuracy)} - ` +
    `${Math.round(samplesPerSecond)} samples/s - ${pluralize(workers, 'worker')}`
  );
}

export function formatEpoch(record: EpochRecord): string {
  return (
    `${formatDuration(record.seconds)} - loss: ${formatMetric(record.loss)} - accuracy: ${formatMetric(record.accuracy)} - ` +
    `val_loss: ${formatMetric(record.val_loss)} - val_accuracy: ${formatMetric(record.val_accuracy)} - ` +
    `${Math.round(record.samples_per_second)} samples/s - ${pluralize(record.workers, 'worker')}`
  );
}

/** How long the rest of the epoch takes at the pace so far. */
export function remainingSeconds({ step, steps }: Progress, elapsedSeconds: number): number {
  return step === 0 ? 0 : (elapsedSeconds / step) * (steps - step);
}
