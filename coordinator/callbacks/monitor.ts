import type { Job } from '../../shared/model/job.ts';
import { METRIC_NAMES } from '../../shared/model/metrics.ts';
import { improvementSign, type MonitorMode } from '../../shared/model/metric-direction.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import type { Callback, Logs } from './callback.ts';
import { didYouMean } from '../../shared/util/suggest.ts';

/**
 * Metric that a callback follows, and when a value of it is an improvement.
 * @example
 * const options: MonitorOptions = { monitor: 'val_auc', mode: 'max', minDelta: 0.001 };
 */
export interface MonitorOptions {
  /** Name of a loss or metric in the logs of epochs. @default 'val_loss' */
  readonly monitor?: string;
  /** Smallest change that is an improvement. @default 0 */
  readonly minDelta?: number;
  /** Whether smaller or larger values are better; auto knows it for the loss and most metrics of Keras. @default 'auto' */
  readonly mode?: MonitorMode;
}

/**
 * Decides when a metric has improved, by the rules of keras 3 callbacks/monitor_callback.py.
 * @example
 * const monitor = new Monitor('earlyStopping', { monitor: 'val_loss' });
 * monitor.isImprovement(0.3, 0.4); // true
 */
export class Monitor {
  readonly name: string;
  readonly #sign: 1 | -1;
  readonly #minDelta: number;
  readonly #callback: string;

  /** @param callback name for errors @throws Error if the mode cannot be told from the name */
  constructor(callback: string, { monitor = 'val_loss', minDelta = 0, mode = 'auto' }: MonitorOptions) {
    if (!Number.isFinite(minDelta)) throw new Error(`minDelta of ${callback} must be a number.`);
    this.name = monitor;
    this.#callback = callback;
    this.#minDelta = Math.abs(minDelta);
    this.#sign = directionOf(callback, monitor, mode);
  }

  /** Value in the logs of an epoch. @throws Error that names the values that there are */
  valueIn(logs: Logs): number {
    const value = logs[this.name];
    if (value !== undefined) return value;
    throw new Error(
      `${this.#callback} monitors ${this.name}, which the run does not have. It has ${Object.keys(logs).join(', ')}.`,
    );
  }

  /** Compares in float32, as Keras does. @param reference value to improve on; null if there is none */
  isImprovement(value: number, reference: number | null): boolean {
    if (reference === null) return true;
    const changed = Math.fround(value - this.#sign * this.#minDelta);
    return this.#sign === 1 ? changed > Math.fround(reference) : changed < Math.fround(reference);
  }
}

function directionOf(callback: string, monitor: string, mode: MonitorMode): 1 | -1 {
  if (!['auto', 'min', 'max'].includes(mode))
    throw new Error(`${callback} has no mode ${mode as string}. Use auto, min or max.`);
  const sign = improvementSign(monitor, mode);
  if (sign !== null) return sign;
  const known = ['loss', 'accuracy', ...METRIC_NAMES].flatMap((name) => [name, `val_${name}`]);
  throw new Error(
    `${callback} cannot tell whether a larger ${monitor} is better.${didYouMean(monitor, known)} Add mode: 'max' or mode: 'min'.`,
  );
}

/**
 * Checks before a run that it computes what its callbacks monitor.
 * @throws Error that names the callback, and what the run computes
 * @example
 * checkMonitors([earlyStopping({ monitor: 'val_auc' })], job);
 */
export function checkMonitors(callbacks: readonly Callback[], job: Job): void {
  const scores = ['loss', ...new Scoring(job).names];
  const logs = [...scores, ...scores.map((name) => `val_${name}`), 'learning_rate'];
  for (const { name = 'A callback', monitor } of callbacks) {
    if (monitor === undefined || logs.includes(monitor)) continue;
    throw new Error(
      `${name} monitors ${monitor}, but the run computes ${scores.join(', ')}, and with val_ before it that of the test data.${didYouMean(monitor, logs)} ` +
        'Add the metric to the run, or monitor another one.',
    );
  }
}

/** Checks a count among the options of a callback. @throws Error that names the option */
export function checkCount(callback: string, option: string, value: number, min = 0): void {
  if (Number.isSafeInteger(value) && value >= min) return;
  throw new Error(`${option} of ${callback} must be a whole number of at least ${min}, not ${value}.`);
}
