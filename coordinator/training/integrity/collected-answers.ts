import type { Score } from '../../../shared/model/loss.ts';
import type { ShardId } from '../../../shared/protocol/messages.ts';
import type { BatchGradient } from '../batch-gradient.ts';
import type { GivenShard } from '../round.ts';
import type { GradientAnswer, GradientPart, QuantizationLoss } from './answer.ts';

/** The answers of a training step, for the inspector and for the sum. */
export class CollectedAnswers {
  readonly answers: GradientAnswer[] = [];
  /** Whether the sum has parts of these answers alone; else it may have parts of gradients that never became answers. */
  readonly isSumOfAnswers: boolean;
  readonly #sum: Pick<BatchGradient, 'add'>;
  readonly #parts = new Map<ShardId, GradientPart[]>();

  /** @param waitForAnswers whether parts of a gradient are summed when all of it is there, instead of as they come */
  constructor(sum: Pick<BatchGradient, 'add'>, waitForAnswers: boolean) {
    this.#sum = sum;
    this.isSumOfAnswers = waitForAnswers;
  }

  /** Takes a part of a shard's gradient. */
  accept(shard: GivenShard, values: Float32Array, at: number, loss: QuantizationLoss | null): void {
    this.#parts.set(shard.id, [...this.#partsOf(shard), { at, values, loss }]);
    if (!this.isSumOfAnswers) this.#sum.add(shard, values, at);
  }

  /** All parts of a shard's gradient have been accepted. */
  counted(shard: GivenShard, score: Score, norm: number): void {
    const { worker, from, to } = shard;
    const parts = this.#partsOf(shard);
    this.answers.push({ worker, from, to, ...score, norm, parts });
    if (this.isSumOfAnswers) for (const { values, at } of parts) this.#sum.add(shard, values, at);
  }

  #partsOf({ id }: GivenShard): readonly GradientPart[] {
    return this.#parts.get(id) ?? [];
  }
}
