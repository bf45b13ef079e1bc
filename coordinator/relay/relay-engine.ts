import type { Shard } from '../../shared/data/shard.ts';
import type { Engine, GradientBucket, GradientComputer, ShardResult } from '../../shared/engine/engine.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import { Scoring } from '../../shared/model/scoring.ts';
import type { EngineInfo, Step } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import type { CoordinatorHost, HostedRun, HostedRunOptions } from '../hosting/coordinator.ts';
import type { StepOptimizer } from '../optimizer/optimizer.ts';
import { waitForWorkers } from '../pool/wait-for-workers.ts';
import type { Clock } from '../../shared/util/clock.ts';
import { TrainingDiverged } from '../training/errors.ts';
import { RelayProgress } from './relay-progress.ts';

export interface RelayEngineOptions {
  readonly info: Pick<EngineInfo, 'version' | 'device'>;
  /** Place where the relay's workers join. */
  readonly host: CoordinatorHost;
  /** Settings of the runs that are opened there. @param job of the run */
  readonly runOptions: (job: Job) => Omit<HostedRunOptions, 'job' | 'signal'>;
  readonly clock: Clock;
  /** Aborted when the relay ends. */
  readonly signal: AbortSignal;
  /** Called if the relay cannot answer its shard any more, so that it has to leave the run above. @param why a sentence */
  readonly onUnable: (why: string) => void;
}

/** Engine that computes on the workers of a coordinator in this process. */
export class RelayEngine implements Engine {
  readonly #options: RelayEngineOptions;
  #served: { readonly key: string; readonly run: HostedRun; readonly computer: RelayComputer } | null = null;

  constructor(options: RelayEngineOptions) {
    this.#options = options;
  }

  get info(): EngineInfo {
    const { info, host } = this.#options;
    return { ...info, backend: 'relay', threads: Math.max(1, host.workerCount) };
  }

  /** Serves a job, unless it is served already, and waits for the first worker. */
  async load(job: Job): Promise<GradientComputer> {
    const key = JSON.stringify(job);
    if (this.#served?.key !== key) this.#served = { key, ...this.#serve(job) };
    const { run, computer } = this.#served;
    const { clock, signal } = this.#options;
    await waitForWorkers(run.pool, 1, null, clock, signal);
    return computer;
  }

  #serve(job: Job): { run: HostedRun; computer: RelayComputer } {
    const { host, runOptions, clock, onUnable } = this.#options;
    const settings = runOptions(job);
    // A round without workers ends at once: the run above assigns its samples to others.
    const run = host.open({ ...settings, job, signal: AbortSignal.abort() });
    run.pool.subscribe({
      left() {
        if (run.pool.workers.size === 0 && run.pool.end === null)
          onUnable('No worker is left: the relay leaves the run until one joins.');
      },
    });
    const progress = new RelayProgress(job, run, clock, settings.report);
    return { run, computer: new RelayComputer(job, run, progress, onUnable) };
  }
}

/** Job of the run above, computed by the workers of a run below. Its step numbers are those of the run above. */
class RelayComputer implements GradientComputer {
  readonly #run: HostedRun;
  readonly #progress: RelayProgress;
  readonly #onUnable: RelayEngineOptions['onUnable'];
  readonly #metricSums: number;
  #weights: Float32Array;
  /** Whether workers have not been sent these weights. */
  #isNew = true;
  /** Step of the weights that workers were sent. */
  #step = -1;
  /** Next weights, which workers have been sent ahead from an offset on. */
  readonly #ahead: { readonly weights: Float32Array; from: number };
  /** Settled when the run below is idle. */
  #idle: Promise<unknown> = Promise.resolve();

  constructor(job: Job, run: HostedRun, progress: RelayProgress, onUnable: RelayEngineOptions['onUnable']) {
    const { length } = layoutOf(job.layout);
    this.#run = run;
    this.#progress = progress;
    this.#onUnable = onUnable;
    this.#metricSums = new Scoring(job).sums;
    this.#weights = new Float32Array(length);
    this.#ahead = { weights: new Float32Array(length), from: length };
  }

  fingerprint(): string | null {
    this.#run.pool.lockFingerprint();
    return this.#run.engineFingerprints?.expected ?? null;
  }

  setWeights(weights: Float32Array): void {
    this.#weights = weights;
    this.#isNew = true;
  }

  receiveWeights(step: Step, weights: Float32Array, { from, to }: Range): void {
    if (step !== this.#step + 1) return;
    // The run above begins these weights again: others were sent before.
    if (to === weights.length) this.#takeBackAhead();
    if (to !== this.#ahead.from) return;
    this.#ahead.weights.set(weights.subarray(from, to), from);
    this.#ahead.from = from;
    this.#run.stepRunner.publisher.publishBucket(weights, { from, to });
  }

  gradient(step: Step, shard: Shard, gradient: Float32Array, bucket?: GradientBucket): Promise<ShardResult> {
    return this.#whenIdle(gradient, async () => {
      this.#useWeights(step);
      let hasAnswered = false;
      const optimizer: StepOptimizer = {
        weights: this.#weights,
        committedWeights: this.#weights,
        publishes: false,
        gradientSum: gradient,
        needsWholeGradient: () => false,
        begin: () => undefined,
        apply(_, { from } = { from: 0, to: gradient.length }) {
          if (bucket === undefined || from < bucket.offset) return;
          hasAnswered = true;
          bucket.onReady(from);
        },
        commit: () => undefined,
        rollback: () => {
          if (hasAnswered) this.#onUnable('A part of an answer was wrong: the relay joins again without it.');
        },
      };
      const input = { step, batch: shard, isJobData: true, optimizer };
      const { lossSum, metrics } = await this.#run.stepRunner.run(input);
      this.#progress.record(step, shard.sampleNumbers.length, { lossSum, metrics }, this.#weights);
      return { lossSum, metrics };
    });
  }

  evaluate(shard: Shard): Promise<ShardResult> {
    return this.#whenIdle(null, () => {
      const step = (this.#isNew ? this.#step + 1 : this.#step) as Step;
      this.#useWeights(step);
      return this.#run.stepRunner.evaluate({ step, weights: this.#weights, split: shard });
    });
  }

  prepare(): void {
    // Samples are sent on with their shard.
  }

  predict(): Promise<Float32Array> {
    return Promise.reject(new Error('A relay does not predict.'));
  }

  dispose(): void {
    // The run is closed with its host.
  }

  /** Lets workers have the newest weights, which have this step. */
  #useWeights(step: Step): void {
    if (!this.#isNew && step === this.#step) return;
    const { weights, from } = this.#ahead;
    const bytesOf = (vector: Float32Array): Buffer =>
      Buffer.from(vector.buffer, vector.byteOffset + 4 * from, 4 * (vector.length - from));
    const isAhead = step === this.#step + 1 && bytesOf(weights).equals(bytesOf(this.#weights));
    if (isAhead) this.#ahead.from = weights.length;
    else this.#takeBackAhead();
    if (step <= this.#step) this.#run.stepRunner.rewind();
    this.#isNew = false;
    this.#step = step;
  }

  /** Makes workers forget the weights that they were sent ahead. */
  #takeBackAhead(): void {
    const { length } = this.#ahead.weights;
    if (this.#ahead.from < length) this.#run.stepRunner.publisher.rollback();
    this.#ahead.from = length;
  }

  /**
   * Computes one shard after the other.
   * @param gradient vector of the answer; null for an evaluation
   */
  #whenIdle(gradient: Float32Array | null, work: () => Promise<ShardResult>): Promise<ShardResult> {
    const result = this.#idle.then(work).catch((error: unknown) => {
      if (!(error instanceof TrainingDiverged)) throw error;
      // The run above tells a training that diverges by such answers.
      gradient?.fill(NaN);
      return { lossSum: NaN, metrics: Array.from({ length: this.#metricSums }, () => 0) };
    });
    this.#idle = result.catch(() => undefined);
    return result;
  }
}
