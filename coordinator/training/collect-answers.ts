import { shardBytes, viewShard, writeShard } from '../../shared/data/shard.ts';
import { sizeOf } from '../../shared/model/layout.ts';
import type { ShardId } from '../../shared/protocol/messages.ts';
import type { GradientAnswer, GradientBucket } from '../integrity/answer.ts';
import type { ReviewedRound } from '../integrity/answer-validator.ts';
import type { ReceivedBucket } from './round-executor.ts';
import type { RoundInput } from './shard-sender.ts';

/** Collects the answers of a training step, and decides when their buckets may be summed. */
export class AnswerCollector {
  /** Complete answers. */
  readonly answers: GradientAnswer[] = [];
  /** Whether the sum has only buckets of complete answers; else it may have buckets of gradients that never became complete. */
  readonly isSumOfAnswers: boolean;
  readonly #buckets = new Map<ShardId, readonly GradientBucket[]>();

  /** @param isSumOfAnswers whether a gradient is summed once it is complete, instead of bucket by bucket */
  constructor(isSumOfAnswers: boolean) {
    this.isSumOfAnswers = isSumOfAnswers;
  }

  /** Adds a bucket. @returns buckets of the same shard that can be summed now, back to front */
  add({ shard, values, offset, quantizationLoss, score }: ReceivedBucket): readonly GradientBucket[] {
    const bucket = { values, offset, quantizationLoss };
    const buckets = [...(this.#buckets.get(shard.id) ?? []), bucket];
    this.#buckets.set(shard.id, buckets);
    if (score !== null) {
      const { worker, from, to } = shard;
      this.answers.push({ worker, from, to, ...score, buckets });
    }
    if (!this.isSumOfAnswers) return [bucket];
    return score === null ? [] : buckets;
  }
}

/** Describes a round to the validator. @param weights weights that workers computed it with */
export function describeRound(
  { step, samples, split }: RoundInput,
  weights: Float32Array,
  sampleShape: readonly number[],
): ReviewedRound {
  return {
    step,
    weights,
    samplesOf({ from, to }) {
      const imageBytes = sizeOf(sampleShape);
      const payload = new Uint8Array(shardBytes(to - from, imageBytes));
      writeShard(payload, samples.subarray(from, to), split, imageBytes);
      return viewShard(payload, to - from, imageBytes);
    },
  };
}
