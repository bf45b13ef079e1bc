import { areFactorsSmaller, FACTORS, type DenseKernel } from '../../shared/codec/factors.ts';
import { isKeptAt } from '../../shared/data/kept-samples.ts';
import { pickSamples, shardBytes, sliceShard, writeShard, type Shard } from '../../shared/data/shard.ts';
import type { SampleFormat } from '../../shared/model/tensors.ts';
import { checksum } from '../../shared/protocol/checksum.ts';
import { openFrame } from '../../shared/protocol/frame.ts';
import type { FromCoordinator, Step, Task, WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';
import type { WorkerPool } from '../pool/pool.ts';
import type { Worker } from '../pool/worker.ts';
import type { AssignedShard, Assignment } from '../scheduling/partition.ts';
import type { WeightsPublisher } from '../weights/publisher.ts';

/** Input of a round. */
export interface RoundInput {
  readonly step: Step;
  /** Samples of the batch; shards are ranges of it. */
  readonly batch: Shard;
  /** Whether the samples are of the job's own data set, so that workers may keep them. @default false */
  readonly isJobData?: boolean;
}

export interface ShardSenderOptions {
  readonly pool: WorkerPool;
  readonly publisher: WeightsPublisher;
  /** Inputs and targets of a sample. */
  readonly format: SampleFormat;
  /** Kernel whose gradient can be sent as factors; null if the model has none. */
  readonly kernel: DenseKernel | null;
}

/** Sends workers their shards, with the weights and samples that they lack. */
export class ShardSender {
  readonly #options: ShardSenderOptions;
  /** Samples that each worker has prefetched. */
  readonly #prefetched = new Map<WorkerId, Range & { readonly step: Step; readonly isPartial: boolean }>();

  constructor(options: ShardSenderOptions) {
    this.#options = options;
  }

  /** Sends a shard and the weights of its step. */
  send(worker: Worker, task: Task, { step, batch, isJobData }: RoundInput, shard: AssignedShard): void {
    this.#options.publisher.sendTo(worker);
    const count = shard.to - shard.from;
    const encoding = task === 'train' ? this.#encodingFor(worker, count) : null;
    worker.outstanding.add(shard.id, encoding);
    const message: FromCoordinator = {
      type: 'shard',
      task,
      step,
      shard: shard.id,
      samples: count,
      ...(encoding === null ? {} : { encoding }),
    };
    const prefetched = this.#prefetched.get(worker.id);
    this.#prefetched.delete(worker.id);
    const isPrefetched =
      task === 'train' &&
      prefetched?.step === step &&
      prefetched.from === shard.from &&
      prefetched.to === shard.to;
    const own = isPrefetched ? null : sliceShard(batch, shard.from, shard.to);
    const isPartial = this.#sendSamples(worker, message, own, isJobData === true ? task : null);
    worker.outstanding.setPartial(shard.id, isPrefetched ? prefetched.isPartial : isPartial);
  }

  /**
   * Sends workers the samples of their predicted shards of the next step, which they prepare while they wait for its weights. If
   * the shard is another one, it is sent with its samples.
   * @param input the step in progress, with the next step's batch
   */
  prefetch({ step, batch, isJobData }: RoundInput, assignments: readonly Assignment[]): void {
    const { workers } = this.#options.pool;
    for (const id of this.#prefetched.keys()) if (!workers.has(id)) this.#prefetched.delete(id);
    const next = (step + 1) as Step;
    for (const { worker: id, from, to } of assignments) {
      const worker = workers.get(id);
      if (worker?.supportsPrefetch !== true) continue;
      const message: FromCoordinator = { type: 'prefetch', step: next, samples: to - from };
      const samples = sliceShard(batch, from, to);
      const isPartial = this.#sendSamples(worker, message, samples, isJobData === true ? 'train' : null);
      this.#prefetched.set(id, { step: next, from, to, isPartial });
    }
  }

  /** Forgets the prefetched samples of a worker, which is sent the next shard with its samples. */
  forgetPrefetched(worker: WorkerId): void {
    this.#prefetched.delete(worker);
  }

  /** Forgets all prefetched samples. */
  reset(): void {
    this.#prefetched.clear();
  }

  /** Codec that a shard's gradient is requested in; null for the codec in the worker's welcome. */
  #encodingFor({ link }: Worker, samples: number): string | null {
    const { kernel } = this.#options;
    if (link.codec === link.initialCodec.name) return null;
    const hasFactors = kernel !== null && areFactorsSmaller(kernel, samples);
    return link.codec === FACTORS && !hasFactors ? null : link.codec;
  }

  /**
   * @param samples null if the worker has prefetched them
   * @param keptFor task that the worker may keep the samples for; null if it may not
   * @returns whether samples were left out that the worker keeps
   */
  #sendSamples(
    worker: Worker,
    message: FromCoordinator,
    samples: Shard | null,
    keptFor: Task | null,
  ): boolean {
    const { format } = this.#options;
    if (samples === null) {
      worker.connection.send(openFrame(message, 0).bytes);
      return false;
    }
    const { sampleNumbers } = samples;
    const kept = keptFor === null ? undefined : worker.keptSamples?.send(keptFor, sampleNumbers);
    const isPartial = kept !== undefined && kept.length > 0;
    const count = sampleNumbers.length;
    const header = { ...message, ...(kept === undefined ? {} : { kept }) };
    if (!isPartial) {
      const frame = openFrame(header, shardBytes(count, format));
      writeShard(frame.payload, samples, format);
      worker.connection.send(frame.bytes);
      return false;
    }
    const whole = new Uint8Array(shardBytes(count, format));
    writeShard(whole, samples, format);
    const positions = Uint32Array.from(sampleNumbers.keys()).filter((position) => !isKeptAt(kept, position));
    const present = pickSamples({ ...samples, count }, positions);
    const frame = openFrame(
      { ...header, checksum: checksum(whole) },
      shardBytes(count, format, positions.length),
    );
    writeShard(frame.payload, { ...present, sampleNumbers }, format, positions.length);
    worker.connection.send(frame.bytes);
    return true;
  }
}
