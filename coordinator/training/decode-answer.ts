import { getCodec } from '../../shared/codec/registry.ts';
import { decodeFactored, FACTORS, type DenseKernel } from '../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-codes.ts';
import type {
  EvaluationAnswer,
  GradientAnswer,
  GradientTail,
  ShardAnswer,
  ShardId,
} from '../../shared/protocol/messages.ts';
import { sanitizeForTerminal } from '../../shared/util/sanitize.ts';
import type { Worker } from '../pool/worker.ts';
import type { AssignedShard } from './round.ts';
import type { BufferPool } from '../weights/buffer-pool.ts';
import type { Range } from '../../shared/util/range.ts';
import { vectorKernels } from '../optimizer/kernels/vector.ts';
import { bucketRange } from '../../shared/protocol/buckets.ts';

/** Of a gradient: a view of the payload where the codec allows it, else in a room. */
export interface DecodedGradient {
  readonly values: Float32Array;
  /** Euclidean. */
  readonly norm: number;
}

/** Of one sample: float32 logits are not farther apart. Sums over a whole run then stay finite, in float64. */
const MAX_SAMPLE_LOSS = 7e38;

/**
 * How an answer's gradient is encoded.
 * @throws ProtocolError (unexpected) if nobody has asked for that
 */
export function resolveCodec(
  { initialCodecs, requestedEncodings }: Pick<Worker, 'initialCodecs' | 'requestedEncodings'>,
  answer: GradientTail | GradientAnswer | EvaluationAnswer,
): string {
  const encoding = answer.type === 'evaluation' ? undefined : answer.encoding;
  const wanted = requestedEncodings.get(answer.shard) ?? undefined;
  if (encoding === wanted) return encoding ?? initialCodecs.codec;
  // Not every gradient can be given as factors.
  if (encoding === undefined && (wanted === FACTORS || answer.type === 'evaluation'))
    return initialCodecs.codec;
  if (encoding === undefined) {
    throw new ProtocolError(CloseCode.unexpected, `The gradient was asked for in ${wanted ?? ''}.`);
  }
  throw new ProtocolError(
    CloseCode.unexpected,
    `No gradient was asked for in ${sanitizeForTerminal(encoding)}.`,
  );
}

/** What has to be known of a part of a gradient whose kernel may come as factors. */
export interface FactorsContext {
  readonly kernel: DenseKernel;
  /** Of the shard. */
  readonly samples: number;
  readonly range: Range;
}

/**
 * Reads the tail of a gradient, believing nothing.
 * @param length values in it
 * @param rooms where it is decoded
 * @throws ProtocolError with the code and sentence that the worker is told
 */
export function decodeBucket(
  { shard }: GradientTail,
  payload: Uint8Array,
  codec: string,
  length: number,
  rooms: BufferPool,
  factored: FactorsContext | null = null,
): DecodedGradient {
  return decodeFinite(shard, payload, codec, length, rooms, factored);
}

/**
 * Reads an answer's gradient, believing nothing.
 * @param length values in the payload, if it has any
 * @param rooms where they are decoded
 * @returns the gradient, empty for an evaluation
 * @throws ProtocolError with the code and sentence that the worker is told
 */
export function decodeAnswer(
  answer: ShardAnswer,
  payload: Uint8Array,
  shard: AssignedShard,
  codec: string,
  length: number,
  rooms: BufferPool,
  factored: FactorsContext | null = null,
): DecodedGradient {
  const samples = shard.to - shard.from;
  if (answer.samples !== samples) {
    throw new ProtocolError(
      CloseCode.notAssigned,
      `Shard ${shard.id} has ${samples} samples; the answer is for ${answer.samples}.`,
    );
  }
  if (!(answer.lossSum >= 0 && answer.lossSum <= samples * MAX_SAMPLE_LOSS)) {
    throw new ProtocolError(CloseCode.notFinite, `A loss of ${answer.lossSum} is not possible.`);
  }
  if (answer.correct > samples) {
    throw new ProtocolError(
      CloseCode.notFinite,
      `${answer.correct} of ${samples} samples cannot be correct.`,
    );
  }
  if (answer.type === 'evaluation') {
    if (payload.length > 0) throw new ProtocolError(CloseCode.wrongLength, 'An evaluation has no payload.');
    return { values: new Float32Array(0), norm: 0 };
  }
  return decodeFinite(shard.id, payload, codec, length, rooms, factored);
}

function decodeFinite(
  shard: ShardId,
  payload: Uint8Array,
  name: string,
  length: number,
  rooms: BufferPool,
  factored: FactorsContext | null,
): DecodedGradient {
  if (name === FACTORS && factored === null) {
    throw new ProtocolError(CloseCode.unexpected, 'This model has no gradient that could come as factors.');
  }
  const decode = (): Float32Array => {
    if (name === FACTORS && factored !== null) {
      const { kernel, samples, range } = factored;
      return decodeFactored(payload, kernel, samples, range, rooms.acquire(length));
    }
    const codec = getCodec(name);
    return codec.decode(payload, length, codec.lossy ? rooms.acquire(length) : undefined);
  };
  const gradient = decode();
  const norm = vectorKernels.finiteNorm(gradient);
  if (norm === null) {
    throw new ProtocolError(
      CloseCode.notFinite,
      `The gradient of shard ${shard} has values that are not finite.`,
    );
  }
  return { values: gradient, norm };
}

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
    return decodeBucket(
      tail,
      payload,
      codec,
      part.to - part.from,
      buffers,
      this.#factorsContext(shard, part),
    );
  }

  /**
   * The gradient of an answer: all of it, or its head.
   * @throws ProtocolError with the code and sentence that the worker is told
   */
  decodeAnswer(
    member: Worker,
    shard: AssignedShard,
    answer: ShardAnswer,
    payload: Uint8Array,
  ): DecodedGradient {
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
