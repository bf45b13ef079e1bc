import { factoredKernel } from '../../shared/codec/factors.ts';
import type { Shard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import { Scoring, type Score } from '../../shared/model/scoring.ts';
import type { Step } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import type { AnswerValidator } from '../integrity/answer-validator.ts';
import { payloadShapeOf } from '../links/cost-model.ts';
import { describeCodecChange } from '../links/describe-link.ts';
import { AdaptiveCodecs } from '../links/policy.ts';
import type { StepOptimizer } from '../optimizer/optimizer.ts';
import { BatchArranger } from '../scheduling/arrange-batch.ts';
import { BatchPartitioner, type BatchPartition } from '../scheduling/partition.ts';
import { WeightsPublisher } from '../weights/publisher.ts';
import type { TrainingDiverged } from './errors.ts';
import { Evaluator, type EvaluationInput } from './evaluate.ts';
import { RoundExecutor, type RoundContext } from './round-executor.ts';
import { ShardSender, type RoundInput } from './shard-sender.ts';

export interface StepRunnerOptions extends RoundContext {
  readonly job: Job;
  /** Recomputes answers. @default null: every worker is trusted */
  readonly validator?: AnswerValidator | null;
}

/** A batch of at least one sample, and the optimizer that its gradient is applied with. */
export interface StepInput extends RoundInput {
  readonly optimizer: StepOptimizer;
}

export interface StepResult extends Score {
  /** Sum of the gradients over the batch's samples; overwritten by the next step. */
  readonly gradientSum: Float32Array;
}

/** Runs training steps and evaluations on the workers of a pool, one at a time. */
export class StepRunner {
  readonly #options: StepRunnerOptions;
  readonly #partitioner: BatchPartitioner;
  /** Sends weights; a relay hands it those of the next step as they arrive. */
  readonly publisher: WeightsPublisher;
  readonly #sender: ShardSender;
  readonly #executor: RoundExecutor;
  readonly #evaluator: Evaluator;
  readonly #adaptiveCodecs: AdaptiveCodecs;
  readonly #arranger: BatchArranger;

  constructor(options: StepRunnerOptions) {
    const { pool, clock, job, mode, validator = null } = options;
    const layout = layoutOf(job.layout);
    const kernel = factoredKernel(layout);
    this.#options = options;
    this.#adaptiveCodecs = new AdaptiveCodecs(payloadShapeOf(job.optimizer, layout, mode.bucketOffsets));
    this.#partitioner = new BatchPartitioner({ pool, clock, mode });
    this.publisher = new WeightsPublisher(pool, layout.length, mode.bucketOffsets);
    this.#sender = new ShardSender({ pool, publisher: this.publisher, format: job, kernel });
    this.#arranger = new BatchArranger(pool, mode);
    this.#executor = new RoundExecutor({
      ...options,
      gradientLength: layout.length,
      kernel,
      scoring: new Scoring(job),
      sender: this.#sender,
      quantization: validator?.quantization ?? null,
    });
    this.#evaluator = new Evaluator({
      pool,
      mode,
      validator,
      publisher: this.publisher,
      executor: this.#executor,
    });
  }

  /** Reason why no worker is left, if workers were dropped for values that are not finite in this round. */
  get divergence(): TrainingDiverged | null {
    return this.#executor.divergence;
  }

  /**
   * One training step: partition, send, collect, apply, publish. Repeated without workers whose answers were wrong.
   * @param nextBatch the next step's batch, whose samples are prefetched. @default no prefetch
   * @throws TrainingDiverged, Interrupted, RunAborted; weights and optimizer are then what they were before
   */
  async run(input: StepInput, nextBatch?: Shard): Promise<StepResult> {
    this.#options.pool.lockFingerprint();
    this.#switchCodecs();
    for (let isRetry = false; ; isRetry = true) {
      const result = await this.#attempt(input, isRetry ? undefined : nextBatch, isRetry);
      if (result !== null) return result;
    }
  }

  /** @returns null if the step has to be repeated; weights and optimizer are then what they were before */
  async #attempt(
    given: StepInput,
    nextBatch: Shard | undefined,
    isRetry: boolean,
  ): Promise<StepResult | null> {
    const { step, batch, optimizer } = given;
    const { mode, validator } = this.#options;

    const samples = batch.sampleNumbers.length;
    const partition = this.#partitioner.partition(samples, this.#executor.superseded);
    const input = this.#arranger.arrange(given, partition.assignments);
    const needsWholeGradient = optimizer.needsWholeGradient(mode.bucketOffsets);
    // While the first layers are still being computed, the last layers' buckets are applied and sent; a retry has no time for
    // buckets of gradients that may never become answers.
    const appliesEarly = !isRetry && !needsWholeGradient && this.#sendsBuckets(partition);

    this.publisher.beginStep(step, optimizer);
    const round = this.#executor.start(
      { ...input, task: 'train', timing: this.#partitioner, holdsIncomplete: !appliesEarly },
      partition,
    );
    // Sent now, while workers compute.
    if (nextBatch !== undefined) {
      const predicted = this.#partitioner.predict(nextBatch.sampleNumbers.length);
      this.#sender.prefetch(this.#arranger.arrange({ ...input, batch: nextBatch }, predicted), predicted);
    }
    if (appliesEarly) optimizer.begin();

    const sum = mode.createSum(optimizer.gradientSum, samples);
    const deferred: Range[] = [];
    try {
      for await (const { shard, buckets } of round) {
        for (const { values, offset } of buckets) {
          for (const range of sum.add(shard, values, offset)) {
            if (appliesEarly && range.from > 0) this.#apply(input, range);
            else deferred.push(range);
          }
        }
      }
      const reviewed = {
        ...input,
        weights: this.publisher.current,
        answers: round.answers,
        isSumOfAnswers: !appliesEarly,
        total: optimizer.gradientSum,
      };
      if ((await validator?.review(reviewed)) === 'repeat') {
        this.#rollback(optimizer);
        return null;
      }
    } catch (error) {
      this.#rollback(optimizer);
      throw error;
    }

    const whole = { from: 0, to: optimizer.weights.length };
    for (const range of needsWholeGradient ? [whole] : deferred) this.#apply(input, range);
    optimizer.commit();
    return { ...round.finish(), gradientSum: optimizer.gradientSum };
  }

  #apply({ optimizer, step, batch }: StepInput, range: Range): void {
    optimizer.apply({ step, samples: batch.sampleNumbers.length }, range);
    if (optimizer.publishes !== false) this.publisher.publishBucket(optimizer.weights, range);
  }

  #rollback(optimizer: StepOptimizer): void {
    optimizer.rollback();
    this.publisher.rollback();
  }

  /**
   * Loss and metrics over a whole split.
   * @param onProgress called with the number of samples that have been computed
   * @throws Interrupted, RunAborted, TrainingDiverged
   */
  evaluate(input: EvaluationInput, onProgress?: (done: number, total: number) => void): Promise<Score> {
    return this.#evaluator.evaluate(input, onProgress);
  }

  /** Waits for answers that are being recomputed. */
  async waitForChecks(): Promise<void> {
    await this.#options.validator?.waitForChecks();
  }

  /** Step before which the run should go back, since a banned worker's answers were summed from then on; null if there is none. */
  consumeRewindRequest(): Step | null {
    return this.#options.validator?.consumeRewindRequest() ?? null;
  }

  /** Recomputes every answer before it is accepted, up to this step. */
  validateAllUntil(untilStep: Step): void {
    this.#options.validator?.validateAllUntil(untilStep);
  }

  /** Prepares for a step that is earlier than the last one: workers are sent whole weights again. */
  rewind(): void {
    this.publisher.reset();
    this.#sender.reset();
  }

  #sendsBuckets({ assignments }: BatchPartition): boolean {
    const { workers } = this.#options.pool;
    return assignments.some(({ worker }) => (workers.get(worker)?.link.bucketOffsets.length ?? 1) > 1);
  }

  /** Switches links to the codecs that suit them, from this step on. */
  #switchCodecs(): void {
    const { pool } = this.#options;
    if (pool.codecs !== 'auto') return;
    for (const change of this.#adaptiveCodecs.selectCodecs([...pool.workers.values()])) {
      this.#partitioner.onCodecChange(change.worker);
      pool.emitCodecChanged(change.worker, describeCodecChange(change));
    }
  }
}
