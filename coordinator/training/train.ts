import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';
import type { EpochTotals, Position } from '../run/checkpoint.ts';
import type { CheckpointReason } from '../run/checkpoint-writer.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Reporter, TrainingListener } from '../report/reporter.ts';
import { Interrupted } from './errors.ts';
import { OptimizerSnapshot } from '../optimizer/optimizer-snapshot.ts';
import type { Optimizer } from '../optimizer/optimizer.ts';
import type { StepRunner } from './step.ts';
import { RewindController } from './rewind.ts';
import { batches, epochOrder, stepsPerEpoch } from './sampler.ts';
import { EMPTY_EPOCH_TOTALS, EpochMetrics } from './epoch-metrics.ts';

export interface TrainingOptions {
  readonly job: Job;
  readonly dataset: Dataset;
  /** Updated in place. */
  readonly weights: Float32Array;
  readonly optimizer: Optimizer;
  readonly stepRunner: Pick<StepRunner, 'gradient' | 'evaluate'> &
    Partial<Pick<StepRunner, 'waitForChecks' | 'consumeRewindRequest' | 'rewind' | 'validateAllUntil'>>;
  readonly pool: WorkerPool;
  readonly report: TrainingListener & Partial<Pick<Reporter, 'warn'>>;
  readonly clock: Clock;
  /** Aborted when the person wants to stop: the step is finished, then the loop ends. */
  readonly signal: AbortSignalLike;
  /** Called after each epoch, with the weights as they are then. */
  readonly save: (record: EpochRecord) => Promise<void>;
  /** Where an earlier run has got to; without it, the beginning. */
  readonly resumeFrom?: ResumePoint;
  /**
   * Called between two steps: after each, after each epoch, at the end of a run that is stopped, and when the run has gone back
   * to an earlier step.
   */
  readonly checkpoint?: (when: CheckpointReason, position: Position, tally: EpochTotals) => Promise<void>;
}

export interface ResumePoint {
  readonly position: Position;
  readonly tally: EpochTotals;
  /** Of the epochs that are done. */
  readonly last: EpochRecord | null;
}

/** Where a run ended. */
export interface TrainingResult {
  readonly epochs: number;
  readonly steps: number;
  readonly last: EpochRecord | null;
}

/**
 * The training loop: synchronous data-parallel stochastic gradient descent.
 * @throws TrainingDiverged
 */
export async function train(training: TrainingOptions): Promise<TrainingResult> {
  const { job, dataset, weights, optimizer, stepRunner, pool, report, clock, signal, resumeFrom } = training;
  const { position } = resumeFrom ?? { position: { epoch: 1, step: 0, steps: 0 } };
  const steps = stepsPerEpoch(dataset.train.count, job.batchSize);
  const trained = { epochs: position.epoch - 1, steps: position.steps, last: resumeFrom?.last ?? null };
  // Read anew each time: it changes while rounds are awaited.
  const stopping = (): boolean => signal.aborted;
  const weightsNow = () => ({ step: trained.steps as Step, weights });
  const transaction = new OptimizerSnapshot(optimizer.state);
  const rewinds = new RewindController({
    vectors: [weights, ...Object.values(optimizer.state)],
    classes: job.data.classes,
    stepRunner,
    report,
  });
  let whole = true;
  let checkpointStopped = (): Promise<void> | undefined => undefined;

  try {
    for (let { epoch } = position; epoch <= job.epochs && !stopping(); epoch++) {
      const done = epoch === position.epoch ? position.step : 0;
      const tally = new EpochMetrics(clock, done > 0 ? resumeFrom?.tally : undefined);
      const checkpoint = (when: CheckpointReason, step: number): Promise<void> | undefined =>
        training.checkpoint?.(when, { epoch, step, steps: trained.steps }, tally.state());
      let reached = done;
      checkpointStopped = () => checkpoint('stop', reached);
      report.epochStarted(epoch, job.epochs, steps);

      const epochBatches = [...batches(epochOrder(job.seed, epoch, dataset.train.count), job.batchSize)];
      rewinds.beginEpoch();
      while (reached < epochBatches.length) {
        const i = reached;
        const batch = epochBatches[i] as Uint32Array;
        rewinds.beforeStep({ index: i, steps: trained.steps, tally: tally.state() });
        const input = { ...weightsNow(), split: dataset.train };
        const result = await stepRunner.gradient(input, batch, {
          nextSamples: epochBatches[i + 1],
          sumBuffer: optimizer.resident.gradientSum,
          onBucketSummed(gradientSum, part) {
            optimizer.step(weights, gradientSum, batch.length, part);
            // The head comes last.
            whole = part.from === 0;
          },
          transaction,
        });
        transaction.commit();
        trained.steps++;
        reached = i + 1;
        const place = await rewinds.afterStep({
          steps: trained.steps,
          loss: result.lossSum / batch.length,
          isLastOfEpoch: reached === epochBatches.length,
        });
        if (place !== null) {
          trained.steps = place.steps;
          reached = place.index;
          tally.restore(place.tally);
          await checkpoint('rewound', reached);
          continue;
        }
        tally.add(batch.length, result);
        report.stepFinished({
          epoch,
          step: i + 1,
          steps,
          ...tally.averages(),
          workers: pool.workers.size,
          batch: { lossSum: result.lossSum, correct: result.correct, samples: batch.length },
          weights: { step: trained.steps as Step, values: weights, isWhole: () => whole },
        });
        await checkpoint(stopping() ? 'stop' : 'step', i + 1);
        if (stopping()) return trained;
      }

      const { loss, accuracy, samplesPerSecond } = tally.averages();
      const validation = await stepRunner.evaluate({ ...weightsNow(), split: dataset.test }, (...progress) =>
        report.evaluated?.(...progress),
      );
      const record: EpochRecord = {
        epoch,
        loss,
        accuracy,
        val_loss: validation.lossSum / dataset.test.count,
        val_accuracy: validation.correct / dataset.test.count,
        seconds: tally.seconds(),
        samples_per_second: samplesPerSecond,
        workers: pool.workers.size,
        data: dataset.name,
        codec: pool.codecsInUse,
      };
      trained.epochs = epoch;
      trained.last = record;
      report.epochFinished(record, job.epochs, steps);
      await training.save(record);
      await training.checkpoint?.(
        'epoch',
        { epoch: epoch + 1, step: 0, steps: trained.steps },
        EMPTY_EPOCH_TOTALS,
      );
    }
  } catch (error) {
    // Nobody is left to finish the step and the person wants to stop: what was trained so far still counts.
    if (!(error instanceof Interrupted)) throw error;
    if (trained.steps > 0) await checkpointStopped();
  }
  return trained;
}
