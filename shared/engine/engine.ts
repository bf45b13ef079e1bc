import type { Shard } from '../data/shard.ts';
import type { Job } from '../model/job.ts';
import type { EngineInfo, Step } from '../protocol/messages.ts';

/** Sums over the samples of a shard. */
export interface ShardResult {
  readonly lossSum: number;
  readonly correct: number;
  /** The gradient has factors in place of a kernel's; see Trainer. */
  readonly isFactored?: boolean;
}

/** The end of the flat vector, wanted as soon as it is there. */
export interface GradientBucket {
  /** Where it starts: at a tensor. */
  readonly offset: number;
  /** Called once or never, while the rest is being computed: the gradient's values from there on are final. */
  onReady(): void;
}

/** A job on an engine: holds one set of weights and computes shards with it, one at a time. */
export interface GradientComputer {
  /** Memory that gradients come to lie in by themselves: a `gradient` elsewhere costs a copy. */
  allocateBuffer?(bytes: number): ArrayBufferLike;
  /** Whether it can give factors in place of the gradient of the kernel that factoredKernel() names. */
  readonly supportsFactors?: boolean;
  /**
   * @param weights the flat vector of the job's layout, or the part of it, of whole tensors, that starts at `from`; must
   *   not change until others are set
   * @param given nobody else needs their memory any more: the trainer may hand it on
   */
  setWeights(weights: Float32Array, from?: number, given?: boolean): void;
  /**
   * Forward and backward over a shard.
   * @param gradient receives the sum (not the mean) of the gradients of its samples; where the layout says
   *   not trainable, samples x the change that the forward pass made
   * @param tail the backward pass comes to the last layers first; engines that can, tell when these are done
   * @param factored only if givesFactors: in the kernel's place have its factors, the inputs and behind them the output
   *   gradients, which are fewer values
   */
  gradient(
    step: Step,
    shard: Shard,
    gradient: Float32Array,
    tail?: GradientBucket,
    factored?: boolean,
  ): Promise<ShardResult>;
  /**
   * The gradient of a shard with the bits that it has if each micro-shard of the job is computed by itself, and added along
   * the tree of TreeSum by addFlushed: for engines that need not read each of them back for that. Shards are then prepared
   * as a whole.
   * @param gradient receives the sum; overwritten even if there is none
   * @returns null if it cannot be had so; then nothing is lost
   */
  gradientInMicroShards?(step: Step, shard: Shard, gradient: Float32Array): ShardResult | null;
  /**
   * Gets what does not depend on the weights ready (inputs, dropout masks), in time that would be spent waiting. A
   * gradient of the same step and shard then starts ahead; anything else in between forgets it.
   */
  prepare(step: Step, shard: Shard): void;
  /** Forward alone, without dropout. */
  evaluate(shard: Shard): Promise<ShardResult>;
  /**
   * Class probabilities.
   * @param images [samples, ...sampleShape], as stored: 0 to 255
   * @returns [samples, classes]
   */
  predict(images: Uint8Array, samples: number): Promise<Float32Array>;
  /** Gives the engine's memory back. */
  dispose(): void;
}

/** Something that computes. */
export interface Engine {
  readonly info: EngineInfo;
  /** @throws Error with a sentence if this engine cannot build the job's model */
  load(job: Job): Promise<GradientComputer>;
}
