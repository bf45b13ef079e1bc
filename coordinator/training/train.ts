import { DataError } from '../../shared/data/data-error.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import { addScores, Scoring } from '../../shared/model/scoring.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';
import type { AbortSignalLike, Clock } from '../../shared/util/clock.ts';
import type { Optimizer } from '../optimizer/optimizer.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { TrainingListener } from '../report/reporter.ts';
import type { EpochTotals, Position } from '../run/checkpoint.ts';
import type { CheckpointReason } from '../run/checkpoint-writer.ts';
import { BatchReader } from './batch-reader.ts';
import { Interrupted, RunAborted } from './errors.ts';
import { evaluateAverage } from './evaluate.ts';
import { emptyEpochTotals, epochRecord, type ResumePoint, type TrainingResult } from './progress.ts';
import { RewindController } from './rewind.ts';
import { batches, epochOrder, stepsPerEpoch } from './sampler.ts';
import type { StepRunner } from './step.ts';

export interface TrainingOptions {
  readonly job: Job;
  readonly dataset: Dataset;
  /** Optimizer with the weights to train. */
  readonly optimizer: Optimizer;
  readonly stepRunner: Pick<StepRunner, 'run' | 'evaluate'> &
    Partial<Pick<StepRunner, 'waitForChecks' | 'consumeRewindRequest' | 'rewind' | 'validateAllUntil'>>;
  readonly pool: WorkerPool;
  readonly report: TrainingListener;
  readonly clock: Clock;
  /** Stops the run after the step in progress. */
  readonly signal: AbortSignalLike;
  /** Called after each epoch, before the weights change again. */
  readonly save: (record: EpochRecord) => Promise<void>;
  /** Position of an earlier run. @default the beginning */
  readonly resumeFrom?: ResumePoint;
  /** Called between two steps: after each step and epoch, when the run is stopped, and after a rewind. */
  readonly checkpoint?: (when: CheckpointReason, position: Position, totals: EpochTotals) => Promise<void>;
}

/**
 * The training loop: synchronous data-parallel stochastic gradient descent.
 * @throws TrainingDiverged, RunAborted, DataError
 */
export async function train(options: TrainingOptions): Promise<TrainingResult> {
  const { job, dataset, optimizer, stepRunner, pool, report, clock, signal, resumeFrom } = options;
  const start = resumeFrom?.position ?? { epoch: 1, step: 0, steps: 0 };
  const trained = { epochs: start.epoch - 1, steps: start.steps, last: resumeFrom?.last ?? null };
  const steps = stepsPerEpoch(dataset.train.count, job.batchSize);
  // A function, since the signal changes while steps are awaited.
  const isStopping = (): boolean => signal.aborted;
  const scoring = new Scoring(job);
  const noTotals = emptyEpochTotals(scoring);
  const averagesOf = ({ samples, seconds, ...score }: EpochTotals) => ({
    ...scoring.means(score, samples),
    samplesPerSecond: samples / seconds,
  });
  const rewinds = new RewindController({
    vectors: [optimizer.weights, ...Object.values(optimizer.state)],
    chanceLoss: scoring.chanceLoss,
    stepRunner,
    report,
  });
  let checkpointStopped = (): Promise<void> | undefined => undefined;

  try {
    for (let { epoch } = start; epoch <= job.epochs && !isStopping(); epoch++) {
      const order = epochOrder(job.seed, epoch, dataset.train.count);
      const reader = new BatchReader(dataset.train, [...batches(order, job.batchSize)], clock);
      let index = epoch === start.epoch ? start.step : 0;
      const sums = { ...((index > 0 ? resumeFrom?.tally : undefined) ?? noTotals) };
      const startedMs = clock.now() - sums.seconds * 1000;
      const totals = (): EpochTotals => ({ ...sums, seconds: (clock.now() - startedMs) / 1000 });
      const checkpoint = (when: CheckpointReason): Promise<void> | undefined =>
        options.checkpoint?.(when, { epoch, step: index, steps: trained.steps }, totals());
      checkpointStopped = () => checkpoint('stop');
      report.epochStarted(epoch, job.epochs, steps);
      rewinds.beginEpoch();

      while (index < reader.count) {
        rewinds.beforeStep({ index, steps: trained.steps, tally: totals() });
        const batch = await reader.batch(index);
        const samples = batch.sampleNumbers.length;
        const penalty = optimizer.penalty(); // of the weights that the step is computed with
        const computed = await stepRunner.run(
          { step: trained.steps as Step, batch, isJobData: true, optimizer },
          reader.ready(index + 1),
        );
        const result = { ...computed, lossSum: computed.lossSum + samples * penalty };
        trained.steps++;
        index++;
        const earlier = await rewinds.afterStep({
          steps: trained.steps,
          loss: computed.lossSum / samples,
          isLastOfEpoch: index === reader.count,
        });
        if (earlier !== null) {
          trained.steps = earlier.steps;
          index = earlier.index;
          Object.assign(sums, earlier.tally);
          await checkpoint('rewound');
          continue;
        }
        sums.samples += samples;
        Object.assign(sums, addScores(sums, result));
        report.stepFinished({
          epoch,
          step: index,
          steps,
          ...averagesOf(totals()),
          workers: pool.workers.size,
          batch: { lossSum: result.lossSum, metrics: result.metrics, samples },
          dataWaitMs: reader.waitedMs,
          weights: { step: trained.steps as Step, source: optimizer },
        });
        await checkpoint(isStopping() ? 'stop' : 'step');
        if (isStopping()) return trained;
      }

      const training = averagesOf(totals());
      const score = await evaluateAverage(options, trained.steps as Step);
      const validation = scoring.means(score, dataset.test.count);
      const record = epochRecord({ epoch, training, seconds: totals().seconds, validation, dataset, pool });
      trained.epochs = epoch;
      trained.last = record;
      optimizer.plateau?.endEpoch(record);
      report.epochFinished(record, job.epochs, steps);
      await options.save(record);
      const next = { epoch: epoch + 1, step: 0, steps: trained.steps };
      await options.checkpoint?.('epoch', next, noTotals);
    }
  } catch (error) {
    // The run was stopped while no worker was left to finish the step, or a sample cannot be read: the finished steps are kept.
    const keepsSteps = [Interrupted, RunAborted, DataError].some((type) => error instanceof type);
    if (keepsSteps && trained.steps > 0) await checkpointStopped();
    if (!(error instanceof Interrupted)) throw error;
  }
  return trained;
}
