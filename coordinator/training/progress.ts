import type { Dataset } from '../../shared/data/dataset.ts';
import type { ScoreValues, Scoring } from '../../shared/model/scoring.ts';
import type { EpochRecord } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Progress, TestScores } from '../report/reporter.ts';
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

export type EpochAverages = Pick<Progress, 'loss' | 'metrics' | 'samplesPerSecond'>;

export interface FinishedEpoch {
  readonly epoch: number;
  /** Averages at the end of the last step, before the validation. */
  readonly training: EpochAverages;
  /** Duration, including the validation. */
  readonly seconds: number;
  /** Means over the test samples. */
  readonly validation: ScoreValues;
  readonly dataset: Pick<Dataset, 'name'>;
  readonly pool: Pick<WorkerPool, 'workers' | 'codecsInUse'>;
}

/** Loss and metrics on the test samples, as records have them: `val_loss`, `val_accuracy`. */
export const testScores = ({ loss, metrics }: ScoreValues): TestScores => ({
  val_loss: loss,
  ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`val_${name}`, value])),
});

/** Totals of an epoch that has not begun. */
export const emptyEpochTotals = (scoring: Scoring): EpochTotals => ({
  samples: 0,
  ...scoring.zero,
  seconds: 0,
});

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
  ...training.metrics,
  ...testScores(validation),
  seconds,
  samples_per_second: training.samplesPerSecond,
  workers: pool.workers.size,
  data: dataset.name,
  codec: pool.codecsInUse,
});
