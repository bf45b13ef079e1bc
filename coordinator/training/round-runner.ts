import type { Clock, StopSignal } from '../../shared/clock.ts';
import type { Split } from '../../shared/data/dataset.ts';
import { factoredKernel, FACTORS, worthFactoring, type DenseKernel } from '../../shared/codec/factors.ts';
import { shardBytes, viewShard, writeShard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Score } from '../../shared/model/loss.ts';
import { openFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, ShardId, Step, Task, WorkerId } from '../../shared/protocol/messages.ts';
import { frameFromCoordinator } from '../../shared/protocol/parse.ts';
import { AdaptiveCodecs } from '../links/adaptive-codecs.ts';
import { describeRecoded } from '../links/describe-link.ts';
import type { Member } from '../members/member.ts';
import type { WorkerPool } from '../members/worker-pool.ts';
import { ActiveRound, type ActiveRoundOptions } from './active-round.ts';
import { BatchGradient, type OnSummed } from './batch-gradient.ts';
import type { TrainingDiverged } from './errors.ts';
import { Paces } from './pace/paces.ts';
import { evaluationShards } from './evaluation-shards.ts';
import type { Answer } from './integrity/answer.ts';
import { CollectedAnswers } from './integrity/collected-answers.ts';
import type { Inspector, InspectedRound } from './integrity/inspector.ts';
import { GradientTree } from './exact/gradient-tree.ts';
import type { GivenShard, RoundStart } from './round.ts';
import type { Range } from '../../shared/range.ts';
import { sumAlongTree, sumInOrder } from './scores.ts';
import { Rooms } from './rooms.ts';
import { ShardDeadline } from './shard-deadline.ts';
import { StepPlanner } from './step-planner.ts';
import { WeightsBroadcast } from './weights-broadcast.ts';

export interface RoundRunnerOptions {
  readonly pool: WorkerPool;
  readonly job: Job;
  readonly clock: Clock;
  /** Where the pieces of the flat vector's tail start; empty if it has none. */
  readonly tailCuts: readonly number[];
  readonly signal: StopSignal;
  readonly onWaiting: (waiting: boolean) => void;
  /** Recomputes answers; null where every worker is trusted. */
  readonly inspector?: Inspector | null;
}

/** Where a round's samples come from, and the weights that they meet. */
export interface RoundInput {
  readonly step: Step;
  readonly weights: Float32Array;
  readonly split: Split;
}

export interface GradientOptions {
  /** The next step's samples, whose shares are sent ahead. */
  readonly next?: Uint32Array | undefined;
  /** Room for the sum, of the flat vector's length; the runner's own without. */
  readonly into?: Float32Array;
  /**
   * Hears of each part of the gradient as soon as it is summed, the last layers' first, and updates just that part of the
   * weights at once: the round has what it still needs of the old ones, and what they are then is sent to workers as the next
   * step's, so nobody may change them later.
   */
  readonly onSummed?: (gradientSum: Float32Array, part: Range) => void;
  /** Puts back what onSummed has changed besides the weights, should the step come to nothing. */
  readonly undo?: Undo;
}

/** Vectors of the flat one's length, of which parts are about to be changed. */
export interface Undo {
  /** Keeps what there is from this position on. */
  keep(from: number): void;
  /** Puts back what was kept last. */
  restore(): void;
}

export interface GradientResult extends Score {
  /** Sum over the batch's samples; where it was asked into, else overwritten by the next round. */
  readonly gradientSum: Float32Array;
}

/** The next shard travels while one is being computed. */
const EVALUATION_DEPTH = 2;
const EVALUATION_LATE_TIMES = 1.5;

/** Has batches computed by whoever is there. One round at a time. */
export class RoundRunner {
  readonly #options: RoundRunnerOptions;
  /** Values of the flat vector. */
  readonly #length: number;
  #ownSum: Float32Array | null = null;
  readonly #deadline = new ShardDeadline();
  readonly #broadcast: WeightsBroadcast;
  readonly #planner: StepPlanner;
  readonly #adaptive: AdaptiveCodecs;
  readonly #kernel: DenseKernel | null;
  readonly #evaluationPaces = new Paces();
  /** What was sent ahead, by worker. */
  readonly #ahead = new Map<WorkerId, { readonly step: Step; readonly from: number; readonly to: number }>();
  /** Vectors of sums on their way up the tree. */
  readonly #room: Float32Array[] = [];
  /** Of the answers of one round. */
  readonly #rooms = new Rooms();
  #nextShardId = 0;
  /** The round of now, or the last one. */
  #round: ActiveRound | null = null;

  constructor(options: RoundRunnerOptions) {
    this.#options = options;
    this.#length = layoutOf(options.job.layout).length;
    this.#broadcast = new WeightsBroadcast(options.pool, this.#length, options.tailCuts);
    const { pool, clock, job } = options;
    this.#kernel = factoredKernel(layoutOf(job.layout));
    this.#adaptive = new AdaptiveCodecs({
      values: this.#length,
      kernel: this.#kernel,
      pieces: options.tailCuts.length,
    });
    this.#planner = new StepPlanner({ pool, clock, unit: job.microShard });
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
    this.#options.pool.agreeOnBits();
    this.#recode();
    const first = await this.#attempt(input, numbers, options, false);
    if (first !== null) return first;
    for (;;) {
      const result = await this.#attempt(input, numbers, { ...options, next: undefined }, true);
      if (result !== null) return result;
    }
  }

  /** Waits for checks of answers that are going on. */
  async settle(): Promise<void> {
    await this.#options.inspector?.settle();
  }

  /** A step to go back before, since answers of a worker that was banned have counted in it; null if there is none. */
  takeRewind(): Step | null {
    return this.#options.inspector?.takeRewind() ?? null;
  }

  /** Has every answer recomputed before it counts, up to this step. */
  distrust(untilStep: Step): void {
    this.#options.inspector?.distrust(untilStep);
  }

  /** The next round is of an earlier step than the last one. */
  rewind(): void {
    this.#broadcast.rewind();
    this.#ahead.clear();
  }

  /** @returns null if the step has to be repeated; everything is then as it was before */
  async #attempt(
    input: RoundInput,
    numbers: Uint32Array,
    { next, into, onSummed, undo }: GradientOptions,
    isRepeated: boolean,
  ): Promise<GradientResult | null> {
    const total = into ?? (this.#ownSum ??= new Float32Array(this.#length));
    const apply: OnSummed = (part) => {
      if (onSummed === undefined) return;
      onSummed(total, part);
      this.#broadcast.updated(input.weights, part);
    };
    // Who sends tails has parts of the weights updated before the step is sure to end.
    let [inPieces, begun] = [false, false];
    const deferred: Range[] = [];
    const summed: OnSummed = (part) => {
      // What cannot be undone is applied when all answers have been looked at; so is the last part.
      if (part.from === 0 || !inPieces || deferred.length > 0) deferred.push(part);
      else apply(part);
    };
    const collected = new CollectedAnswers(this.#sumOf(total, numbers.length, summed), isRepeated);
    const [tailFrom] = this.#options.tailCuts;
    const keep = (): void => {
      if (onSummed === undefined || tailFrom === undefined) return;
      this.#broadcast.keep();
      undo?.keep(tailFrom);
    };
    try {
      const round = this.#start('train', input, numbers, {
        ...this.#planner.plan(numbers.length, this.#round?.spare ?? []),
        depth: 1,
        lateAfterMs: (worker, samples) => this.#planner.lateAfterMs(worker, samples),
        onTimed: (...timed) => this.#planner.observe(...timed),
        given: ({ tails }) => {
          if (!tails || inPieces) return;
          inPieces = true;
          if (begun) keep();
        },
        accept: (...part) => collected.accept(...part),
        onCounted: (...answer) => collected.counted(...answer),
      });
      // Now, while the workers compute.
      if (next !== undefined) this.#prefetch(input, next);
      if (inPieces) keep();
      begun = true;
      const score = await round;
      const { inspector = null } = this.#options;
      const { answers, isSumOfAnswers } = collected;
      const inspected = { ...this.#inspected(input, numbers), answers, total, isSumOfAnswers };
      if ((await inspector?.review(inspected)) === 'repeat') {
        this.#restore(input, undo);
        return null;
      }
      for (const part of deferred) apply(part);
      return { ...score, gradientSum: total };
    } catch (error) {
      this.#restore(input, undo);
      throw error;
    }
  }

  #restore({ weights }: RoundInput, undo: Undo | undefined): void {
    this.#broadcast.restore(weights);
    undo?.restore();
  }

  #inspected({ step, split }: RoundInput, numbers: Uint32Array): InspectedRound {
    const { sampleShape } = this.#options.job.data;
    return {
      step,
      weights: this.#broadcast.current,
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
    this.#options.pool.agreeOnBits();
    const numbers = Uint32Array.from({ length: count }, (_, i) => i);
    this.#evaluationPaces.begin(this.#options.pool.members);
    let done = 0;
    onProgress?.(done, count);
    // What is evaluated is what is saved, to the last bit.
    const score = await this.#start('evaluate', input, numbers, {
      workers: [...this.#options.pool.members.keys()],
      assignments: [],
      ...evaluationShards(count, this.#options.job.microShard),
      depth: EVALUATION_DEPTH,
      // By what others take: near the end nobody shall wait for a slow worker's last shards.
      lateAfterMs: (_, samples) =>
        EVALUATION_LATE_TIMES * EVALUATION_DEPTH * (this.#evaluationPaces.typicalMs(samples) ?? Infinity),
      onTimed: ({ id, engine }, samples, busyMs) =>
        this.#evaluationPaces.observe(id, engine, samples, busyMs),
      accept({ from, to }) {
        done += to - from;
        onProgress?.(done, count);
      },
      onCounted: ({ worker, from, to }, { lossSum, correct }) =>
        answers.push({ worker, from, to, lossSum, correct }),
    });
    const inspected = { ...this.#inspected(input, numbers), answers };
    const decision = (await this.#options.inspector?.reviewEvaluation(inspected)) ?? 'count';
    return decision === 'count' ? score : null;
  }

  #sumOf(total: Float32Array, samples: number, onSummed: OnSummed): Pick<BatchGradient, 'add'> {
    const { microShard: unit } = this.#options.job;
    return unit === undefined
      ? new BatchGradient(total, this.#options.tailCuts, samples, onSummed)
      : new GradientTree(total, samples, { unit, room: this.#room, onSummed });
  }

  /** Has each link's vectors travel as suits it from this step on. */
  #recode(): void {
    const { pool } = this.#options;
    if (pool.codecs !== 'auto') return;
    for (const change of this.#adaptive.next([...pool.members.values()])) {
      this.#planner.recoded(change.member);
      pool.sayRecoded(change.member, describeRecoded(change));
    }
  }

  /** Starts a round; its first shards have been given when this returns. */
  #start(
    task: Task,
    input: RoundInput,
    numbers: Uint32Array,
    how: Pick<ActiveRoundOptions, 'accept' | 'onCounted' | 'onTimed'> &
      Omit<RoundStart, 'samples' | 'nextId'> & { readonly given?: (member: Member) => void },
  ): Promise<Score> {
    const { pool, clock, signal, tailCuts, onWaiting, inspector = null } = this.#options;
    const { microShard } = this.#options.job;
    for (const member of pool.members.values()) member.shards.clear();
    for (const id of this.#ahead.keys()) if (!pool.members.has(id)) this.#ahead.delete(id);
    const { onTimed, accept, onCounted, given, ...start } = how;
    this.#broadcast.begin(input.step, input.weights, { exact: task === 'evaluate' });
    this.#round?.leave();
    this.#rooms.giveBack();
    const round = new ActiveRound({
      task,
      step: input.step,
      start: {
        ...start,
        samples: numbers.length,
        nextId: this.#nextShardId,
        spare: this.#round?.spare ?? [],
      },
      gradientLength: this.#length,
      kernel: this.#kernel,
      rooms: this.#rooms,
      tailCuts,
      pool,
      clock,
      deadline: this.#deadline,
      signal,
      give: (member, shard) => {
        given?.(member);
        this.#give(task, input, numbers, member, shard);
      },
      accept,
      onCounted,
      onTimed,
      quantization: inspector?.quantization ?? null,
      sum: microShard === undefined ? sumInOrder : sumAlongTree(microShard),
      onWaiting,
    });
    this.#round = round;
    return round.done.finally(() => (this.#nextShardId = round.nextShardId));
  }

  #give(task: Task, input: RoundInput, numbers: Uint32Array, member: Member, shard: GivenShard): void {
    this.#broadcast.bring(member);
    const samples = shard.to - shard.from;
    const encoding = task === 'train' ? this.#encodingFor(member, samples) : null;
    remember(member, shard.id, encoding);
    const message: FromCoordinator = {
      type: 'shard',
      task,
      step: input.step,
      shard: shard.id,
      samples,
      ...(encoding === null ? {} : { encoding }),
    };
    const ahead = this.#ahead.get(member.id);
    this.#ahead.delete(member.id);
    const there =
      task === 'train' && ahead?.step === input.step && ahead.from === shard.from && ahead.to === shard.to;
    if (there) member.connection.send(frameFromCoordinator(message));
    else this.#sendSamples(member, message, numbers.subarray(shard.from, shard.to), input.split);
  }

  /** What a shard asks its gradient in; null for what the welcome says. */
  #encodingFor({ codec, welcomed }: Member, samples: number): string | null {
    if (codec === welcomed.codec) return null;
    const factored = this.#kernel !== null && worthFactoring(this.#kernel, samples);
    return codec === FACTORS && !factored ? null : codec;
  }

  /**
   * Sends workers their probable shares of the next step, to get them ready while they wait for its weights. If a share
   * turns out another one (somebody came or went), the shard brings its own samples.
   */
  #prefetch({ step, split }: RoundInput, numbers: Uint32Array): void {
    const { members } = this.#options.pool;
    const next = (step + 1) as Step;
    for (const { worker, from, to } of this.#planner.probable(numbers.length)) {
      const member = members.get(worker);
      if (member?.prefetch !== true) continue;
      this.#ahead.set(worker, { step: next, from, to });
      const message: FromCoordinator = { type: 'prefetch', step: next, samples: to - from };
      this.#sendSamples(member, message, numbers.subarray(from, to), split);
    }
  }

  #sendSamples(member: Member, message: FromCoordinator, numbers: Uint32Array, split: Split): void {
    const { sampleShape } = this.#options.job.data;
    const frame = openFrame(message, shardBytes(numbers.length, sampleShape));
    writeShard(frame.payload, numbers, split, sampleShape);
    member.connection.send(frame.bytes);
  }
}

/** Shards that a worker may owe an answer; it drops those of earlier steps without one. */
const MAX_ASKED = 64;

/** Keeps what a worker was asked for, and forgets the oldest of what it has never answered. */
function remember({ asked }: Member, shard: ShardId, encoding: string | null): void {
  asked.set(shard, encoding);
  const [oldest] = asked.keys();
  if (asked.size > MAX_ASKED && oldest !== undefined) asked.delete(oldest);
}
