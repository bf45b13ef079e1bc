import type { DenseKernel } from '../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type { GradientAnswer, GradientTail, ShardAnswer } from '../../shared/protocol/messages.ts';
import { bucketRange } from '../../shared/protocol/tail-pieces.ts';
import type { Worker } from '../members/member.ts';
import { resolveCodec, decodeAnswer, decodeBucket, type FactorsContext, type DecodedGradient } from './check-answer.ts';
import type { AssignedShard } from './round.ts';
import type { BufferPool } from './rooms.ts';
import type { Range } from '../../shared/range.ts';

export interface AnswerDecoderOptions {
  /** Values in a gradient. */
  readonly gradientLength: number;
  /** Where the pieces of gradients' tails start; empty if they come whole. */
  readonly bucketOffsets: readonly number[];
  /** The kernel whose gradient may come as factors. */
  readonly kernel: DenseKernel | null;
  /** Where answers are decoded; what they were is gone when these are given back. */
  readonly buffers: BufferPool;
}

/** Decodes what workers answer, believing nothing. */
export class AnswerDecoder {
  readonly #options: AnswerDecoderOptions;

  constructor(options: AnswerDecoderOptions) {
    this.#options = options;
  }

  /**
   * The part of the flat vector that a message about a shard's tail is.
   * @param heardFrom where that starts which has come of it; null if that is nothing
   * @throws ProtocolError (unexpected) if it is not the part that comes next
   */
  part({ supportsBuckets }: Worker, { shard, piece }: GradientTail, heardFrom: number | null): Range {
    const { gradientLength, bucketOffsets } = this.#options;
    const part = supportsBuckets ? bucketRange(bucketOffsets, piece, gradientLength) : null;
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
    const [tailFrom = null] = this.#options.bucketOffsets;
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
  decodeBucket(
    member: Worker,
    shard: AssignedShard,
    tail: GradientTail,
    payload: Uint8Array,
    part: Range,
  ): DecodedGradient {
    const { buffers } = this.#options;
    const codec = resolveCodec(member, tail);
    return decodeBucket(tail, payload, codec, part.to - part.from, buffers, this.#factorsContext(shard, part));
  }

  /**
   * The gradient of an answer: all of it, or its head.
   * @throws ProtocolError with the code and sentence that the worker is told
   */
  decodeAnswer(member: Worker, shard: AssignedShard, answer: ShardAnswer, payload: Uint8Array): DecodedGradient {
    const { gradientLength, bucketOffsets, buffers } = this.#options;
    const head = answer.type === 'gradient' && answer.head === true;
    const length = head ? (bucketOffsets[0] ?? gradientLength) : gradientLength;
    const factored = this.#factorsContext(shard, { from: 0, to: length });
    return decodeAnswer(answer, payload, shard, resolveCodec(member, answer), length, buffers, factored);
  }

  #factorsContext(shard: AssignedShard, range: Range): FactorsContext | null {
    const { kernel } = this.#options;
    return kernel === null ? null : { kernel, samples: shard.to - shard.from, range };
  }
}
