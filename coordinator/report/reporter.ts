import type { Log } from './log.ts';
import type { Score } from '../../shared/model/scoring.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';

/** Progress of an epoch: means over its samples so far. */
export interface Progress {
  /** Epoch, from 1. */
  readonly epoch: number;
  /** Steps done in this epoch, of `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  /** Values of the metrics by name. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly samplesPerSecond: number;
  readonly workers: number;
  /** Shares of the workers in the last step. @default unknown */
  readonly shares?: () => readonly WorkerShare[];
}

/** Part of a step that a worker computed, 0 to 1. */
export interface WorkerShare {
  readonly name: string;
  readonly share: number;
}

/** Loss of a model on the test data and, by name, its metrics: `val_accuracy`. */
export interface TestScores {
  readonly val_loss: number;
  readonly [metric: string]: number;
}

/** The scores among values by name: what has `val_` before it. */
export const scoresOf = (values: {
  readonly val_loss: number;
  readonly [name: string]: unknown;
}): TestScores => ({
  ...numbersIn(values, (name) => name.startsWith('val_')),
  val_loss: values.val_loss,
});

/** Numbers among values by name. */
const numbersIn = (
  values: Readonly<Record<string, unknown>>,
  isWanted: (name: string) => boolean,
): Record<string, number> =>
  Object.fromEntries(
    Object.entries(values).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number' && isWanted(entry[0]),
    ),
  );

/** Event of a finished training step. */
export interface StepReport extends Progress {
  /** Sums over the step's samples. */
  readonly batch: Score & { readonly samples: number };
  /** Time that the step waited for its samples to be read. */
  readonly dataWaitMs: number;
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
  /** Receives what the person must know, such as that a worker was banned. */
  warn?(...message: Parameters<Reporter['warn']>): void;
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
  warn(...message) {
    for (const listener of listeners) listener.warn?.(...message);
  },
});

/** Label of an evaluation on the test data. */
export const EVALUATING = 'Measuring on the test data';

/** Value of a metric: four decimals, or of a large one seven digits: "0.1234", "152949.8", "4.0877e+10". */
export function formatMetric(value: number): string {
  const size = Math.abs(value);
  if (!(size >= 1_000)) return value.toFixed(4);
  return size < 1e7 ? value.toPrecision(7) : value.toExponential(4);
}

/** Formats a duration: "1h 02m", "3m 05s", "42s". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const twoDigits = (value: number): string => String(value).padStart(2, '0');
  if (whole >= 3600) return `${Math.floor(whole / 3600)}h ${twoDigits(Math.floor(whole / 60) % 60)}m`;
  if (whole >= 60) return `${Math.floor(whole / 60)}m ${twoDigits(whole % 60)}s`;
  return `${whole}s`;
}

export const pluralize = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** Metrics by name, in their order: "loss: 0.1234 - accuracy: 0.9876". */
export const formatMetrics = (metrics: Readonly<Record<string, number>>): string =>
  Object.entries(metrics)
    .map(([name, value]) => `${name}: ${formatMetric(value)}`)
    .join(' - ');

/** Fields of a record that are no metrics. */
const OTHER_FIELDS: ReadonlySet<string> = new Set(['epoch', 'seconds', 'samples_per_second', 'workers']);

/** Loss and metrics of a record, those of the training first. */
export function metricsOf(record: EpochRecord): Record<string, number> {
  const entries = Object.entries(numbersIn(record, (name) => !OTHER_FIELDS.has(name)));
  const isTest = ([name]: readonly [string, number]): boolean => name.startsWith('val_');
  return Object.fromEntries([...entries.filter((entry) => !isTest(entry)), ...entries.filter(isTest)]);
}

export function formatProgress({
  loss,
  metrics,
  samplesPerSecond,
  workers,
}: Omit<Progress, 'epoch' | 'step' | 'steps'>): string {
  return (
    `${formatMetrics({ loss, ...metrics })} - ` +
    `${Math.round(samplesPerSecond)} samples/s - ${pluralize(workers, 'worker')}`
  );
}

export function formatEpoch(record: EpochRecord): string {
  return (
    `${formatDuration(record.seconds)} - ${formatMetrics(metricsOf(record))} - ` +
    `${Math.round(record.samples_per_second)} samples/s - ${pluralize(record.workers, 'worker')}`
  );
}

/** Remaining time of the epoch at its average throughput so far. */
export function remainingSeconds({ step, steps }: Progress, elapsedSeconds: number): number {
  return step === 0 ? 0 : (elapsedSeconds / step) * (steps - step);
}
