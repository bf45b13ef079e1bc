import type { Job } from '../../shared/model/job.ts';
import { layoutOf, sizeOf } from '../../shared/model/layout.ts';
import type { Clock } from '../../shared/clock.ts';
import { factoredKernel } from '../../shared/codec/factors.ts';
import { tailCuts } from '../training/tail.ts';
import type { Vectors } from '../links/choose-codecs.ts';
import type { WorkerPool } from '../members/worker-pool.ts';
import type { TrainingReport } from '../report/report.ts';
import { adviceFor, type MeasuredRun } from './advice.ts';
import { measuredWorker } from './measured-worker.ts';

export interface AdvisorOptions {
  readonly job: Job;
  readonly pool: Pick<WorkerPool, 'members'>;
  readonly clock: Clock;
  /** Hears the advice at the end of the first epoch. */
  readonly say: (sentence: string) => void;
}

const RECENT_STEPS = 51;

/** Watches the steps of a run, and says what limits them and what would help. */
export class Advisor implements TrainingReport {
  readonly #options: AdvisorOptions;
  readonly #vectors: Vectors;
  readonly #stepsMs: number[] = [];
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
    // The last batch of an epoch is a short one.
    if (this.#lastMs !== null && batch.samples === this.#options.job.batchSize) {
      this.#stepsMs.push(nowMs - this.#lastMs);
      if (this.#stepsMs.length > RECENT_STEPS) this.#stepsMs.shift();
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

  /** A sentence or two; null before there is anything to say. */
  get advice(): string | null {
    const { job, pool } = this.#options;
    const stepMs = this.#stepsMs.toSorted((a, b) => a - b)[this.#stepsMs.length >> 1];
    const workers = [...pool.members.values()].flatMap((member) => measuredWorker(member) ?? []);
    if (stepMs === undefined || workers.length === 0) return null;
    const run: MeasuredRun = {
      ...{ stepMs, workers, batch: job.batchSize, vectors: this.#vectors },
      sampleBytes: sizeOf(job.data.sampleShape),
    };
    return adviceFor(run);
  }
}
