import type { Clock, StopSignal } from '../../shared/clock.ts';
import type { Dataset } from '../../shared/data/dataset.ts';
import type { Job } from '../../shared/model/job.ts';
import type { EpochRecord, Step } from '../../shared/protocol/messages.ts';
import type { WorkerPool } from '../members/worker-pool.ts';
import type { Progress, TrainingReport } from '../report/report.ts';
import type { Score } from '../../shared/model/loss.ts';
import { Interrupted } from './errors.ts';
import type { Optimizer } from './optimizer.ts';
import type { RoundRunner } from './round-runner.ts';
import { batches, epochOrder, stepsPerEpoch } from './sampler.ts';

export interface Training {
  readonly job: Job;
  readonly dataset: Dataset;
  /** Updated in place. */
  readonly weights: Float32Array;
  readonly optimizer: Optimizer;
  readonly rounds: RoundRunner;
  readonly pool: WorkerPool;
  readonly report: TrainingReport;
  readonly clock: Clock;
  /** Aborted when the person wants to stop: the step is finished, then the loop ends. */
  readonly signal: StopSignal;
  /** Called after each epoch, with the weights as they are then. */
  readonly save: (record: EpochRecord) => Promise<void>;
}

/** Where a run ended. */
export interface Trained {
  readonly epochs: number;
  readonly steps: number;
  readonly last: EpochRecord | null;
}

/**
 * The training loop: synchronous data-parallel stochastic gradient descent.
 * @throws TrainingDiverged
 */
export async function train(training: Training): Promise<Trained> {
  const { job, dataset, weights, optimizer, rounds, pool, report, clock, signal } = training;
  const steps = stepsPerEpoch(dataset.train.count, job.batchSize);
  const trained = { epochs: 0, steps: 0, last: null as EpochRecord | null };
  // Read anew each time: it changes while rounds are awaited.
  const stopping = (): boolean => signal.aborted;
  const weightsNow = () => ({ step: trained.steps as Step, weights });

  try {
    for (let epoch = 1; epoch <= job.epochs && !stopping(); epoch++) {
      const tally = new Tally(clock);
      report.epochStarted(epoch, job.epochs, steps);

      const epochBatches = [...batches(epochOrder(job.seed, epoch, dataset.train.count), job.batchSize)];
      for (const [i, batch] of epochBatches.entries()) {
        const input = { ...weightsNow(), split: dataset.train };
        const result = await rounds.gradient(input, batch, {
          next: epochBatches[i + 1],
          onSummed: (gradientSum, part) => optimizer.step(weights, gradientSum, batch.length, part),
        });
        trained.steps++;
        tally.add(batch.length, result);
        const step = trained.steps - (epoch - 1) * steps;
        report.stepFinished({
          ...{ epoch, step, steps, ...tally.figures(), workers: pool.members.size },
          batch: { lossSum: result.lossSum, correct: result.correct, samples: batch.length },
          weights: { step: trained.steps as Step, values: weights },
        });
        if (stopping()) return trained;
      }

      const { loss, accuracy, samplesPerSecond } = tally.figures();
      const validation = await rounds.evaluate({ ...weightsNow(), split: dataset.test });
      const record: EpochRecord = {
        epoch,
        loss,
        accuracy,
        val_loss: validation.lossSum / dataset.test.count,
        val_accuracy: validation.correct / dataset.test.count,
        seconds: tally.seconds(),
        samples_per_second: samplesPerSecond,
        workers: pool.members.size,
        data: dataset.name,
        codec: `${pool.codecs.up}/${pool.codecs.down}`,
      };
      trained.epochs = epoch;
      trained.last = record;
      report.epochFinished(record, job.epochs, steps);
      await training.save(record);
    }
  } catch (error) {
    // Nobody is left to finish the step and the person wants to stop: what was trained so far still counts.
    if (!(error instanceof Interrupted)) throw error;
  }
  return trained;
}

/** Running sums over the samples of an epoch. */
class Tally {
  readonly #clock: Clock;
  readonly #startedMs: number;
  #samples = 0;
  #lossSum = 0;
  #correct = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.now();
  }

  add(samples: number, { lossSum, correct }: Score): void {
    this.#samples += samples;
    this.#lossSum += lossSum;
    this.#correct += correct;
  }

  seconds(): number {
    return (this.#clock.now() - this.#startedMs) / 1000;
  }

  figures(): Pick<Progress, 'loss' | 'accuracy' | 'samplesPerSecond'> {
    return {
      loss: this.#lossSum / this.#samples,
      accuracy: this.#correct / this.#samples,
      samplesPerSecond: this.#samples / this.seconds(),
    };
  }
}
