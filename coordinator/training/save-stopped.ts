import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import { EVALUATING, type Reporter } from '../report/reporter.ts';
import type { TestScores } from '../report/summary.ts';
import { Interrupted } from './errors.ts';
import { stepsPerEpoch } from './sampler.ts';
import type { StepRunner } from './step.ts';
import type { TrainingResult } from './train.ts';

export interface StoppedRun {
  readonly trained: TrainingResult;
  readonly job: Pick<Job, 'batchSize'>;
  readonly dataset: Pick<Dataset, 'train' | 'test'>;
  readonly weights: Float32Array;
  readonly stepRunner: Pick<StepRunner, 'evaluate'>;
  readonly report: Pick<Reporter, 'progress' | 'warn'>;
  /** Writes the model with its scores, or without them. */
  readonly save: (measured: TestScores | null) => Promise<void>;
}

/**
 * Saves the model of a stopped run. If steps were made since the last epoch, its scores are of other weights: then the
 * model is saved without scores, measured, and saved again.
 * @returns scores of the saved weights; null if no worker was left to measure them
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
