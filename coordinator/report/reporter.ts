import type { Log } from './log.ts';
import type { Score } from '../../shared/model/loss.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';

/** Progress of an epoch: means over its samples so far. */
export interface Progress {
  /** Epoch, from 1. */
  readonly epoch: number;
  /** Steps done in this epoch, of `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly samplesPerSecond: number;
  readonly workers: number;
}

/** Event of a finished training step. */
export interface StepReport extends Progress {
  /** Sums over the step's samples. */
  readonly batch: Score & { readonly samples: number };
  /** Weights after the step; `source` has the newest committed ones. */
  readonly weights: { readonly step: Step; readonly source: { readonly averagedWeights: Float32Array } };
}

/** Output of a command: messages and the progress of training. */
export interface Reporter extends Log {
  /** Progress of a long task other than training, such as a download. @param total undefined if unknown */
  progress(label: string, done: number, total: number | undefined): void;
  epochStarted(epoch: number, epochs: number, steps: number): void;
  stepFinished(progress: Progress): void;
  /** Progress of an evaluation, in test samples. */
  evaluated?(done: number, total: number): void;
  epochFinished(record: EpochRecord, epochs: number, steps: number): void;
  /** Removes the progress bar from the terminal. */
  close(): void;
}

/** Receiver of training events. */
export interface TrainingListener {
  epochStarted(epoch: number, epochs: number, steps: number): void;
  stepFinished(event: StepReport): void;
  /** Progress of an evaluation, in test samples. */
  evaluated?(done: number, total: number): void;
  epochFinished(record: EpochRecord, epochs: number, steps: number): void;
}

/** Listener that passes every event to all listeners, in order. */
export const combineListeners = (...listeners: readonly TrainingListener[]): TrainingListener => ({
  epochStarted(...event) {
    for (const listener of listeners) listener.epochStarted(...event);
  },
  stepFinished(event) {
    for (const listener of listeners) listener.stepFinished(event);
  },
  evaluated(...event) {
    for (const listener of listeners) listener.evaluated?.(...event);
  },
  epochFinished(...event) {
    for (const listener of listeners) listener.epochFinished(...event);
  },
});

/** Label of an evaluation on the test data. */
export const EVALUATING = 'Measuring on the test data';

export const formatMetric = (value: number): string => value.toFixed(4);

/** Formats a duration: "1h 02m", "3m 05s", "42s". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const twoDigits = (value: number): string => String(value).padStart(2, '0');
  if (whole >= 3600) return `${Math.floor(whole / 3600)}h ${twoDigits(Math.floor(whole / 60) % 60)}m`;
  if (whole >= 60) return `${Math.floor(whole / 60)}m ${twoDigits(whole % 60)}s`;
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

/** Remaining time of the epoch at its average throughput so far. */
export function remainingSeconds({ step, steps }: Progress, elapsedSeconds: number): number {
  return step === 0 ? 0 : (elapsedSeconds / step) * (steps - step);
}
