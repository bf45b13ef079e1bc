import type { ShardId } from '../../shared/protocol/messages.ts';
import type { GradientAnswer, GradientBucket } from '../integrity/answer.ts';
import type { ReceivedBucket } from './round-executor.ts';

/** Collects the answers of a training step, and decides when their buckets may be summed. */
export class AnswerCollector {
  /** Complete answers. */
  readonly answers: GradientAnswer[] = [];
  /** Whether the sum has buckets of these answers alone; else it may have some of gradients that never became answers. */
  readonly isSumOfAnswers: boolean;
  readonly #buckets = new Map<ShardId, readonly GradientBucket[]>();

  /** @param isSumOfAnswers whether a gradient is summed when all of it has come, instead of bucket by bucket */
  constructor(isSumOfAnswers: boolean) {
    this.isSumOfAnswers = isSumOfAnswers;
  }

  /** @returns buckets of the same shard that are to be summed now, back to front */
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
