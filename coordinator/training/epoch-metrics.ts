import type { Clock } from '../../shared/util/clock.ts';
import type { Score } from '../../shared/model/loss.ts';
import type { Progress } from '../report/reporter.ts';
import type { EpochTotals } from '../run/checkpoint.ts';

export const EMPTY_EPOCH_TOTALS: EpochTotals = { samples: 0, lossSum: 0, correct: 0, seconds: 0 };

/** Running sums over the samples of an epoch. */
export class EpochMetrics {
  readonly #clock: Clock;
  readonly #startedMs: number;
  #samples: number;
  #lossSum: number;
  #correct: number;

  /** @param before what was done of the epoch in an earlier run */
  constructor(clock: Clock, before: EpochTotals = EMPTY_EPOCH_TOTALS) {
    this.#clock = clock;
    this.#startedMs = clock.now() - before.seconds * 1000;
    this.#samples = before.samples;
    this.#lossSum = before.lossSum;
    this.#correct = before.correct;
  }

  state(): EpochTotals {
    const [samples, lossSum, correct] = [this.#samples, this.#lossSum, this.#correct];
    return { samples, lossSum, correct, seconds: this.seconds() };
  }

  /** Goes back to earlier sums; the time that has passed stays. */
  restore({ samples, lossSum, correct }: EpochTotals): void {
    this.#samples = samples;
    this.#lossSum = lossSum;
    this.#correct = correct;
  }

  add(samples: number, { lossSum, correct }: Score): void {
    this.#samples += samples;
    this.#lossSum += lossSum;
    this.#correct += correct;
  }

  seconds(): number {
    return (this.#clock.now() - this.#startedMs) / 1000;
  }

  averages(): Pick<Progress, 'loss' | 'accuracy' | 'samplesPerSecond'> {
    return {
      loss: this.#lossSum / this.#samples,
      accuracy: this.#correct / this.#samples,
      samplesPerSecond: this.#samples / this.seconds(),
    };
  }
}
