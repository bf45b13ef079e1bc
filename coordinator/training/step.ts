import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { Split } from '../../shared/data/dataset.ts';
import { factoredKernel, FACTORS, areFactorsSmaller, type DenseKernel } from '../../shared/codec/factors.ts';
import { shardBytes, viewShard, writeShard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Score } from '../../shared/model/loss.ts';
import { openFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, ShardId, Step, Task, WorkerId } from '../../shared/protocol/messages.ts';
import { frameFromCoordinator } from '../../shared/protocol/parse.ts';
import { AdaptiveCodecs } from '../links/policy.ts';
import { describeCodecChange } from '../links/describe-link.ts';
import type { Worker } from '../pool/worker.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { RoundExecutor, type RoundExecutorOptions } from './round-executor.ts';
import { BucketedGradientSum, type OnBucketSummed } from './gradient-sum.ts';
import type { TrainingDiverged } from './errors.ts';
import { ThroughputTracker } from '../scheduling/throughput.ts';
import { evaluationShards } from './evaluate.ts';
import type { Answer } from '../integrity/answer.ts';
import { AnswerCollector } from '../integrity/answer-collector.ts';
import type { AnswerValidator, ReviewedRound } from '../integrity/answer-validator.ts';
import { PairwiseReducer } from '../exact/pairwise-reducer.ts';
import type { AssignedShard, RoundStart } from './round.ts';
import type { Range } from '../../shared/util/range.ts';
import { sumPairwise, sumInOrder } from './scores.ts';
import { BufferPool } from '../weights/buffer-pool.ts';
import { ShardDeadline } from '../scheduling/shard-deadline.ts';
import { BatchPartitioner } from '../scheduling/planner.ts';
import { WeightsPublisher } from '../weights/publisher.ts';

export interface StepRunnerOptions {
  readonly pool: WorkerPool;
  readonly job: Job;
  readonly clock: Clock;
  /** Where the pieces of the flat vector's tail start; empty if it has none. */
  readonly bucketOffsets: readonly number[];
  readonly signal: AbortSignalLike;
  readonly onWaiting: (waiting: boolean) => void;
  /** Recomputes answers; null where every worker is trusted. */
  readonly validator?: AnswerValidator | null;
}

/** Where a round's samples come from, and the weights that they meet. */
export interface RoundInput {
  readonly step: Step;
  readonly weights: Float32Array;
  readonly split: Split;
}

export interface GradientOptions {
  /** The next step's samples, whose shares are sent ahead. */
  readonly nextSamples?: Uint32Array | undefined;
  /** Room for the sum, of the flat vector's length; the runner's own without. */
  readonly sumBuffer?: Float32Array;
  /**
   * Hears of each part of the gradient as soon as it is summed, the last layers' first, and updates just that part of the
   * weights at once: the round has what it still needs of the old ones, and what they are then is sent to workers as the next
   * step's, so nobody may change them later.
   */
  readonly onBucketSummed?: (gradientSum: Float32Array, part: Range) => void;
  /** Puts back what onSummed has changed besides the weights, should the step come to nothing. */
  readonly transaction?: StepTransaction;
}

/** Vectors of the flat one's length, of which parts are about to be changed. */
export interface StepTransaction {
  /** Keeps what there is from this position on. */
  snapshot(from: number): void;
  /** Puts back what was kept last. */
  rollback(): void;
}

export interface GradientResult extends Score {
  /** Sum over the batch's samples; where it was asked into, else overwritten by the next round. */
  readonly gradientSum: Float32Array;
}

/** The next shard travels while one is being computed. */
const EVALUATION_DEPTH = 2;
const EVALUATION_STRAGGLER_FACTOR = 1.5;

/** Has batches computed by whoever is there. One round at a time. */
export class StepRunner {
  readonly #options: StepRunnerOptions;
  /** Values of the flat vector. */
  readonly #length: number;
  #sumBuffer: Float32Array | null = null;
  readonly #deadline = new ShardDeadline();
  readonly #publisher: WeightsPublisher;
  readonly #partitioner: BatchPartitioner;
  readonly #adaptiveCodecs: AdaptiveCodecs;
  readonly #kernel: DenseKernel | null;
  readonly #evaluationThroughput = new ThroughputTracker();
  /** What was sent ahead, by worker. */
  readonly #prefetched = new Map<
    WorkerId,
    { readonly step: Step; readonly from: number; readonly to: number }
  >();
  /** Vectors of sums on their way up the tree. */
  readonly #reducerBuffers: Float32Array[] = [];
  /** Of the answers of one round. */
  readonly #buffers = new BufferPool();
  #nextShardId = 0;
  /** The round of now, or the last one. */
  #round: RoundExecutor | null = null;

  constructor(options: StepRunnerOptions) {
    this.#options = options;
    this.#length = layoutOf(options.job.layout).length;
    this.#publisher = new WeightsPublisher(options.pool, this.#length, options.bucketOffsets);
    const { pool, clock, job } = options;
    this.#kernel = factoredKernel(layoutOf(job.layout));
    this.#adaptiveCodecs = new AdaptiveCodecs({
      values: this.#length,
      kernel: this.#kernel,
      bucketCount: options.bucketOffsets.length,
    });
    this.#partitioner = new BatchPartitioner({ pool, clock, microShardSize: job.microShard });
  }

  /** Why nobody is left, if it is for values that were not finite in the round of now. */
  get divergence(): TrainingDiverged | null {
    return this.#round?.divergence ?? null;
  }

  /**
   * The gradient of a batch, each worker computing one share of it. Repeated without workers whose answers were wrong.
   * @param numbers the batch's samples, at least one
   * @throws TrainingDiverged, Interrupted; the weights, and what `undo` keeps, are then what they were before
   */
  async gradient(
    input: RoundInput,
    numbers: Uint32Array,
    options: GradientOptions = {},
  ): Promise<GradientResult> {
    this.#options.pool.lockFingerprint();
    this.#switchCodecs();
    const first = await this.#attemptGradient(input, numbers, options, false);
    if (first !== null) return first;
    for (;;) {
      const result = await this.#attemptGradient(
        input,
        numbers,
        { ...options, nextSamples: undefined },
        true,
      );
      if (result !== null) return result;
    }
  }

  /** Waits for checks of answers that are going on. */
  async waitForChecks(): Promise<void> {
    await this.#options.validator?.waitForChecks();
  }

  /** A step to go back before, since answers of a worker that was banned have counted in it; null if there is none. */
  consumeRewindRequest(): Step | null {
    return this.#options.validator?.consumeRewindRequest() ?? null;
  }

  /** Has every answer recomputed before it counts, up to this step. */
  validateAllUntil(untilStep: Step): void {
    this.#options.validator?.validateAllUntil(untilStep);
  }

  /** The next round is of an earlier step than the last one. */
  rewind(): void {
    this.#publisher.rewind();
    this.#prefetched.clear();
  }

  /** @returns null if the step has to be repeated; everything is then as it was before */
  async #attemptGradient(
    input: RoundInput,
    numbers: Uint32Array,
    { nextSamples, sumBuffer, onBucketSummed, transaction }: GradientOptions,
    isRepeated: boolean,
  ): Promise<GradientResult | null> {
    const total = sumBuffer ?? (this.#sumBuffer ??= new Float32Array(this.#length));
    const apply: OnBucketSummed = (part) => {
      if (onBucketSummed === undefined) return;
      onBucketSummed(total, part);
      this.#publisher.publishBucket(input.weights, part);
    };
    // Who sends tails has parts of the weights updated before the step is sure to end.
    let [inPieces, begun] = [false, false];
    const deferred: Range[] = [];
    const summed: OnBucketSummed = (part) => {
      // What cannot be undone is applied when all answers have been looked at; so is the last part.
      if (part.from === 0 || !inPieces || deferred.length > 0) deferred.push(part);
      else apply(part);
    };
    const collected = new AnswerCollector(this.#createGradientSum(total, numbers.length, summed), isRepeated);
    const [tailFrom] = this.#options.bucketOffsets;
    const keep = (): void => {
      if (onBucketSummed === undefined || tailFrom === undefined) return;
      this.#publisher.snapshot();
      transaction?.snapshot(tailFrom);
    };
    try {
      const round = this.#startRound('train', input, numbers, {
        ...this.#partitioner.partition(numbers.length, this.#round?.superseded ?? []),
        depth: 1,
        stragglerAfterMs: (worker, samples) => this.#partitioner.stragglerAfterMs(worker, samples),
        onShardTimed: (...timed) => this.#partitioner.record(...timed),
        given: ({ supportsBuckets }) => {
          if (!supportsBuckets || inPieces) return;
          inPieces = true;
          if (begun) keep();
        },
        acceptGradient: (...part) => collected.accept(...part),
        onAccepted: (...answer) => collected.complete(...answer),
      });
      // Now, while the workers compute.
      if (nextSamples !== undefined) this.#prefetch(input, nextSamples);
      if (inPieces) keep();
      begun = true;
      const score = await round;
      const { validator = null } = this.#options;
      const { answers, isSumOfAnswers } = collected;
      const inspected = { ...this.#reviewedRound(input, numbers), answers, total, isSumOfAnswers };
      if ((await validator?.review(inspected)) === 'repeat') {
        this.#rollback(input, transaction);
        return null;
      }
      for (const part of deferred) apply(part);
      return { ...score, gradientSum: total };
    } catch (error) {
      this.#rollback(input, transaction);
      throw error;
    }
  }

  #rollback({ weights }: RoundInput, undo: StepTransaction | undefined): void {
    this.#publisher.rollback(weights);
    undo?.rollback();
  }

  #reviewedRound({ step, split }: RoundInput, numbers: Uint32Array): ReviewedRound {
    const { sampleShape } = this.#options.job.data;
    return {
      step,
      weights: this.#publisher.current,
      samplesOf({ from, to }) {
        const payload = new Uint8Array(shardBytes(to - from, sampleShape));
        writeShard(payload, numbers.subarray(from, to), split, sampleShape);
        return viewShard(payload, to - from, sampleShape);
      },
    };
  }

  /**
   * Loss and hits over a whole split, in small shards that go to the workers that are free. Repeated without workers whose
   * answers were wrong.
   * @param onProgress hears how many of the samples have been computed
   * @throws Interrupted
   */
  async evaluate(input: RoundInput, onProgress?: (done: number, total: number) => void): Promise<Score> {
    for (;;) {
      const score = await this.#attemptEvaluation(input, onProgress);
      if (score !== null) return score;
    }
  }

  /** @returns null if it has to be repeated */
  async #attemptEvaluation(
    input: RoundInput,
    onProgress?: (done: number, total: number) => void,
  ): Promise<Score | null> {
    const { count } = input.split;
    const answers: Answer[] = [];
    this.#options.pool.lockFingerprint();
    const numbers = Uint32Array.from({ length: count }, (_, i) => i);
    this.#evaluationThroughput.beginStep(this.#options.pool.workers);
    let done = 0;
    onProgress?.(done, count);
    // What is evaluated is what is saved, to the last bit.
    const score = await this.#startRound('evaluate', input, numbers, {
      workers: [...this.#options.pool.workers.keys()],
      assignments: [],
      ...evaluationShards(count, this.#options.job.microShard),
      depth: EVALUATION_DEPTH,
      // By what others take: near the end nobody shall wait for a slow worker's last shards.
      stragglerAfterMs: (_, samples) =>
        EVALUATION_STRAGGLER_FACTOR *
        EVALUATION_DEPTH *
        (this.#evaluationThroughput.medianForecastMs(samples) ?? Infinity),
      onShardTimed: ({ id, engine }, samples, busyMs) =>
        this.#evaluationThroughput.record(id, engine, samples, busyMs),
      acceptGradient({ from, to }) {
        done += to - from;
        onProgress?.(done, count);
      },
      onAccepted: ({ worker, from, to }, { lossSum, correct }) =>
        answers.push({ worker, from, to, lossSum, correct }),
    });
    const inspected = { ...this.#reviewedRound(input, numbers), answers };
    const decision = (await this.#options.validator?.reviewEvaluation(inspected)) ?? 'count';
    return decision === 'count' ? score : null;
  }

  #createGradientSum(
    total: Float32Array,
    samples: number,
    onSummed: OnBucketSummed,
  ): Pick<BucketedGradientSum, 'add'> {
    const { microShard: unit } = this.#options.job;
    return unit === undefined
      ? new BucketedGradientSum(total, this.#options.bucketOffsets, samples, onSummed)
      : new PairwiseReducer(total, samples, { unit, room: this.#reducerBuffers, onSummed });
  }

  /** Has each link's vectors travel as suits it from this step on. */
  #switchCodecs(): void {
    const { pool } = this.#options;
    if (pool.codecs !== 'auto') return;
    for (const change of this.#adaptiveCodecs.selectCodecs([...pool.workers.values()])) {
      this.#partitioner.onCodecChange(change.worker);
      pool.emitCodecChanged(change.worker, describeCodecChange(change));
    }
  }

  /** Starts a round; its first shards have been given when this returns. */
  #startRound(
    task: Task,
    input: RoundInput,
    numbers: Uint32Array,
    how: Pick<RoundExecutorOptions, 'acceptGradient' | 'onAccepted' | 'onShardTimed'> &
      Omit<RoundStart, 'samples' | 'nextId'> & { readonly given?: (member: Worker) => void },
  ): Promise<Score> {
    const { pool, clock, signal, bucketOffsets, onWaiting, validator = null } = this.#options;
    const { microShard } = this.#options.job;
    for (const member of pool.workers.values()) member.roundShards.clear();
    for (const id of this.#prefetched.keys()) if (!pool.workers.has(id)) this.#prefetched.delete(id);
    const { onShardTimed, acceptGradient, onAccepted, given, ...start } = how;
    this.#publisher.beginStep(input.step, input.weights, { exact: task === 'evaluate' });
    this.#round?.dispose();
    this.#buffers.releaseAll();
    const round = new RoundExecutor({
      task,
      step: input.step,
      start: {
        ...start,
        samples: numbers.length,
        nextId: this.#nextShardId,
        superseded: this.#round?.superseded ?? [],
      },
      gradientLength: this.#length,
      kernel: this.#kernel,
      buffers: this.#buffers,
      bucketOffsets,
      pool,
      clock,
      deadline: this.#deadline,
      signal,
      sendShard: (member, shard) => {
        given?.(member);
        this.#sendShard(task, input, numbers, member, shard);
      },
      acceptGradient,
      onAccepted,
      onShardTimed,
      quantization: validator?.quantization ?? null,
      sumScores: microShard === undefined ? sumInOrder : sumPairwise(microShard),
      onWaiting,
    });
    this.#round = round;
    return round.done.finally(() => (this.#nextShardId = round.nextShardId));
  }

  #sendShard(
    task: Task,
    input: RoundInput,
    numbers: Uint32Array,
    member: Worker,
    shard: AssignedShard,
  ): void {
    this.#publisher.sendTo(member);
    const samples = shard.to - shard.from;
    const encoding = task === 'train' ? this.#encodingFor(member, samples) : null;
    recordRequest(member, shard.id, encoding);
    const message: FromCoordinator = {
      type: 'shard',
      task,
      step: input.step,
      shard: shard.id,
      samples,
      ...(encoding === null ? {} : { encoding }),
    };
    const ahead = this.#prefetched.get(member.id);
    this.#prefetched.delete(member.id);
    const there =
      task === 'train' && ahead?.step === input.step && ahead.from === shard.from && ahead.to === shard.to;
    if (there) member.connection.send(frameFromCoordinator(message));
    else this.#sendSamples(member, message, numbers.subarray(shard.from, shard.to), input.split);
  }

  /** What a shard asks its gradient in; null for what the welcome says. */
  #encodingFor({ codec, initialCodecs }: Worker, samples: number): string | null {
    if (codec === initialCodecs.codec) return null;
    const factored = this.#kernel !== null && areFactorsSmaller(this.#kernel, samples);
    return codec === FACTORS && !factored ? null : codec;
  }

  /**
   * Sends workers their probable shares of the next step, to get them ready while they wait for its weights. If a share
   * turns out another one (somebody came or went), the shard brings its own samples.
   */
  #prefetch({ step, split }: RoundInput, numbers: Uint32Array): void {
    const { workers } = this.#options.pool;
    const next = (step + 1) as Step;
    for (const { worker, from, to } of this.#partitioner.predict(numbers.length)) {
      const member = workers.get(worker);
      if (member?.supportsPrefetch !== true) continue;
      this.#prefetched.set(worker, { step: next, from, to });
      const message: FromCoordinator = { type: 'prefetch', step: next, samples: to - from };
      this.#sendSamples(member, message, numbers.subarray(from, to), split);
    }
  }

  #sendSamples(member: Worker, message: FromCoordinator, numbers: Uint32Array, split: Split): void {
    const { sampleShape } = this.#options.job.data;
    const frame = openFrame(message, shardBytes(numbers.length, sampleShape));
    writeShard(frame.payload, numbers, split, sampleShape);
    member.connection.send(frame.bytes);
  }
}

/** Shards that a worker may owe an answer; it drops those of earlier steps without one. */
const MAX_REQUESTED_SHARDS = 64;

/** Keeps what a worker was asked for, and forgets the oldest of what it has never answered. */
function recordRequest({ requestedEncodings }: Worker, shard: ShardId, encoding: string | null): void {
  requestedEncodings.set(shard, encoding);
  const [oldest] = requestedEncodings.keys();
  if (requestedEncodings.size > MAX_REQUESTED_SHARDS && oldest !== undefined)
    requestedEncodings.delete(oldest);
}
