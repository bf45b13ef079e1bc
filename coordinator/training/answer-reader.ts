import type { DenseKernel } from '../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type { GradientAnswer, GradientTail, ShardAnswer } from '../../shared/protocol/messages.ts';
import { tailPart } from '../../shared/protocol/tail-pieces.ts';
import type { Member } from '../members/member.ts';
import { codecOf, readAnswer, readTail, type Factored, type FiniteValues } from './check-answer.ts';
import type { GivenShard } from './round.ts';
import type { Rooms } from './rooms.ts';
import type { Range } from '../../shared/range.ts';

export interface AnswerReaderOptions {
  /** Values in a gradient. */
  readonly gradientLength: number;
  /** Where the pieces of gradients' tails start; empty if they come whole. */
  readonly tailCuts: readonly number[];
  /** The kernel whose gradient may come as factors. */
  readonly kernel: DenseKernel | null;
  /** Where answers are decoded; what they were is gone when these are given back. */
  readonly rooms: Rooms;
}

/** Decodes what workers answer, believing nothing. */
export class AnswerReader {
  readonly #options: AnswerReaderOptions;

  constructor(options: AnswerReaderOptions) {
    this.#options = options;
  }

  /**
   * The part of the flat vector that a message about a shard's tail is.
   * @param heardFrom where that starts which has come of it; null if that is nothing
   * @throws ProtocolError (unexpected) if it is not the part that comes next
   */
  part({ tails }: Member, { shard, piece }: GradientTail, heardFrom: number | null): Range {
    const { gradientLength, tailCuts } = this.#options;
    const part = tails ? tailPart(tailCuts, piece, gradientLength) : null;
    if (part === null) {
      throw new ProtocolError(CloseCode.unexpected, `No such tail was asked for of shard ${shard}.`);
    }
    const end = heardFrom ?? gradientLength;
    if (part.to === end) return part;
    throw new ProtocolError(
      CloseCode.unexpected,
      `A tail up to ${part.to} of shard ${shard}, of which all from ${end} is here.`,
    );
  }

  /** @throws ProtocolError (unexpected) for a head without all of its tail, or a whole gradient behind a part of one */
  checkHead({ shard, head }: GradientAnswer, heardFrom: number | null): void {
    const [tailFrom = null] = this.#options.tailCuts;
    if (head === true ? heardFrom !== null && heardFrom === tailFrom : heardFrom === null) return;
    throw new ProtocolError(
      CloseCode.unexpected,
      head === true
        ? `The head of shard ${shard} came without its tail.`
        : `All of shard ${shard} came behind a part of its tail.`,
    );
  }

  /**
   * @param part of the flat vector
   * @throws ProtocolError with the code and sentence that the worker is told
   */
  tail(
    member: Member,
    shard: GivenShard,
    tail: GradientTail,
    payload: Uint8Array,
    part: Range,
  ): FiniteValues {
    const { rooms } = this.#options;
    const codec = codecOf(member, tail);
    return readTail(tail, payload, codec, part.to - part.from, rooms, this.#factored(shard, part));
  }

  /**
   * The gradient of an answer: all of it, or its head.
   * @throws ProtocolError with the code and sentence that the worker is told
   */
  answer(member: Member, shard: GivenShard, answer: ShardAnswer, payload: Uint8Array): FiniteValues {
    const { gradientLength, tailCuts, rooms } = this.#options;
    const head = answer.type === 'gradient' && answer.head === true;
    const length = head ? (tailCuts[0] ?? gradientLength) : gradientLength;
    const factored = this.#factored(shard, { from: 0, to: length });
    return readAnswer(answer, payload, shard, codecOf(member, answer), length, rooms, factored);
  }

  #factored(shard: GivenShard, part: Range): Factored | null {
    const { kernel } = this.#options;
    return kernel === null ? null : { kernel, samples: shard.to - shard.from, part };
  }
}
