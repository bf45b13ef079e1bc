import type { Job } from '../../shared/model/job.ts';
import { layoutOf, sizeOf } from '../../shared/model/layout.ts';
import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Clock } from '../../shared/clock.ts';
import { factoredKernel } from '../../shared/codec/factors.ts';
import { tailCuts } from '../training/tail.ts';
import type { Vectors } from '../links/choose-codecs.ts';
import type { WorkerPool } from '../members/worker-pool.ts';
import type { TrainingReport } from '../report/report.ts';
import { adviceFor } from './advice.ts';
import { measuredWorker } from './measured-worker.ts';

export interface AdvisorOptions {
  readonly job: Job;
  readonly pool: Pick<WorkerPool, 'members'>;
  readonly clock: Clock;
  /** Hears the advice at the end of the first epoch after which there is any. */
  readonly say: (sentence: string) => void;
}

/** Steps with the same workers before there is any advice. */
export const MIN_STEPS = 300;
/** Thirds of them whose medians differ by more than this do not agree: something has changed, and may go on doing so. */
const MAX_DRIFT = 1.15;

/** Watches the steps of a run, and says what limits them and what would help, once a few hundred steps agree. */
export class Advisor implements TrainingReport {
  readonly #options: AdvisorOptions;
  readonly #vectors: Vectors;
  /** The last MIN_STEPS with these workers. */
  readonly #stepsMs: number[] = [];
  #workers: readonly WorkerId[] = [];
  #lastMs: number | null = null;
  #said = false;

  constructor(options: AdvisorOptions) {
    this.#options = options;
    const layout = layoutOf(options.job.layout);
    this.#vectors = {
      values: layout.length,
      kernel: factoredKernel(layout),
      pieces: options.job.microShard === undefined ? tailCuts(layout).length : 0,
    };
  }

  epochStarted(): void {
    this.#lastMs = null;
  }

  stepFinished({ batch }: Parameters<TrainingReport['stepFinished']>[0]): void {
    const nowMs = this.#options.clock.now();
    if (this.#haveWorkersChanged()) this.#stepsMs.length = 0;
    // The last batch of an epoch is a short one.
    else if (this.#lastMs !== null && batch.samples === this.#options.job.batchSize) {
      this.#stepsMs.push(nowMs - this.#lastMs);
      if (this.#stepsMs.length > MIN_STEPS) this.#stepsMs.shift();
    }
    this.#lastMs = nowMs;
  }

  epochFinished(): void {
    if (this.#said) return;
    const { advice } = this;
    if (advice === null) return;
    this.#said = true;
    this.#options.say(advice);
  }

  /** A few sentences; null before there is anything to say. */
  get advice(): string | null {
    const { job, pool } = this.#options;
    const stepMs = agreedMedian(this.#stepsMs);
    const workers = [...pool.members.values()].flatMap((member) => measuredWorker(member) ?? []);
    if (stepMs === null || workers.length === 0) return null;
    const vectors = this.#vectors;
    return adviceFor({
      stepMs,
      workers,
      batch: job.batchSize,
      vectors,
      sampleBytes: sizeOf(job.data.sampleShape),
    });
  }

  #haveWorkersChanged(): boolean {
    const workers = [...this.#options.pool.members.values()]
      .filter(({ reserve }) => !reserve)
      .map(({ id }) => id);
    const isSame =
      workers.length === this.#workers.length && workers.every((id, i) => id === this.#workers[i]);
    this.#workers = workers;
    return !isSame;
  }
}

/** The median of enough steps; null before, and where an earlier part of them differs from a later one. */
function agreedMedian(stepsMs: readonly number[]): number | null {
  if (stepsMs.length < MIN_STEPS) return null;
  const third = MIN_STEPS / 3;
  const thirds = [0, 1, 2].map((i) => medianOf(stepsMs.slice(i * third, (i + 1) * third)));
  return Math.max(...thirds) > MAX_DRIFT * Math.min(...thirds) ? null : medianOf(stepsMs);
}

const medianOf = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
