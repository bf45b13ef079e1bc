import type { DenseKernel } from '../../shared/codec/factors.ts';
import type { GradientTail, ShardAnswer } from '../../shared/protocol/messages.ts';
import type { Member } from '../members/member.ts';
import { codecOf, readAnswer, readTail, type Factored, type FiniteValues } from './check-answer.ts';
import type { GivenShard } from './round.ts';
import type { Range } from './schedule.ts';

export interface AnswerReaderOptions {
  /** Values in a gradient. */
  readonly gradientLength: number;
  /** Where the tails of gradients start; null if they come whole. */
  readonly tailFrom: number | null;
  /** The kernel whose gradient may come as factors. */
  readonly kernel: DenseKernel | null;
}

/** Decodes what workers answer, believing nothing. */
export class AnswerReader {
  readonly #options: AnswerReaderOptions;

  constructor(options: AnswerReaderOptions) {
    this.#options = options;
  }

  /**
   * @param from where the tail starts
   * @throws ProtocolError with the code and sentence that the worker is told
   */
  tail(
    member: Member,
    shard: GivenShard,
    tail: GradientTail,
    payload: Uint8Array,
    from: number,
  ): FiniteValues {
    const { gradientLength: to } = this.#options;
    return readTail(tail, payload, codecOf(member, tail), to - from, this.#factored(shard, { from, to }));
  }

  /**
   * The gradient of an answer: all of it, or its head.
   * @throws ProtocolError with the code and sentence that the worker is told
   */
  answer(member: Member, shard: GivenShard, answer: ShardAnswer, payload: Uint8Array): FiniteValues {
    const { gradientLength, tailFrom } = this.#options;
    const head = answer.type === 'gradient' && answer.head === true;
    const length = head ? (tailFrom ?? gradientLength) : gradientLength;
    const factored = this.#factored(shard, { from: 0, to: length });
    return readAnswer(answer, payload, shard, codecOf(member, answer), length, factored);
  }

  #factored(shard: GivenShard, part: Range): Factored | null {
    const { kernel } = this.#options;
    return kernel === null ? null : { kernel, samples: shard.to - shard.from, part };
  }
}
