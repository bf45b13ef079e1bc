import type { Job } from '../../shared/model/job.ts';
import { addScores, Scoring, type Score } from '../../shared/model/scoring.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/util/clock.ts';
import type { HostedRun } from '../hosting/coordinator.ts';
import { combineListeners, type Reporter, type TrainingListener } from '../report/reporter.ts';
import { stepsPerEpoch } from '../training/sampler.ts';

/** Reports the steps of the run above, with the figures of the samples that this relay has answered. */
export class RelayProgress {
  readonly #job: Job;
  readonly #run: HostedRun;
  readonly #clock: Clock;
  readonly #listener: TrainingListener;
  readonly #scoring: Scoring;
  #epoch = 0;
  #startedMs = 0;
  /** Sums of the epoch. */
  #score: Score | null = null;
  #samples = 0;

  constructor(job: Job, run: HostedRun, clock: Clock, report: Reporter) {
    this.#job = job;
    this.#run = run;
    this.#clock = clock;
    this.#listener = combineListeners(report, run.feed, run.metrics, run.bottleneckReporter);
    this.#scoring = new Scoring(job);
  }

  /** @param weights with which the step was computed */
  record(step: Step, samples: number, score: Score, weights: Float32Array): void {
    const { epochs, batchSize, data } = this.#job;
    const steps = stepsPerEpoch(data.trainSamples, batchSize);
    const epoch = Math.floor(step / steps) + 1;
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#startedMs = this.#clock.now();
      this.#score = null;
      this.#samples = 0;
      this.#listener.epochStarted(epoch, epochs, steps);
    }
    if (this.#run.stepRunner.consumeRewindRequest() !== null) {
      this.#listener.warn?.(
        'Answers of a banned worker are in sums that were sent up before. With --audit more answers are recomputed in time.',
        { event: 'rewindFailed' },
      );
    }
    this.#score = this.#score === null ? score : addScores(this.#score, score);
    this.#samples += samples;
    this.#listener.stepFinished({
      epoch,
      step: (step % steps) + 1,
      steps,
      ...this.#scoring.means(this.#score, this.#samples),
      samplesPerSecond: (1000 * this.#samples) / Math.max(1, this.#clock.now() - this.#startedMs),
      workers: this.#run.pool.workers.size,
      batch: { ...score, samples },
      dataWaitMs: 0,
      weights: { step, source: { averagedWeights: weights } },
    });
  }
}
