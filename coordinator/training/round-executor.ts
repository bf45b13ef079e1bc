import type { Clock, AbortSignalLike } from '../../shared/util/clock.ts';
import type { Score } from '../../shared/model/loss.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type {
  FromWorker,
  GradientTail,
  ShardAnswer,
  ShardId,
  Step,
  Task,
} from '../../shared/protocol/messages.ts';
import type { Worker } from '../pool/worker.ts';
import type { WorkerPool } from '../pool/pool.ts';
import { AnswerDecoder, type AnswerDecoderOptions, resolveCodec } from './decode-answer.ts';
import { Interrupted, TrainingDiverged, DivergenceDetector } from './errors.ts';
import {
  nextStragglerCheckMs,
  advanceRound,
  overdueWorkers,
  startRound,
  type AssignedShard,
  type Round,
  type RoundEvent,
  type RoundStart,
  type RoundTransition,
} from './round.ts';
import type { QuantizationLoss } from '../integrity/answer.ts';
import type { QuantizationSteps } from '../integrity/quantization.ts';
import type { ShardScore, SumScores } from './scores.ts';
import type { ShardDeadline } from '../scheduling/shard-deadline.ts';

export interface RoundExecutorOptions extends AnswerDecoderOptions {
  readonly task: Task;
  readonly step: Step;
  readonly start: RoundStart;
  readonly pool: WorkerPool;
  readonly clock: Clock;
  readonly deadline: ShardDeadline;
  /** Ends the round if nobody is there to finish it. */
  readonly signal: AbortSignalLike;
  /** Sends a shard to the worker that it is for. */
  readonly sendShard: (member: Worker, shard: AssignedShard) => void;
  /**
   * Takes a shard's gradient, whole or from the back to the front: pieces of its tail as they come, then what was not in
   * those. Each value once for every sample.
   * @param at where these values start in the flat vector
   */
  readonly acceptGradient: (
    shard: AssignedShard,
    values: Float32Array,
    at: number,
    loss: QuantizationLoss | null,
  ) => void;
  /** Hears of each answer that counts; its gradient's norm, or 0. */
  readonly onAccepted: (shard: AssignedShard, score: Score, norm: number) => void;
  /** Hears of every gradient that comes, whether or not it counts. */
  readonly quantization: QuantizationSteps | null;
  /** Hears how long a worker was busy with a shard, whether or not its answer was the first. */
  readonly onShardTimed: (member: Worker, samples: number, busyMs: number) => void;
  /** Adds the scores of all shards. */
  readonly sumScores: SumScores;
  /** Says that everybody has gone, or that somebody has come back. */
  readonly onWaiting: (waiting: boolean) => void;
}

type Answer = Extract<FromWorker, { shard: ShardId }>;

const CHECK_INTERVAL_MS = 1_000;

/**
 * A round in progress: connects the pure one with the pool, from its first shard to its last answer. After that it still
 * hears what nobody waits for, until it is left.
 */
export class RoundExecutor {
  readonly #options: RoundExecutorOptions;
  readonly #decoder: AnswerDecoder;
  readonly #scores: ShardScore[] = [];
  readonly #divergenceDetector = new DivergenceDetector();
  /** Of shards whose tail has begun to come, where that starts which has, and its norm. */
  readonly #receivedBuckets = new Map<ShardId, { readonly from: number; readonly norm: number }>();
  readonly #cleanUp: (() => void)[] = [];
  readonly #done: Promise<Score>;
  #cancelStragglerCheck: () => void = () => undefined;
  #stopListening: () => void = () => undefined;
  #ended = false;
  #settle: { resolve(score: Score): void; reject(error: Error): void } | null = null;
  #round: Round;

  constructor(options: RoundExecutorOptions) {
    this.#options = options;
    this.#decoder = new AnswerDecoder(options);
    this.#done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    const [round, effects] = startRound(options.start, options.clock.now());
    this.#round = round;
    this.#perform(effects);
    this.#listen();
    if (this.#hasNoWorkers) options.onWaiting(true);
    this.#scheduleStragglerCheck();
    this.#stopWithoutWorkers();
    this.#dropOverdue();
  }

  /** Hears nothing more. */
  dispose(): void {
    this.#stopListening();
  }

  /**
   * Sums over all samples.
   * @throws TrainingDiverged, Interrupted
   */
  get done(): Promise<Score> {
    return this.#done;
  }

  /** What workers are still busy with although nobody waits for it. */
  get superseded(): readonly AssignedShard[] {
    return this.#round.superseded;
  }

  /** What has ended this round, should nobody be left to finish it: somebody had to go over values that are not finite. */
  get divergence(): TrainingDiverged | null {
    const { step, task } = this.#options;
    return this.#ended || !this.#divergenceDetector.hasReports ? null : new TrainingDiverged(step, task);
  }

  get #hasNoWorkers(): boolean {
    return this.#round.workers.length + this.#round.standby.length === 0;
  }

  /** Greater than the number of every shard that this round has given. */
  get nextShardId(): number {
    return this.#round.nextId;
  }

  #listen(): void {
    const { pool, clock, signal, onWaiting } = this.#options;
    this.#stopListening = pool.subscribe({
      joined: ({ id }) => {
        if (this.#ended) return;
        if (this.#hasNoWorkers) onWaiting(false);
        this.#dispatch({ type: 'joined', worker: id });
      },
      left: ({ id }) => {
        this.#dispatch({ type: 'left', worker: id });
        if (this.#ended) return;
        if (this.#hasNoWorkers) onWaiting(true);
        this.#stopWithoutWorkers();
      },
      answered: (member, answer, payload) => this.#onAnswer(member, answer, payload),
    });
    const onAbort = (): void => this.#stopWithoutWorkers();
    signal.addEventListener('abort', onAbort);
    let cancelCheck = (): void => undefined;
    const check = (): void => {
      this.#dropOverdue();
      this.#dispatch({ type: 'tick' });
      if (this.#ended) return;
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
    this.#perform(effects);
    this.#scheduleStragglerCheck();
  }

  /** Looks again when the next shard becomes late. */
  #scheduleStragglerCheck(): void {
    const { clock } = this.#options;
    this.#cancelStragglerCheck();
    const lateMs = this.#ended ? null : nextStragglerCheckMs(this.#round, clock.now());
    if (lateMs === null) return;
    this.#cancelStragglerCheck = clock.after(lateMs - clock.now(), () => this.#dispatch({ type: 'tick' }));
  }

  #perform(effects: RoundTransition[1]): void {
    for (const effect of effects) {
      if (effect.type === 'complete') {
        this.#end(() => this.#settle?.resolve(this.#options.sumScores(this.#scores)));
      } else {
        const member = this.#options.pool.workers.get(effect.shard.worker);
        if (member === undefined) continue;
        member.roundShards.add(effect.shard.id);
        this.#options.sendShard(member, effect.shard);
      }
    }
  }

  #onAnswer(member: Worker, answer: Answer, payload: Uint8Array): void {
    const { pool, start, step, task } = this.#options;
    const spare = this.#round.superseded.find(
      ({ id, worker }) => id === answer.shard && worker === member.id,
    );
    if (spare !== undefined) {
      this.#onSuperseded(member, spare, answer);
      return;
    }
    // Of an earlier round: it changes nothing.
    if (this.#ended || answer.shard < start.nextId) {
      this.#missed(member, answer);
      return;
    }
    const shard = this.#round.assigned.find(({ id, worker }) => id === answer.shard && worker === member.id);
    if (shard === undefined && member.roundShards.has(answer.shard)) return; // answered before
    try {
      if (shard === undefined || answer.step !== step) {
        throw new ProtocolError(
          CloseCode.notAssigned,
          `Shard ${answer.shard} of step ${answer.step} was not given to this worker.`,
        );
      }
      if (answer.type === 'gradientTail') this.#acceptBucket(member, shard, answer, payload);
      else this.#acceptAnswer(member, shard, answer, payload);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      if (
        error.code === CloseCode.notFinite &&
        this.#divergenceDetector.record(member, this.#round.workers, pool.workers.values())
      ) {
        this.#end(() => this.#settle?.reject(new TrainingDiverged(step, task)));
        return;
      }
      pool.reject(member, answer, error);
      if (shard !== undefined) this.#dispatch({ type: 'failed', shard: shard.id });
    }
  }

  /** An answer that came second: it counts for nothing but its time. */
  #onSuperseded(member: Worker, shard: AssignedShard, answer: Answer): void {
    const { pool } = this.#options;
    this.#missed(member, answer);
    if (answer.type === 'gradientTail') return;
    if (answer.type === 'failed') {
      pool.reject(member, answer, new ProtocolError(CloseCode.cannotCompute, answer.reason));
    } else {
      this.#recordBusyTime(member, shard);
      this.#recordTurnaround(member, shard, answer);
    }
    this.#dispatch({ type: 'answered', shard: shard.id });
  }

  /**
   * An answer is dropped unread. Only the last message about a shard that the worker owes counts: else a worker could send
   * any number of them, so that none of its gradients can be compared.
   */
  #missed({ id, requestedEncodings }: Worker, { type, shard }: Answer): void {
    if (type !== 'evaluation' && type !== 'gradientTail' && requestedEncodings.has(shard)) {
      this.#options.quantization?.invalidate(id);
    }
  }

  #recordTurnaround(
    { link }: Worker,
    { assignedAtMs }: AssignedShard,
    { type, samples, computeMs }: ShardAnswer,
  ): void {
    const turnaroundMs = this.#options.clock.now() - assignedAtMs;
    if (type === 'gradient') link.recordAnswer({ samples, turnaroundMs, computeMs });
  }

  /** Time counts from the giving, or from the worker's answer before, if that came later. */
  #recordBusyTime(member: Worker, shard: AssignedShard): void {
    const nowMs = this.#options.clock.now();
    const busyMs = nowMs - Math.max(shard.assignedAtMs, member.lastAnswerMs);
    member.lastAnswerMs = nowMs;
    this.#options.onShardTimed(member, shard.to - shard.from, busyMs);
  }

  #acceptBucket(member: Worker, shard: AssignedShard, tail: GradientTail, payload: Uint8Array): void {
    const { task, acceptGradient } = this.#options;
    if (task !== 'train') {
      throw new ProtocolError(CloseCode.unexpected, `A shard to ${task} has no gradient.`);
    }
    const before = this.#receivedBuckets.get(shard.id);
    const part = this.#decoder.part(member, tail, before?.from ?? null);
    const { values, norm: ownNorm } = this.#decoder.decodeBucket(member, shard, tail, payload, part);
    const norm = Math.hypot(ownNorm, before?.norm ?? 0);
    this.#receivedBuckets.set(shard.id, { from: part.from, norm });
    acceptGradient(shard, values, part.from, this.#quantizationLoss(member, tail, part.from, values));
  }

  #acceptAnswer(
    member: Worker,
    shard: AssignedShard,
    answer: Exclude<Answer, GradientTail>,
    payload: Uint8Array,
  ): void {
    const { task, pool, clock, deadline, acceptGradient, onAccepted } = this.#options;
    if (answer.type === 'failed') throw new ProtocolError(CloseCode.cannotCompute, answer.reason);
    if ((answer.type === 'gradient') !== (task === 'train')) {
      throw new ProtocolError(CloseCode.unexpected, `A shard to ${task} was answered by ${answer.type}.`);
    }
    const tail = this.#receivedBuckets.get(shard.id);
    if (answer.type === 'gradient') this.#decoder.checkHead(answer, tail?.from ?? null);
    const { values: gradient, norm: ownNorm } = this.#decoder.decodeAnswer(member, shard, answer, payload);
    const norm = Math.hypot(ownNorm, tail?.norm ?? 0);
    const loss = answer.type === 'gradient' ? this.#quantizationLoss(member, answer, 0, gradient) : null;
    const turnaroundMs = clock.now() - shard.assignedAtMs;
    deadline.record(turnaroundMs);
    member.stats.record(task, answer.samples);
    pool.extendSilenceTimeout(deadline.timeoutMs);
    pool.recordAccepted(member);
    this.#recordBusyTime(member, shard);
    this.#recordTurnaround(member, shard, answer);
    const { lossSum, correct } = answer;
    this.#scores.push({ from: shard.from, to: shard.to, lossSum, correct });
    acceptGradient(shard, gradient, 0, loss);
    onAccepted(shard, { lossSum, correct }, norm);
    this.#dispatch({ type: 'answered', shard: shard.id });
  }

  #quantizationLoss(
    member: Worker,
    message: GradientTail | Extract<ShardAnswer, { type: 'gradient' }>,
    at: number,
    values: Float32Array,
  ): QuantizationLoss | null {
    const codec = resolveCodec(member, message);
    return this.#options.quantization?.record(member.id, at, codec, values) ?? null;
  }

  #dropOverdue(): void {
    const { pool, clock, deadline } = this.#options;
    for (const id of overdueWorkers(this.#round, clock.now(), deadline.timeoutMs)) {
      const member = pool.workers.get(id);
      if (member !== undefined) pool.drop(member, CloseCode.timeout, 'A shard was not answered in time.');
    }
  }

  #stopWithoutWorkers(): void {
    if (this.#options.signal.aborted && this.#hasNoWorkers) {
      this.#end(() => this.#settle?.reject(new Interrupted()));
    }
  }

  #end(settle: () => void): void {
    this.#ended = true;
    for (const cleanUp of this.#cleanUp.splice(0)) cleanUp();
    settle();
  }
}
