import type { DenseKernel } from '../../shared/codec/factors.ts';
import type { Score, Scoring } from '../../shared/model/scoring.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type {
  GradientMessage,
  ShardAnswer,
  ShardId,
  ShardResult,
  Task,
  WorkerId,
} from '../../shared/protocol/messages.ts';
import type { AbortSignalLike, Clock } from '../../shared/util/clock.ts';
import type { GradientAnswer, GradientBucket } from '../integrity/answer.ts';
import type { QuantizationSteps } from '../integrity/quantization.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Worker } from '../pool/worker.ts';
import type { AssignedShard } from '../scheduling/partition.ts';
import { ShardDeadline } from '../scheduling/throughput.ts';
import { AnswerDecoder } from './decode-answer.ts';
import { Interrupted, TrainingDiverged } from './errors.ts';
import {
  advanceRound,
  nextStragglerCheckMs,
  overdueWorkers,
  startRound,
  type Round,
  type RoundEvent,
  type RoundStart,
  type RoundTransition,
} from './round.ts';
import type { RunMode } from '../modes/run-mode.ts';
import type { RoundInput, ShardSender } from './shard-sender.ts';

/** Records how long workers take, and predicts when a shard is a straggler. */
export interface ShardTiming {
  record(worker: Worker, samples: number, busyMs: number): void;
  stragglerAfterMs(worker: WorkerId, samples: number): number;
}

export interface RoundRequest extends RoundInput {
  readonly task: Task;
  readonly timing: ShardTiming;
  /** Whether the buckets of a gradient are held back until all of them have arrived. @default false */
  readonly holdsIncomplete?: boolean;
}

/** Assignment of a round's samples to workers. */
export type RoundPlan = Omit<RoundStart, 'samples' | 'nextId' | 'superseded' | 'stragglerAfterMs'>;

/** A checked part of a shard's answer. */
export interface ReceivedPart {
  readonly shard: AssignedShard;
  /** Sums over the shard's samples, back to front; none for an evaluation. Valid until the next round starts. */
  readonly buckets: readonly GradientBucket[];
}

/** Buckets of a gradient so far, back to front, and the Euclidean norm of their values. */
type PartialGradient = Pick<GradientAnswer, 'buckets' | 'norm'>;

/** Options that all rounds of a run share. */
export interface RoundContext {
  readonly pool: WorkerPool;
  readonly clock: Clock;
  /** How batches are split and gradients are summed. */
  readonly mode: RunMode;
  /** Ends a round that no worker is left to finish. */
  readonly signal: AbortSignalLike;
  /** Called when the last worker has left (true), and when one has joined again (false). */
  readonly onWaiting: (isWaiting: boolean) => void;
}

export interface RoundExecutorOptions extends RoundContext {
  readonly sender: ShardSender;
  /** Values in a gradient. */
  readonly gradientLength: number;
  readonly kernel: DenseKernel | null;
  readonly scoring: Scoring;
  readonly quantization: QuantizationSteps | null;
}

const CHECK_INTERVAL_MS = 1_000;

/** Performs the effects of round.ts with the workers of a pool, one round at a time. */
export class RoundExecutor {
  readonly #options: RoundExecutorOptions;
  readonly #deadline = new ShardDeadline();
  readonly #decoder: AnswerDecoder;
  #running: RunningRound | null = null;

  constructor(options: RoundExecutorOptions) {
    this.#options = options;
    this.#decoder = new AnswerDecoder(options);
  }

  /** Shards that workers still compute although their answers are no longer needed. */
  get superseded(): readonly AssignedShard[] {
    return this.#running?.superseded ?? [];
  }

  /** Reason why no worker is left, if workers were dropped for values that are not finite in this round. */
  get divergence(): TrainingDiverged | null {
    return this.#running?.divergence ?? null;
  }

  /** Sends a round's first shards. @returns the round, to be consumed by a `for await` loop */
  start(request: RoundRequest, plan: RoundPlan): RunningRound {
    const previous = this.#running;
    previous?.dispose();
    this.#decoder.releaseBuffers();
    const start: RoundStart = {
      ...plan,
      samples: request.batch.sampleNumbers.length,
      nextId: previous?.nextShardId ?? 0,
      superseded: previous?.superseded ?? [],
      stragglerAfterMs: (worker, samples) => request.timing.stragglerAfterMs(worker, samples),
    };
    this.#running = new RunningRound(this.#options, this.#decoder, this.#deadline, request, start);
    this.#running.start();
    return this.#running;
  }
}

/** A round in progress. After its last answer it still receives answers to superseded shards, until it is disposed. */
export class RunningRound implements AsyncIterable<ReceivedPart> {
  readonly #options: RoundExecutorOptions;
  readonly #decoder: AnswerDecoder;
  readonly #deadline: ShardDeadline;
  readonly #request: RoundRequest;
  readonly #start: RoundStart;
  /** Parts that the loop has not consumed, in the order of arrival. */
  readonly #received: ReceivedPart[] = [];
  #answers: GradientAnswer[] = [];
  readonly #divergence = new DivergenceDetector();
  /** Gradients that are incomplete. */
  readonly #partial = new Map<ShardId, PartialGradient>();
  /** Shards of this round by worker, answered or not. */
  readonly #assigned = new Map<WorkerId, Set<ShardId>>();
  readonly #cleanUp: (() => void)[] = [];
  /** End of the round, with the error that the loop throws after the parts received before; null while it runs. */
  #ending: { readonly error: Error | null } | null = null;
  /** Resumes a loop that waits for the next part. */
  #wake: () => void = () => undefined;
  #cancelStragglerCheck: () => void = () => undefined;
  #unsubscribe: () => void = () => undefined;
  #round: Round;
  #effects: RoundTransition[1];

  constructor(
    options: RoundExecutorOptions,
    decoder: AnswerDecoder,
    deadline: ShardDeadline,
    request: RoundRequest,
    start: RoundStart,
  ) {
    this.#options = options;
    this.#decoder = decoder;
    this.#deadline = deadline;
    this.#request = request;
    this.#start = start;
    [this.#round, this.#effects] = startRound(start, options.clock.now());
  }

  /** Sends the first shards and subscribes to the pool. A pool whose run is over computes nothing. */
  start(): void {
    const { end } = this.#options.pool;
    if (end !== null) {
      this.#end(end);
      return;
    }
    this.#perform(this.#effects);
    this.#listen();
    if (this.#hasNoWorkers) this.#options.onWaiting(true);
    this.#scheduleStragglerCheck();
    this.#stopWithoutWorkers();
    this.#dropOverdue();
  }

  /** Unsubscribes from the pool. */
  dispose(): void {
    this.#unsubscribe();
  }

  /** Parts of answers in the order of arrival. Leaving the loop ends the round. @throws TrainingDiverged, Interrupted, RunAborted */
  async *[Symbol.asyncIterator](): AsyncGenerator<ReceivedPart, void, undefined> {
    try {
      for (;;) {
        const part = this.#received.shift();
        if (part !== undefined) yield part;
        else if (this.#ending === null) await new Promise<void>((resolve) => (this.#wake = resolve));
        else if (this.#ending.error === null) return;
        else throw this.#ending.error;
      }
    } finally {
      this.#end(null);
    }
  }

  /** Accepted answers so far; none after finish(). Those to an evaluation have no buckets. */
  get answers(): readonly GradientAnswer[] {
    return this.#answers;
  }

  /** Sums over all samples; complete after the last part. */
  get score(): Score {
    return this.#options.mode.sumScores(this.#answers);
  }

  /** Frees the gradients of a round that is over: those of a thousand workers are gigabytes. @returns sums over all samples */
  finish(): Score {
    const { score } = this;
    this.#answers = [];
    this.#partial.clear();
    this.#decoder.releaseBuffers();
    return score;
  }

  get superseded(): readonly AssignedShard[] {
    return this.#round.superseded;
  }

  get divergence(): TrainingDiverged | null {
    const { step, task } = this.#request;
    return this.#isEnded || !this.#divergence.hasReports ? null : new TrainingDiverged(step, task);
  }

  /** First shard id that this round has not assigned. */
  get nextShardId(): number {
    return this.#round.nextId;
  }

  get #isEnded(): boolean {
    return this.#ending !== null;
  }

  get #hasNoWorkers(): boolean {
    return this.#round.workers.length + this.#round.standby.length === 0;
  }

  #listen(): void {
    const { pool, clock, signal, onWaiting } = this.#options;
    this.#unsubscribe = pool.subscribe({
      joined: ({ id }) => {
        if (this.#isEnded) return;
        if (this.#hasNoWorkers) onWaiting(false);
        this.#dispatch({ type: 'joined', worker: id });
      },
      left: ({ id }) => {
        this.#dispatch({ type: 'left', worker: id });
        if (this.#isEnded) return;
        if (this.#hasNoWorkers) onWaiting(true);
        this.#stopWithoutWorkers();
      },
      answered: (worker, answer, payload) => this.#onAnswer(worker, answer, payload),
      finished: (error) => this.#end(error),
      samplesMissing: (worker, id) => {
        const { sender } = this.#options;
        sender.forgetPrefetched(worker.id);
        const shard = this.#round.assigned.find((each) => each.id === id && each.worker === worker.id);
        if (shard !== undefined) {
          sender.send(worker, this.#request.task, this.#request, shard);
          return;
        }
        // Another worker has answered meanwhile: this one has dropped its shard and is idle.
        worker.outstanding.delete(id);
        this.#dispatch({ type: 'answered', shard: id });
      },
    });
    const onAbort = (): void => this.#stopWithoutWorkers();
    signal.addEventListener('abort', onAbort);
    let cancelCheck = (): void => undefined;
    const check = (): void => {
      this.#dropOverdue();
      this.#dispatch({ type: 'tick' });
      if (this.#isEnded) return;
      cancelCheck = clock.after(CHECK_INTERVAL_MS, check);
    };
    cancelCheck = clock.after(CHECK_INTERVAL_MS, check);
    this.#cleanUp.push(
      () => signal.removeEventListener('abort', onAbort),
      () => cancelCheck(),
      () => this.#cancelStragglerCheck(),
    );
  }

  #dispatch(event: RoundEvent): void {
    const [next, effects] = advanceRound(this.#round, event, this.#options.clock.now());
    this.#round = next;
    if (this.#isEnded) return;
    this.#perform(effects);
    this.#scheduleStragglerCheck();
  }

  #scheduleStragglerCheck(): void {
    const { clock } = this.#options;
    this.#cancelStragglerCheck();
    const checkAtMs = this.#isEnded ? null : nextStragglerCheckMs(this.#round, clock.now());
    if (checkAtMs === null) return;
    this.#cancelStragglerCheck = clock.after(checkAtMs - clock.now(), () => this.#dispatch({ type: 'tick' }));
  }

  #perform(effects: RoundTransition[1]): void {
    const { pool, sender } = this.#options;
    const { task, step } = this.#request;
    for (const effect of effects) {
      if (effect.type === 'complete') {
        this.#end(null);
        continue;
      }
      const worker = pool.workers.get(effect.shard.worker);
      if (worker === undefined) continue;
      const shards = this.#assigned.get(worker.id) ?? new Set();
      this.#assigned.set(worker.id, shards.add(effect.shard.id));
      if (task === 'train') {
        const { id, from, to, assignedAtMs } = effect.shard;
        worker.link.meter.recordAssignment({ step, shard: id, samples: to - from, assignedMs: assignedAtMs });
      }
      sender.send(worker, task, this.#request, effect.shard);
    }
  }

  #onAnswer(worker: Worker, answer: ShardAnswer, payload: Uint8Array): void {
    const { pool } = this.#options;
    const { step, task } = this.#request;
    const isThis = (shard: AssignedShard): boolean => shard.id === answer.shard && shard.worker === worker.id;
    const superseded = this.#round.superseded.find(isThis);
    if (superseded !== undefined) {
      this.#onSuperseded(worker, superseded, answer);
      return;
    }
    // An answer of an earlier round changes nothing.
    if (this.#isEnded || answer.shard < this.#start.nextId) {
      this.#recordMissed(worker, answer);
      return;
    }
    const shard = this.#round.assigned.find(isThis);
    const isRepeated = shard === undefined && this.#assigned.get(worker.id)?.has(answer.shard) === true;
    if (isRepeated) return;
    try {
      if (shard === undefined || answer.step !== step) {
        throw new ProtocolError(
          CloseCode.notAssigned,
          `Shard ${answer.shard} of step ${answer.step} was not assigned to this worker.`,
        );
      }
      this.#accept(worker, shard, answer, payload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (
        error.code === CloseCode.notFinite &&
        this.#divergence.record(worker, this.#round.workers, pool.workers.values())
      ) {
        this.#end(new TrainingDiverged(step, task));
        return;
      }
      pool.reject(worker, answer, error);
      if (shard !== undefined) this.#dispatch({ type: 'failed', shard: shard.id });
    }
  }

  /** Records the time of an answer that is no longer needed. */
  #onSuperseded(worker: Worker, shard: AssignedShard, answer: ShardAnswer): void {
    this.#recordMissed(worker, answer);
    if (answer.type === 'failed') {
      const error = new ProtocolError(CloseCode.cannotCompute, answer.reason);
      this.#options.pool.reject(worker, answer, error);
    } else {
      if (answer.result === undefined) return;
      this.#recordTime(worker, shard, answer.type === 'gradient' ? answer.result : null);
    }
    this.#dispatch({ type: 'answered', shard: shard.id });
  }

  /**
   * Records that a gradient is dropped unread. Only the last message about an outstanding shard counts: otherwise a worker could
   * send any number of messages, to prevent that its gradients are compared.
   */
  #recordMissed({ id, outstanding }: Worker, answer: ShardAnswer): void {
    const isLast = answer.type === 'failed' || (answer.type === 'gradient' && answer.result !== undefined);
    if (isLast && outstanding.has(answer.shard)) this.#options.quantization?.invalidate(id);
  }

  #accept(worker: Worker, shard: AssignedShard, answer: ShardAnswer, payload: Uint8Array): void {
    const { task } = this.#request;
    if (answer.type === 'failed') throw new ProtocolError(CloseCode.cannotCompute, answer.reason);
    if ((answer.type === 'gradient') !== (task === 'train')) {
      throw new ProtocolError(CloseCode.unexpected, `A shard to ${task} was answered by ${answer.type}.`);
    }
    if (answer.type === 'gradient') this.#acceptBucket(worker, shard, answer, payload);
    else {
      this.#decoder.checkEvaluation(shard, answer.result, payload);
      this.#acceptLast(worker, { shard, buckets: [] }, answer.result, NO_GRADIENT);
    }
  }

  #acceptBucket(worker: Worker, shard: AssignedShard, message: GradientMessage, payload: Uint8Array): void {
    const { gradientLength, quantization } = this.#options;
    const before = this.#partial.get(shard.id) ?? NO_GRADIENT;
    const end = before.buckets.at(-1)?.offset ?? gradientLength;
    const { values, norm, codec } = this.#decoder.decodeBucket(worker, shard, message, payload, end);
    const { offset, result } = message;
    const quantizationLoss = quantization?.record(worker.id, offset, codec, values) ?? null;
    const bucket = { offset, values, quantizationLoss };
    const gradient = { buckets: [...before.buckets, bucket], norm: Math.hypot(norm, before.norm) };
    const isHeld = this.#request.holdsIncomplete === true;
    const part = { shard, buckets: isHeld ? gradient.buckets : [bucket] };
    if (result !== undefined) {
      this.#acceptLast(worker, part, result, gradient);
      return;
    }
    this.#partial.set(shard.id, gradient);
    if (!isHeld) this.#receive(part);
  }

  #acceptLast(worker: Worker, part: ReceivedPart, result: ShardResult, gradient: PartialGradient): void {
    const { pool, clock } = this.#options;
    const { task } = this.#request;
    const { shard } = part;
    this.#deadline.record(clock.now() - shard.assignedAtMs);
    worker.stats.record(task, result.samples);
    pool.extendSilenceTimeout(this.#deadline.timeoutMs);
    pool.recordAccepted(worker);
    this.#recordTime(worker, shard, task === 'train' ? result : null);
    const { from, to } = shard;
    this.#answers.push({ worker: worker.id, from, to, ...scoreOf(result), ...gradient });
    this.#receive(part);
    this.#dispatch({ type: 'answered', shard: shard.id });
  }

  /** Records busy time: from the assignment, or from the worker's previous answer if that arrived later. */
  #recordTime(worker: Worker, shard: AssignedShard, result: ShardResult | null): void {
    const { link } = worker;
    const nowMs = this.#options.clock.now();
    const busyMs = nowMs - Math.max(shard.assignedAtMs, link.lastAnswerMs);
    link.lastAnswerMs = nowMs;
    this.#request.timing.record(worker, shard.to - shard.from, busyMs);
    if (result === null) return;
    const { samples, computeMs } = result;
    link.meter.recordAnswer({ samples, turnaroundMs: nowMs - shard.assignedAtMs, computeMs });
    link.meter.recordEnd(shard.id, nowMs, computeMs);
  }

  #dropOverdue(): void {
    const { pool, clock } = this.#options;
    for (const id of overdueWorkers(this.#round, clock.now(), this.#deadline.timeoutMs)) {
      const worker = pool.workers.get(id);
      if (worker !== undefined) pool.drop(worker, CloseCode.timeout, 'A shard was not answered in time.');
    }
  }

  #stopWithoutWorkers(): void {
    if (this.#options.signal.aborted && this.#hasNoWorkers) this.#end(new Interrupted());
  }

  #receive(part: ReceivedPart): void {
    this.#received.push(part);
    this.#wake();
  }

  /** Ends the round, unless it has ended. */
  #end(error: Error | null): void {
    this.#ending ??= { error };
    this.#wake();
    for (const cleanUp of this.#cleanUp.splice(0)) cleanUp();
  }
}

const NO_GRADIENT: PartialGradient = { buckets: [], norm: 0 };

const scoreOf = ({ lossSum, metrics }: ShardResult): Score => ({ lossSum, metrics });

/** Tells a training that diverges from wrong workers, by the answers of a round that are not finite. */
export class DivergenceDetector {
  readonly #reporters = new Set<Worker>();

  get hasReports(): boolean {
    return this.#reporters.size > 0;
  }

  /**
   * Records an answer that is not finite.
   * @param asked workers of the round
   * @param present all workers of the pool
   * @returns whether training diverges: two or more workers of this round have had answers accepted before, and all of them
   *   report values that are not finite. New workers alone cannot end a run.
   */
  record(worker: Worker, asked: readonly WorkerId[], present: Iterable<Worker>): boolean {
    this.#reporters.add(worker);
    const inRound = new Set([...asked, ...[...this.#reporters].map(({ id }) => id)]);
    const proven = [...present].filter(({ id, health }) => inRound.has(id) && health.acceptedAnswers > 0);
    return proven.length > 1 && proven.every((other) => this.#reporters.has(other));
  }
}
