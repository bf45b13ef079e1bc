import { codecNamed } from '../../shared/codec/codec.ts';
import type { Clock, StopSignal } from '../../shared/clock.ts';
import type { Split } from '../../shared/data/dataset.ts';
import { shardBytes, writeShard } from '../../shared/data/shard.ts';
import type { Job } from '../../shared/model/job.ts';
import { layoutOf } from '../../shared/model/layout.ts';
import type { Score } from '../../shared/model/loss.ts';
import { openFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, Step, Task, WorkerId } from '../../shared/protocol/messages.ts';
import { frameFromCoordinator } from '../../shared/protocol/parse.ts';
import type { Member } from '../members/member.ts';
import type { WorkerPool } from '../members/worker-pool.ts';
import { ActiveRound, type ActiveRoundOptions } from './active-round.ts';
import { GradientSum } from './gradient-sum.ts';
import type { GivenShard } from './round.ts';
import { cut, equalShares } from './schedule.ts';
import { ShardDeadline } from './shard-deadline.ts';

export interface RoundRunnerOptions {
  readonly pool: WorkerPool;
  readonly job: Job;
  readonly clock: Clock;
  readonly signal: StopSignal;
  readonly onWaiting: (waiting: boolean) => void;
}

/** Where a round's samples come from, and the weights that they meet. */
export interface RoundInput {
  readonly step: Step;
  readonly weights: Float32Array;
  readonly split: Split;
}

export interface GradientResult extends Score {
  /** Sum over the batch's samples; overwritten by the next round. */
  readonly gradientSum: Float32Array;
}

/** Small enough that workers end an evaluation together, large enough that messages do not matter. */
const EVALUATION_SHARD = 250;
/** The next shard travels while one is being computed. */
const EVALUATION_DEPTH = 2;

/** Has batches computed by whoever is there. One round at a time. */
export class RoundRunner {
  readonly #options: RoundRunnerOptions;
  readonly #sum: Float32Array;
  readonly #deadline = new ShardDeadline();
  /** By codec: the frame of the weights sent last. */
  readonly #weightFrames = new Map<
    string,
    { readonly step: Step; readonly bytes: Uint8Array<ArrayBuffer> }
  >();
  /** What was sent ahead, by worker. */
  readonly #ahead = new Map<WorkerId, { readonly step: Step; readonly from: number; readonly to: number }>();
  #nextShardId = 0;

  constructor(options: RoundRunnerOptions) {
    this.#options = options;
    this.#sum = new Float32Array(layoutOf(options.job.layout).length);
  }

  /**
   * The gradient of a batch, each worker computing one share of it.
   * @param numbers the batch's samples, at least one
   * @param nextNumbers the next step's, whose shares are sent ahead to workers that have answered
   * @throws TrainingDiverged, Interrupted
   */
  async gradient(
    input: RoundInput,
    numbers: Uint32Array,
    nextNumbers?: Uint32Array,
  ): Promise<GradientResult> {
    const sum = new GradientSum(this.#sum);
    const workers = [...this.#options.pool.members.keys()];
    const score = await this.#run('train', input, numbers, {
      assignments: equalShares(numbers.length, workers),
      waiting: workers.length > 0 ? [] : [{ from: 0, to: numbers.length }],
      depth: 1,
      accept: (shard, gradient) => {
        sum.add(shard, gradient);
        if (nextNumbers !== undefined) this.#prefetch(input, nextNumbers, shard.worker);
      },
    });
    return { ...score, gradientSum: sum.total };
  }

  /**
   * Loss and hits over a whole split, in small shards that go to whoever is free.
   * @throws Interrupted
   */
  evaluate(input: RoundInput): Promise<Score> {
    const { count } = input.split;
    const numbers = Uint32Array.from({ length: count }, (_, i) => i);
    return this.#run('evaluate', input, numbers, {
      assignments: [],
      waiting: cut({ from: 0, to: count }, Math.ceil(count / EVALUATION_SHARD)),
      depth: EVALUATION_DEPTH,
      accept: () => undefined,
    });
  }

  async #run(
    task: Task,
    input: RoundInput,
    numbers: Uint32Array,
    how: Pick<ActiveRoundOptions, 'accept'> &
      Pick<ActiveRoundOptions['start'], 'assignments' | 'waiting' | 'depth'>,
  ): Promise<Score> {
    const { pool, clock, signal, onWaiting } = this.#options;
    for (const member of pool.members.values()) member.shards.clear();
    for (const id of this.#ahead.keys()) if (!pool.members.has(id)) this.#ahead.delete(id);
    const { assignments, waiting, depth, accept } = how;
    const workers = [...pool.members.keys()];
    const round = new ActiveRound({
      task,
      step: input.step,
      start: { samples: numbers.length, workers, assignments, waiting, depth, nextId: this.#nextShardId },
      gradientLength: this.#sum.length,
      pool,
      clock,
      deadline: this.#deadline,
      signal,
      give: (member, shard) => this.#give(task, input, numbers, member, shard),
      accept,
      onWaiting,
    });
    try {
      return await round.done;
    } finally {
      this.#nextShardId = round.nextShardId;
    }
  }

  #give(task: Task, input: RoundInput, numbers: Uint32Array, member: Member, shard: GivenShard): void {
    if (member.weightsStep !== input.step) {
      member.connection.send(this.#weightsFrame(input, member.codec));
      member.weightsStep = input.step;
    }
    const samples = shard.to - shard.from;
    const message: FromCoordinator = { type: 'shard', task, step: input.step, shard: shard.id, samples };
    const ahead = this.#ahead.get(member.id);
    this.#ahead.delete(member.id);
    const there =
      task === 'train' && ahead?.step === input.step && ahead.from === shard.from && ahead.to === shard.to;
    if (there) member.connection.send(frameFromCoordinator(message));
    else this.#sendSamples(member, message, numbers.subarray(shard.from, shard.to), input.split);
  }

  /**
   * Sends a worker its probable share of the next step, to get ready while it waits for the weights. If its share
   * turns out another one (somebody came or went), the shard brings its own samples.
   */
  #prefetch({ step, split }: RoundInput, numbers: Uint32Array, worker: WorkerId): void {
    const { pool } = this.#options;
    const member = pool.members.get(worker);
    const share = equalShares(numbers.length, [...pool.members.keys()]).find(
      (other) => other.worker === worker,
    );
    const next = (step + 1) as Step;
    if (member?.prefetch !== true || share === undefined || this.#ahead.get(worker)?.step === next) return;
    const { from, to } = share;
    this.#ahead.set(worker, { step: next, from, to });
    const message: FromCoordinator = { type: 'prefetch', step: next, samples: to - from };
    this.#sendSamples(member, message, numbers.subarray(from, to), split);
  }

  #sendSamples(member: Member, message: FromCoordinator, numbers: Uint32Array, split: Split): void {
    const { sampleShape } = this.#options.job.data;
    const frame = openFrame(message, shardBytes(numbers.length, sampleShape));
    writeShard(frame.payload, numbers, split, sampleShape);
    member.connection.send(frame.bytes);
  }

  /** The weights as they travel, encoded once for everybody. */
  #weightsFrame({ step, weights }: RoundInput, codecName: string): Uint8Array {
    const held = this.#weightFrames.get(codecName);
    if (held?.step === step) return held.bytes;
    const codec = codecNamed(codecName);
    const message: FromCoordinator = { type: 'weights', step };
    // Frames are sent without a copy: the last one may be written over once it has left for good.
    const members = [...this.#options.pool.members.values()];
    const left = members.every(({ connection }) => connection.bufferedBytes === 0);
    const frame = openFrame(message, codec.bytes(weights.length), left ? held?.bytes : null);
    codec.encode(weights, frame.payload);
    this.#weightFrames.set(codecName, { step, bytes: frame.bytes });
    return frame.bytes;
  }
}
