import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';

/** Bucket of a decoded gradient. */
export interface GradientBucket {
  /** Offset in the flat vector. */
  readonly offset: number;
  readonly values: Float32Array;
  /** Bounds of the quantization error; null for codecs with almost none. */
  readonly quantizationLoss: QuantizationLoss | null;
}

/** Bounds of the quantization error with error feedback: an answer is gradient + residual before - residual after. */
export interface QuantizationLoss {
  /** Quantization step of this payload for each block of SCALE_BLOCK_SIZE values. */
  readonly steps: Float32Array;
  /** Quantization steps of the payload before, whose residual is in this one; null if unknown. */
  readonly previousSteps: Float32Array | null;
}

/** Accepted answer to a shard: sums over its samples. */
export interface Answer extends Range {
  readonly worker: WorkerId;
  readonly lossSum: number;
  /** Sums of the job's metrics. */
  readonly metrics: readonly number[];
}

/** Accepted answer to a training shard. */
export interface GradientAnswer extends Answer {
  /** Euclidean norm of the whole gradient. */
  readonly norm: number;
  /** Buckets that make up the flat vector. Valid until the next round begins. */
  readonly buckets: readonly GradientBucket[];
}

/** Copies an answer, whose vectors are reused in the next round. */
export const copyAnswer = (answer: GradientAnswer): GradientAnswer => ({
  ...answer,
  buckets: answer.buckets.map((bucket) => ({ ...bucket, values: bucket.values.slice() })),
});
