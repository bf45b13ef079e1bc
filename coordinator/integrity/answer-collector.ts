import type { Score } from '../../shared/model/loss.ts';
import type { ShardId } from '../../shared/protocol/messages.ts';
import type { BucketedGradientSum } from '../training/gradient-sum.ts';
import type { AssignedShard } from '../training/round.ts';
import type { GradientAnswer, GradientBucket, QuantizationLoss } from './answer.ts';

/** The answers of a training step, for the inspector and for the sum. */
export class AnswerCollector {
  readonly answers: GradientAnswer[] = [];
  /** Whether the sum has parts of these answers alone; else it may have parts of gradients that never became answers. */
  readonly isSumOfAnswers: boolean;
  readonly #sum: Pick<BucketedGradientSum, 'add'>;
  readonly #buckets = new Map<ShardId, GradientBucket[]>();

  /** @param waitForAnswers whether parts of a gradient are summed when all of it is there, instead of as they come */
  constructor(sum: Pick<BucketedGradientSum, 'add'>, waitForAnswers: boolean) {
    this.#sum = sum;
    this.isSumOfAnswers = waitForAnswers;
  }

  /** Takes a part of a shard's gradient. */
  accept(
    shard: AssignedShard,
    values: Float32Array,
    offset: number,
    quantizationLoss: QuantizationLoss | null,
  ): void {
    this.#buckets.set(shard.id, [...this.#bucketsFor(shard), { offset, values, quantizationLoss }]);
    if (!this.isSumOfAnswers) this.#sum.add(shard, values, offset);
  }

  /** All parts of a shard's gradient have been accepted. */
  complete(shard: AssignedShard, score: Score, norm: number): void {
    const { worker, from, to } = shard;
    const buckets = this.#bucketsFor(shard);
    this.answers.push({ worker, from, to, ...score, norm, buckets });
    if (this.isSumOfAnswers) for (const { values, offset } of buckets) this.#sum.add(shard, values, offset);
  }

  #bucketsFor({ id }: AssignedShard): readonly GradientBucket[] {
    return this.#buckets.get(id) ?? [];
  }
}
