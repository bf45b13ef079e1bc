import type { WorkerId } from '../../../shared/protocol/messages.ts';
import type { Range } from '../../../shared/range.ts';

/** A part of a decoded gradient. */
export interface GradientPart {
  /** Where it starts in the flat vector. */
  readonly at: number;
  readonly values: Float32Array;
  /** What quantization may have changed; null where the codec loses next to nothing. */
  readonly loss: QuantizationLoss | null;
}

/** Bounds of what a codec with error feedback may have changed: an answer is gradient + residual before - residual after. */
export interface QuantizationLoss {
  /** Steps between neighbouring quantized values, one for each block of BLOCK values, of this payload. */
  readonly steps: Float32Array;
  /** The same of the payload before, whose residual is in this one; null if that is not known. */
  readonly stepsBefore: Float32Array | null;
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
  readonly parts: readonly GradientPart[];
}

/** Copies an answer, to be compared when the vectors that it was decoded into are in use again. */
export const keepAnswer = (answer: GradientAnswer): GradientAnswer => ({
  ...answer,
  parts: answer.parts.map((part) => ({ ...part, values: part.values.slice() })),
});
