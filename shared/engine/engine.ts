import type { Shard } from '../data/shard.ts';
import type { TensorValues } from '../model/tensors.ts';
import type { Job } from '../model/job.ts';
import type { Score } from '../model/scoring.ts';
import type { EngineInfo, Step } from '../protocol/messages.ts';
import type { Range } from '../util/range.ts';

/** Sums over the samples of a shard. */
export interface ShardResult extends Score {
  /** Whether the gradient contains factors instead of a kernel's gradient; see GradientComputer. */
  readonly isFactored?: boolean;
}

/** End of the gradient vector that the caller wants before the rest is computed. */
export interface GradientBucket {
  /** Offset of its first value, which begins a tensor. */
  readonly offset: number;
  /**
   * Called when the values from an offset on are final and the rest may still be missing. An engine calls it at most once, without an
   * argument; a relay calls it for each part that has arrived.
   * @param from at least `offset`, and less than in the call before. @default offset
   */
  onReady(from?: number): void;
}

/** Job on an engine: one set of weights, with which shards are computed one at a time. */
export interface GradientComputer {
  /** Allocates memory that the engine writes gradients into without a copy. */
  allocateBuffer?(bytes: number): ArrayBufferLike;
  /** Whether gradient() can compute factors instead of the gradient of the kernel named by factoredKernel(). */
  readonly supportsFactors?: boolean;
  /**
   * @param weights the flat vector of the job's layout; must not change until others are set
   * @param transferOwnership whether the computer may keep or detach the memory of `weights`
   */
  setWeights(weights: Float32Array, transferOwnership?: boolean): void;
  /**
   * Receives a part of weights that will be set, unless others are. Only a relay has a use for it, which sends the part on.
   * @param weights final from `range.from` on; may change after the call
   * @param range the part that has arrived, back to front
   */
  receiveWeights?(step: Step, weights: Float32Array, range: Range): void;
  /**
   * Forward and backward pass over a shard.
   * @param gradient receives the sum (not the mean) of the samples' gradients; for tensors that the layout marks as not
   *   trainable, samples x the change by the forward pass
   * @param bucket end of the gradient, which the backward pass computes first; engines may ignore it
   * @param isFactored only if supportsFactors: the kernel's range receives its factors, the inputs followed by the output
   *   gradients
   */
  gradient(
    step: Step,
    shard: Shard,
    gradient: Float32Array,
    bucket?: GradientBucket,
    isFactored?: boolean,
  ): Promise<ShardResult>;
  /**
   * Computes a shard's gradient with the bits of the pairwise sum (PairwiseSum, addFlushToZero) over the job's micro-shards,
   * without reading back each micro-shard's gradient. Shards are then prepared as a whole.
   * @param gradient receives the sum; its content is undefined if the result is null
   * @returns null if the engine cannot compute this sum; the caller then computes the micro-shards one by one
   */
  gradientInMicroShards?(step: Step, shard: Shard, gradient: Float32Array): ShardResult | null;
  /**
   * Prepares inputs and dropout masks of a shard while the worker waits for weights. A gradient of the same step and shard
   * then uses them; any other call in between discards them.
   */
  prepare(step: Step, shard: Shard): void;
  /** Forward pass without dropout. */
  evaluate(shard: Shard): Promise<ShardResult>;
  /**
   * Values of an output: class probabilities for a classification, even if the model's outputs are logits.
   * @param inputs stored values of each input of the job: [samples, ...shape]
   * @param output number of the output @default 0
   * @returns [samples, ...shape]
   */
  predict(inputs: readonly TensorValues[], samples: number, output?: number): Promise<Float32Array>;
  /** Fingerprint of the engines that compute for this one, in an exact run. @default measured by computeFingerprint */
  fingerprint?(): string | null;
  /** Frees the engine's memory. */
  dispose(): void;
}

/** Implementation of forward and backward passes on one device. */
export interface Engine {
  readonly info: EngineInfo;
  /**
   * Builds a job's model.
   * @param module address of the job's custom code, which the caller has verified: a data: URL in Node, an address of the page's
   *   own origin in a tab
   * @throws Error with a sentence if this engine cannot build it
   */
  load(job: Job, module?: string): Promise<GradientComputer>;
}
