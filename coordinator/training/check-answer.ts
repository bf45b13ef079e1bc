import { codecNamed } from '../../shared/codec/codec.ts';
import { decodeFactored, FACTORS, type DenseKernel } from '../../shared/codec/factors.ts';
import { CloseCode, ProtocolError } from '../../shared/protocol/close-code.ts';
import type {
  EvaluationAnswer,
  GradientAnswer,
  GradientTail,
  ShardAnswer,
  ShardId,
} from '../../shared/protocol/messages.ts';
import { readableText } from '../../shared/protocol/readable.ts';
import type { Member } from '../members/member.ts';
import type { GivenShard } from './round.ts';
import type { Rooms } from './rooms.ts';
import type { Range } from '../../shared/range.ts';
import { vectorKernels } from './vector/vector.ts';

/** Of a gradient: a view of the payload where the codec allows it, else in a room. */
export interface FiniteValues {
  readonly values: Float32Array;
  /** Euclidean. */
  readonly norm: number;
}

/** Of one sample: float32 logits are not farther apart. Sums over a whole run then stay finite, in float64. */
const MOST_LOSS = 7e38;

/**
 * How an answer's gradient is encoded.
 * @throws ProtocolError (unexpected) if nobody has asked for that
 */
export function codecOf(
  { welcomed, asked }: Pick<Member, 'welcomed' | 'asked'>,
  answer: GradientTail | GradientAnswer | EvaluationAnswer,
): string {
  const encoding = answer.type === 'evaluation' ? undefined : answer.encoding;
  const wanted = asked.get(answer.shard) ?? undefined;
  if (encoding === wanted) return encoding ?? welcomed.codec;
  // Not every gradient can be given as factors.
  if (encoding === undefined && (wanted === FACTORS || answer.type === 'evaluation')) return welcomed.codec;
  if (encoding === undefined) {
    throw new ProtocolError(CloseCode.unexpected, `The gradient was asked for in ${wanted ?? ''}.`);
  }
  throw new ProtocolError(CloseCode.unexpected, `No gradient was asked for in ${readableText(encoding)}.`);
}

/** What has to be known of a part of a gradient whose kernel may come as factors. */
export interface Factored {
  readonly kernel: DenseKernel;
  /** Of the shard. */
  readonly samples: number;
  readonly part: Range;
}

/**
 * Reads the tail of a gradient, believing nothing.
 * @param length values in it
 * @param rooms where it is decoded
 * @throws ProtocolError with the code and sentence that the worker is told
 */
export function readTail(
  { shard }: GradientTail,
  payload: Uint8Array,
  codec: string,
  length: number,
  rooms: Rooms,
  factored: Factored | null = null,
): FiniteValues {
  return finiteValues(shard, payload, codec, length, rooms, factored);
}

/**
 * Reads an answer's gradient, believing nothing.
 * @param length values in the payload, if it has any
 * @param rooms where they are decoded
 * @returns the gradient, empty for an evaluation
 * @throws ProtocolError with the code and sentence that the worker is told
 */
export function readAnswer(
  answer: ShardAnswer,
  payload: Uint8Array,
  shard: GivenShard,
  codec: string,
  length: number,
  rooms: Rooms,
  factored: Factored | null = null,
): FiniteValues {
  const samples = shard.to - shard.from;
  if (answer.samples !== samples) {
    throw new ProtocolError(
      CloseCode.unknownSamples,
      `Shard ${shard.id} has ${samples} samples; the answer is for ${answer.samples}.`,
    );
  }
  if (!(answer.lossSum >= 0 && answer.lossSum <= samples * MOST_LOSS)) {
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
  return finiteValues(shard.id, payload, codec, length, rooms, factored);
}

function finiteValues(
  shard: ShardId,
  payload: Uint8Array,
  name: string,
  length: number,
  rooms: Rooms,
  factored: Factored | null,
): FiniteValues {
  if (name === FACTORS && factored === null) {
    throw new ProtocolError(CloseCode.unexpected, 'This model has no gradient that could come as factors.');
  }
  const decode = (): Float32Array => {
    if (name === FACTORS && factored !== null) {
      const { kernel, samples, part } = factored;
      return decodeFactored(payload, kernel, samples, part, rooms.take(length));
    }
    const codec = codecNamed(name);
    return codec.decode(payload, length, codec.lossy ? rooms.take(length) : undefined);
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
