import { areFactorsSmaller, FACTORS, type DenseKernel } from '../../shared/codec/factors.ts';
import { shardBytes, sliceShard, writeShard, type Shard } from '../../shared/data/shard.ts';
import type { SampleFormat } from '../../shared/model/tensors.ts';
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
  readonly #prefetched = new Map<WorkerId, Range & { readonly step: Step }>();

  constructor(options: ShardSenderOptions) {
    this.#options = options;
  }

  /** Sends a shard and the weights of its step. */
  send(worker: Worker, task: Task, { step, batch }: RoundInput, shard: AssignedShard): void {
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
    this.#sendSamples(worker, message, isPrefetched ? null : sliceShard(batch, shard.from, shard.to));
  }

  /**
   * Sends workers the samples of their predicted shards of the next step, which they prepare while they wait for its weights. If
   * the shard is another one, it is sent with its samples.
   * @param input the step in progress, with the next step's batch
   */
  prefetch({ step, batch }: RoundInput, assignments: readonly Assignment[]): void {
    const { workers } = this.#options.pool;
    for (const id of this.#prefetched.keys()) if (!workers.has(id)) this.#prefetched.delete(id);
    const next = (step + 1) as Step;
    for (const { worker: id, from, to } of assignments) {
      const worker = workers.get(id);
      if (worker?.supportsPrefetch !== true) continue;
      this.#prefetched.set(id, { step: next, from, to });
      const message: FromCoordinator = { type: 'prefetch', step: next, samples: to - from };
      this.#sendSamples(worker, message, sliceShard(batch, from, to));
    }
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

  /** @param samples null if the worker has them */
  #sendSamples(worker: Worker, message: FromCoordinator, samples: Shard | null): void {
    const { format } = this.#options;
    const frame = openFrame(message, samples === null ? 0 : shardBytes(samples.sampleNumbers.length, format));
    if (samples !== null) writeShard(frame.payload, samples, format);
    worker.connection.send(frame.bytes);
  }
}
