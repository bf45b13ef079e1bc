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

/** One line of history.jsonl. */
export interface EpochRecord {
  /** From 1. */
  readonly epoch: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly val_loss: number;
  readonly val_accuracy: number;
  readonly seconds: number;
  readonly samples_per_second: number;
  /** Workers at the end of the epoch. */
  readonly workers: number;
  /** Name of the data set. */
  readonly data: string;
}

/** What the person at the terminal sees. */
export interface Report {
  info(line: string): void;
  warn(line: string): void;
  /** Something long that is no epoch, such as a download; `total` is undefined while nobody knows it. */
  progress(label: string, done: number, total: number | undefined): void;
  epochStarted(epoch: number, epochs: number, steps: number): void;
  stepFinished(progress: Progress): void;
  epochFinished(record: EpochRecord, epochs: number, steps: number): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

export const fixed = (value: number): string => value.toFixed(4);

/** "1h 02m", "3m 05s", "42s" */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  if (whole >= 3600) return `${Math.floor(whole / 3600)}h ${two(Math.floor(whole / 60) % 60)}m`;
  if (whole >= 60) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${whole}s`;
}

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

export function summaryOf({ loss, accuracy, samplesPerSecond, workers }: Progress): string {
  return (
    `loss: ${fixed(loss)} - accuracy: ${fixed(accuracy)} - ` +
    `${Math.round(samplesPerSecond)} samples/s - ${plural(workers, 'worker')}`
  );
}

export function epochLine(record: EpochRecord): string {
  return (
    `${duration(record.seconds)} - loss: ${fixed(record.loss)} - accuracy: ${fixed(record.accuracy)} - ` +
    `val_loss: ${fixed(record.val_loss)} - val_accuracy: ${fixed(record.val_accuracy)} - ` +
    `${Math.round(record.samples_per_second)} samples/s - ${plural(record.workers, 'worker')}`
  );
}

/** How long the rest of the epoch takes at the pace so far. */
export function remainingSeconds({ step, steps }: Progress, elapsedSeconds: number): number {
  return step === 0 ? 0 : (elapsedSeconds / step) * (steps - step);
}
