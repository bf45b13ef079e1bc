import type { WorkerId } from '../../shared/protocol/messages.ts';
import type { Range } from '../../shared/util/range.ts';

/** A part of a decoded gradient. */
export interface GradientBucket {
  /** Where it starts in the flat vector. */
  readonly offset: number;
  readonly values: Float32Array;
  /** What quantization may have changed; null where the codec loses next to nothing. */
  readonly quantizationLoss: QuantizationLoss | null;
}

/** Bounds of what a codec with error feedback may have changed: an answer is gradient + residual before - residual after. */
export interface QuantizationLoss {
  /** Steps between neighbouring quantized values, one for each block of BLOCK values, of this payload. */
  readonly steps: Float32Array;
  /** The same of the payload before, whose residual is in this one; null if that is not known. */
  readonly previousSteps: Float32Array | null;
}

/** An answer to a shard that counts: sums over its samples. */
export interface Answer extends Range {
  readonly worker: WorkerId;
  readonly lossSum: number;
  readonly correct: number;
}

/** The same of a training shard. */
export interface GradientAnswer extends Answer {
  /** Euclidean, of the whole gradient. */
  readonly norm: number;
  /** Together they are the flat vector. Valid until the next round begins. */
  readonly buckets: readonly GradientBucket[];
}

/** Copies an answer, to be compared when the vectors that it was decoded into are in use again. */
export const copyAnswer = (answer: GradientAnswer): GradientAnswer => ({
  ...answer,
  buckets: answer.buckets.map((part) => ({ ...part, values: part.values.slice() })),
});
