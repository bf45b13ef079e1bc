import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';
import { EVALUATING, type Reporter } from '../report/reporter.ts';
import { Interrupted } from '../training/errors.ts';
import type { StepRunner } from '../training/step.ts';
import { stepsPerEpoch } from '../training/sampler.ts';
import type { TrainingResult } from '../training/train.ts';

/** Loss and accuracy of certain weights on the test data. */
export type TestScores = Pick<EpochRecord, 'val_loss' | 'val_accuracy'>;

export interface StoppedRun {
  readonly trained: TrainingResult;
  readonly job: Pick<Job, 'batchSize'>;
  readonly dataset: Pick<Dataset, 'train' | 'test'>;
  readonly weights: Float32Array;
  readonly stepRunner: Pick<StepRunner, 'evaluate'>;
  readonly report: Pick<Reporter, 'progress' | 'warn'>;
  /** Writes the model with what is known of it. */
  readonly save: (measured: TestScores | null) => Promise<void>;
}

/**
 * Saves the model of a run that was stopped. The last epoch's figures are of other weights if a step was made since; then these
 * weights are measured, after they are safe on disk.
 * @returns figures of the saved weights; null if no worker was left to measure them
 */
export async function saveStoppedRun(stopped: StoppedRun): Promise<TestScores | null> {
  const { trained, job, dataset, weights, stepRunner, report, save } = stopped;
  const { epochs, steps, last } = trained;
  if (last !== null && steps === epochs * stepsPerEpoch(dataset.train.count, job.batchSize)) {
    await save(last);
    return last;
  }
  await save(null);
  try {
    const { count } = dataset.test;
    const { lossSum, correct } = await stepRunner.evaluate(
      { step: steps as Step, weights, split: dataset.test },
      (done, total) => report.progress(EVALUATING, done, total),
    );
    const measured = { val_loss: lossSum / count, val_accuracy: correct / count };
    await save(measured);
    return measured;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    report.warn('The saved model was not measured on the test data: no worker was left.');
    return null;
  }
}
