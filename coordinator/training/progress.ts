import type { Dataset } from '../../shared/data/dataset.ts';
import type { Score } from '../../shared/model/loss.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
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

export type EpochAverages = Pick<Progress, 'loss' | 'accuracy' | 'samplesPerSecond'>;

export interface FinishedEpoch {
  readonly epoch: number;
  /** Averages at the end of the last step, before the validation. */
  readonly training: EpochAverages;
  /** Duration, including the validation. */
  readonly seconds: number;
  /** Sums over the test samples. */
  readonly validation: Score;
  readonly dataset: Pick<Dataset, 'name' | 'test'>;
  readonly pool: Pick<WorkerPool, 'workers' | 'codecsInUse'>;
}

export const EMPTY_EPOCH_TOTALS: EpochTotals = { samples: 0, lossSum: 0, correct: 0, seconds: 0 };

/** Record of a finished epoch. */
export const epochRecord = ({
  epoch,
  training,
  seconds,
  validation,
  dataset,
  pool,
}: FinishedEpoch): EpochRecord => ({
  epoch,
  loss: training.loss,
  accuracy: training.accuracy,
  val_loss: validation.lossSum / dataset.test.count,
  val_accuracy: validation.correct / dataset.test.count,
  seconds,
  samples_per_second: training.samplesPerSecond,
  workers: pool.workers.size,
  data: dataset.name,
  codec: pool.codecsInUse,
});
