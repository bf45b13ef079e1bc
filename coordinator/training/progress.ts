import type { Dataset } from '../../shared/data/dataset.ts';
import type { Score } from '../../shared/model/loss.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Progress } from '../report/reporter.ts';
import type { EpochTotals, Position } from '../run/checkpoint.ts';

/** Point of an earlier process's run at which training continues. */
export interface ResumePoint {
  readonly position: Position;
  /** Sums over the finished part of the epoch. */
  readonly tally: EpochTotals;
  /** Record of the last finished epoch. */
  readonly last: EpochRecord | null;
}

/** Position at which a run ended. */
export interface TrainingResult {
  readonly epochs: number;
  readonly steps: number;
  readonly last: EpochRecord | null;
}

type EpochAverages = Pick<Progress, 'loss' | 'accuracy' | 'samplesPerSecond'>;

export interface FinishedEpoch {
  readonly epoch: number;
  /** Averages at the end of the last step, before the validation. */
  readonly training: EpochAverages;
  /** Sums over the test samples. */
  readonly validation: Score;
  readonly dataset: Pick<Dataset, 'name' | 'test'>;
  readonly pool: Pick<WorkerPool, 'workers' | 'codecsInUse'>;
}

export const EMPTY_EPOCH_TOTALS: EpochTotals = { samples: 0, lossSum: 0, correct: 0, seconds: 0 };

/** Running sums over the samples of an epoch. */
export class EpochMetrics {
  readonly #clock: Clock;
  readonly #startedMs: number;
  #samples: number;
  #lossSum: number;
  #correct: number;

  /** @param before sums over the part of the epoch that an earlier process finished */
  constructor(clock: Clock, before: EpochTotals = EMPTY_EPOCH_TOTALS) {
    this.#clock = clock;
    this.#startedMs = clock.now() - before.seconds * 1000;
    this.#samples = before.samples;
    this.#lossSum = before.lossSum;
    this.#correct = before.correct;
  }

  state(): EpochTotals {
    return {
      samples: this.#samples,
      lossSum: this.#lossSum,
      correct: this.#correct,
      seconds: this.#seconds(),
    };
  }

  /** Returns to earlier sums. The elapsed time stays. */
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

  /** Averages until now. */
  averages(): EpochAverages {
    return {
      loss: this.#lossSum / this.#samples,
      accuracy: this.#correct / this.#samples,
      samplesPerSecond: this.#samples / this.#seconds(),
    };
  }

  /** Record of the finished epoch, whose seconds include the validation. */
  record({ epoch, training, validation, dataset, pool }: FinishedEpoch): EpochRecord {
    return {
      epoch,
      loss: training.loss,
      accuracy: training.accuracy,
      val_loss: validation.lossSum / dataset.test.count,
      val_accuracy: validation.correct / dataset.test.count,
      seconds: this.#seconds(),
      samples_per_second: training.samplesPerSecond,
      workers: pool.workers.size,
      data: dataset.name,
      codec: pool.codecsInUse,
    };
  }

  #seconds(): number {
    return (this.#clock.now() - this.#startedMs) / 1000;
  }
}
